"""Room for what heads have answered: a share for each owner, more while there is room, and never more than twice it."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from autoscaler.gcs.client import Credentials
from autoscaler.gcs.errors import GcsError
from autoscaler.gcs.kept import Kept
from autoscaler.gcs.poller import Poller
from autoscaler.model import RayState

MIB = 2**20
Head = tuple[str, int]


def room(mib: int) -> Kept[Head]:
    return Kept(mib * MIB, lambda head: head[0])


def test_one_owner_may_fill_the_room_and_no_more() -> None:
    kept = room(10)
    assert not kept.takes(("a", 0), 11 * MIB)
    assert [kept.takes(("a", number), 4 * MIB) for number in range(4)] == [True, True, False, False]
    kept.drop(("a", 0))
    assert kept.takes(("a", 2), 4 * MIB)
    assert not kept.takes(("a", 3), 4 * MIB)


def test_what_is_kept_stays_whoever_comes_later() -> None:
    kept = room(10)
    assert kept.takes(("mine", 0), 4 * MIB)
    assert [kept.takes(("theirs", number), 5 * MIB) for number in range(20)].count(True) == 1
    assert kept.takes(("mine", 0), 4 * MIB)
    assert not kept.takes(("mine", 0), 8 * MIB)


def test_an_owner_that_comes_late_has_its_share() -> None:
    kept = room(10)
    assert [kept.takes(("first", number), MIB) for number in range(20)].count(True) == 10
    assert [kept.takes(("late", number), MIB) for number in range(20)].count(True) == 5


def test_an_answer_that_shrinks_makes_room_and_one_that_differs_by_little_does_not_count_anew() -> None:
    kept = room(10)
    assert kept.takes(("a", 0), 6 * MIB)
    assert kept.takes(("b", 0), 4 * MIB)
    assert kept.takes(("a", 0), 6 * MIB - 500)
    assert not kept.takes(("a", 1), MIB)
    assert kept.takes(("a", 0), 3 * MIB)
    assert kept.takes(("a", 1), MIB)


@pytest.mark.parametrize("seed", range(20))
def test_never_more_than_twice_the_room_and_nothing_is_counted_that_is_gone(seed: int) -> None:
    choose, kept = random.Random(seed), room(10)
    there: dict[Head, int] = {}
    for _ in range(2_000):
        head = (choose.choice("abcdefghijklmnopqrstuvwxyz"), choose.randint(0, 8))
        if choose.random() < 0.05:
            kept.drop(head)
            there.pop(head, None)
        elif kept.takes(head, size := choose.choice((0, 100, 300_000, MIB, 5 * MIB))):
            there[head] = size
        assert sum(there.values()) <= 20 * MIB
    for head in list(there):
        kept.drop(head)
    assert kept.takes(("z", 0), 10 * MIB)


@dataclass
class Answering:
    """A head whose answers are of a size."""

    size: int

    def begin_state(self, done: Callable[[RayState | GcsError], None]) -> None:
        done(RayState("s", 0.0, (), size=self.size))

    def close(self) -> None:
        pass


def test_a_head_whose_answer_is_not_kept_counts_as_silent_until_there_is_room() -> None:
    now = [100.0]
    heads = {"a": Answering(9 * MIB), "b": Answering(9 * MIB)}

    def connect(address: str, credentials: Credentials | None) -> Answering:
        return heads[address]

    poller: Poller[str, Answering] = Poller(
        connect, lambda key: None, lambda: now[0], lambda: 0.5, Kept(10 * MIB, lambda key: "owner")
    )
    for name in heads:
        poller.watch(name, name)
    for _ in range(2):
        poller.step()
    first, second = poller.latest("a"), poller.latest("b")
    assert first and first.state and first.error is None
    assert second and second.state is None and second.error and "no room" in second.error.message
    poller.forget("a")
    now[0] += 60
    for _ in range(2):
        poller.step()
    second = poller.latest("b")
    assert second and second.state and second.error is None
