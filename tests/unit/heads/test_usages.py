"""Who uses a cluster: one question to a head at a time, and what it said is not taken for another head's word."""

from __future__ import annotations

from collections.abc import Callable

from autoscaler.gcs.errors import GcsError
from autoscaler.model import RayUsage
from controller.heads.usages import Usages
from controller.planning.observed import UsageView
from controller.raycluster.model import Key

A = Key("ray", "a")
Answer = Callable[[RayUsage | GcsError], None]


class Asked:
    """Questions that wait for their answers."""

    def __init__(self) -> None:
        self.now = 100.0
        self.told: list[Key] = []
        self.waiting: list[Answer] = []
        self.usages = Usages(self.told.append, lambda: self.now)

    def ask(self, head: str = "head") -> None:
        self.usages.ask(A, head, self.waiting.append)


def test_an_answer_is_as_old_as_its_question_and_brings_a_pass() -> None:
    asked = Asked()
    assert asked.usages.view(A) is None
    asked.ask()
    asked.now = 103.0
    asked.waiting[0](RayUsage(100.0, "somebody"))
    assert asked.usages.view(A) == UsageView(RayUsage(100.0, "somebody"), "", "head", 3.0)
    assert asked.told == [A]


def test_there_is_one_question_at_a_time() -> None:
    asked = Asked()
    asked.ask()
    asked.ask()
    assert len(asked.waiting) == 1
    asked.waiting[0](GcsError("timeout", "no"))
    assert asked.usages.view(A) == UsageView(None, "timeout: no", "head", 0.0)
    asked.ask()
    assert len(asked.waiting) == 2


def test_what_an_earlier_head_says_late_is_thrown_away() -> None:
    asked = Asked()
    asked.ask("first")
    asked.usages.forget(A)
    asked.ask("second")
    asked.waiting[0](RayUsage(100.0, "somebody"))
    assert (asked.usages.view(A), asked.told) == (None, [])
    asked.waiting[1](RayUsage(100.0))
    assert asked.usages.view(A) == UsageView(RayUsage(100.0), "", "second", 0.0)


def test_a_question_that_cannot_be_asked_is_an_answer_too() -> None:
    asked = Asked()

    def broken(done: Answer) -> None:
        raise RuntimeError("no event loop")

    asked.usages.ask(A, "head", broken)
    view = asked.usages.view(A)
    assert view and "no event loop" in view.error
    asked.ask()
    assert len(asked.waiting) == 1
