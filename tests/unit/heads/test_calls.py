"""Calls to heads: one that does not answer holds up nothing but its own cluster."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from controller.heads.calls import OUTCOME_SECONDS, PER_HEAD, HeadCalls
from controller.raycluster.model import Key

A, B = Key("ns", "a"), Key("ns", "b")


class Scene:
    """Calls to heads, a clock, and which clusters had a late answer."""

    def __init__(self, patience: float) -> None:
        self.now = 0.0
        self.late: list[Key] = []
        self.heard = threading.Event()
        self.calls = HeadCalls(self._on_late, lambda: self.now, patience)
        self.silent = threading.Event()

    def _on_late(self, key: Key) -> None:
        self.late.append(key)
        self.heard.set()

    def hang(self) -> bool:
        """A head that answers once the test lets it."""
        return self.silent.wait(30)


@pytest.fixture
def impatient() -> Iterator[Scene]:
    scene = Scene(patience=0.01)
    yield scene
    scene.silent.set()
    scene.calls.stop()


@pytest.fixture
def patient() -> Iterator[Scene]:
    scene = Scene(patience=30)
    yield scene
    scene.calls.stop()


def test_an_answer_in_time_is_the_outcome_and_the_next_question_is_a_new_one(patient: Scene) -> None:
    answers = iter([True, False, True])
    assert [patient.calls.ask(A, "node", lambda: next(answers)) for _ in range(3)] == [True, False, True]
    assert patient.late == []


def test_a_silent_head_costs_a_moment_and_its_late_answer_is_kept_for_the_next_pass(impatient: Scene) -> None:
    assert not impatient.calls.ask(A, "node", impatient.hang)
    # The same question is not asked twice, nor any other while this one is late.
    impatient.now = 1.0
    assert not impatient.calls.ask(A, "node", lambda: pytest.fail("asked twice"))
    assert not impatient.calls.ask(A, "other", lambda: pytest.fail("asked a silent head"))
    impatient.silent.set()
    assert impatient.heard.wait(30)
    assert impatient.late == [A]
    assert impatient.calls.ask(A, "node", lambda: pytest.fail("the answer is there"))


def test_a_late_answer_grows_old(impatient: Scene) -> None:
    assert not impatient.calls.ask(A, "node", impatient.hang)
    impatient.silent.set()
    assert impatient.heard.wait(30)
    impatient.now = OUTCOME_SECONDS + 1
    asked = threading.Event()

    def ask() -> bool:
        asked.set()
        return True

    impatient.calls.ask(A, "node", ask)
    assert asked.wait(30)


def test_silent_heads_take_a_bounded_number_of_threads_each(impatient: Scene) -> None:
    for number in range(3 * PER_HEAD):
        assert not impatient.calls.ask(A, number, impatient.hang)
    assert len(impatient.calls._calls[A]) == PER_HEAD
    done = threading.Event()

    def ask() -> bool:
        done.set()
        return True

    impatient.calls.ask(B, "node", ask)
    assert done.wait(30), "another head waits for the silent one"


def test_nothing_is_kept_of_a_cluster_whose_calls_are_over(patient: Scene) -> None:
    patient.calls.ask(A, "node", lambda: True)
    assert patient.calls._calls == {}
    patient.calls.forget(A)
