"""Clusters take turns with their requests."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from controller.reconcile.turns import FairExecutor, Turns
from tests.fakes.api import InlineExecutor

# What is added (a letter: a lane's item) and taken (a dot), and what is taken in the end.
ORDERS = {
    "one lane": ("aaa...", "a1 a2 a3"),
    "two lanes": ("aaab....", "a1 b1 a2 a3"),
    "a late one waits for one turn": ("aaaa.b...", "a1 a2 b1 a3"),
    "many late ones": ("aaaabcde......", "a1 b1 c1 d1 e1 a2"),
    "the second of a small one": ("aaaabb......", "a1 b1 a2 b2 a3 a4"),
    "an emptied lane begins behind": ("ab.a..", "a1 b1 a2"),
    "an emptied lane gains no turn": ("aaab..b...", "a1 b1 a2 b2 a3"),
}


@pytest.mark.parametrize("case", ORDERS)
def test_lanes_take_turns(case: str) -> None:
    steps, wanted = ORDERS[case]
    turns: Turns[str, str] = Turns()
    counts: dict[str, int] = {}
    taken = []
    for step in steps:
        if step == ".":
            taken.append(turns.take())
        else:
            counts[step] = counts.get(step, 0) + 1
            turns.add(step, f"{step}{counts[step]}")
    assert " ".join(taken) == wanted
    assert len(turns) == len(steps) - 2 * len(taken)


def test_nothing_is_taken_where_nothing_waits() -> None:
    with pytest.raises(LookupError):
        Turns[str, str]().take()


@pytest.mark.parametrize("others", [1, 50])
def test_those_who_ask_for_little_wait_for_one_request_of_the_one_who_asks_for_much(others: int) -> None:
    """The one thread is busy while all of it is asked for."""
    gate = threading.Event()
    order: list[str] = []
    with ThreadPoolExecutor(1) as threads:
        fair = FairExecutor(threads)
        first = fair.of("big").submit(gate.wait)
        much = [fair.of("big").submit(order.append, "big") for _ in range(5_000)]
        little = [fair.of(number).submit(order.append, "little") for number in range(others)]
        gate.set()
        first.result(60)
        for future in (*much, *little):
            future.result(60)
    assert order[: others + 1] == ["big", *["little"] * others]


def test_results_and_errors_come_to_those_who_asked() -> None:
    fair = FairExecutor(InlineExecutor())
    assert list(fair.of("a").map(lambda n: 10 // n, [1, 2, 5])) == [10, 5, 2]
    failed: Future[int] = fair.of("b").submit(lambda: 10 // 0)
    with pytest.raises(ZeroDivisionError):
        failed.result()


def test_what_is_cancelled_does_not_run() -> None:
    gate = threading.Event()
    ran: list[int] = []
    with ThreadPoolExecutor(1) as threads:
        fair = FairExecutor(threads)
        fair.of("a").submit(gate.wait)
        cancelled = fair.of("a").submit(ran.append, 1)
        assert cancelled.cancel()
        last = fair.of("a").submit(ran.append, 2)
        gate.set()
        last.result(60)
    assert ran == [2]
