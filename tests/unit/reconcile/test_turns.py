"""Clusters take turns with their requests."""

from __future__ import annotations

import threading
import time
from concurrent.futures import CancelledError, Future

import pytest

from controller.reconcile.turns import FairExecutor, Turns

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
    turns: Turns[str, str] = Turns(most=99)
    counts: dict[str, int] = {}
    taken = []
    for step in steps:
        if step == ".":
            taken.append(turns.take()[1])
        else:
            counts[step] = counts.get(step, 0) + 1
            turns.add(step, f"{step}{counts[step]}")
    assert " ".join(taken) == wanted
    assert len(turns) == len(steps) - 2 * len(taken)


def test_a_lane_of_which_enough_is_taken_is_passed_over_until_one_is_done() -> None:
    turns: Turns[str, int] = Turns(most=2)
    for number in range(4):
        turns.add("big", number)
    assert [turns.take(), turns.take(), bool(turns), len(turns)] == [("big", 0), ("big", 1), False, 2]
    turns.add("big", 4)
    turns.add("small", 5)
    assert [turns.take(), bool(turns)] == [("small", 5), False]
    turns.done("small")
    turns.done("big")
    assert [turns.take(), bool(turns)] == [("big", 2), False]
    turns.done("big")
    turns.done("big")
    assert [turns.take(), turns.take(), bool(turns), len(turns)] == [("big", 3), ("big", 4), False, 0]


def test_what_is_cleared_is_taken_by_nobody() -> None:
    turns: Turns[str, int] = Turns(most=1)
    turns.add("a", 1)
    turns.take()
    turns.add("a", 2)
    turns.add("b", 3)
    assert (sorted(turns.clear()), len(turns), bool(turns)) == ([2, 3], 0, False)


def test_nothing_is_taken_where_nothing_waits() -> None:
    with pytest.raises(LookupError):
        Turns[str, str](1).take()


@pytest.mark.parametrize("others", [1, 50])
def test_those_who_ask_for_little_wait_for_one_request_of_the_one_who_asks_for_much(others: int) -> None:
    """The one thread is busy while all of it is asked for."""
    gate = threading.Event()
    order: list[str] = []
    fair = FairExecutor(1, 2)
    first = fair.of("big").submit(gate.wait)
    much = [fair.of("big").submit(order.append, "big") for _ in range(5_000)]
    little = [fair.of(number).submit(order.append, "little") for number in range(others)]
    gate.set()
    first.result(60)
    for future in (*much, *little):
        future.result(60)
    fair.shutdown()
    assert order[: others + 1] == ["big", *["little"] * others]


def test_results_and_errors_come_to_those_who_asked() -> None:
    fair = FairExecutor(3, 3)
    assert list(fair.of("a").map(lambda n: 10 // n, [1, 2, 5])) == [10, 5, 2]
    failed: Future[int] = fair.of("b").submit(lambda: 10 // 0)
    with pytest.raises(ZeroDivisionError):
        failed.result(60)
    ran: list[int] = []

    def divide(number: int) -> int:
        ran.append(number)
        return 10 // number

    with pytest.raises(ZeroDivisionError):
        fair.of("a").map(divide, [1, 0, 2, 0, 5])
    # One that fails keeps no other from being tried.
    assert sorted(ran) == [0, 0, 1, 2, 5]
    assert list(fair.of("a").map(str, [])) == []
    fair.shutdown()


def test_no_more_threads_than_were_allowed_and_none_for_nothing() -> None:
    fair, gate = FairExecutor(4, 4), threading.Event()
    waiting = [fair.of(n).submit(lambda: (gate.wait(), threading.current_thread())[1]) for n in range(40)]
    gate.set()
    assert len({future.result(60) for future in waiting}) <= 4
    fair.shutdown()
    with pytest.raises(RuntimeError):
        fair.of("a").submit(print)


def test_no_more_of_one_cluster_run_at_a_time_than_were_allowed_and_all_of_them_run() -> None:
    fair, lock = FairExecutor(8, 3), threading.Lock()
    now: dict[str, int] = {"a": 0, "b": 0}
    most = 0

    def call(key: str) -> str:
        nonlocal most
        with lock:
            now[key] += 1
            most = max(most, now[key])
        time.sleep(0)
        with lock:
            now[key] -= 1
        return key

    other = threading.Thread(target=lambda: list(fair.of("b").map(call, ["b"] * 500)))
    other.start()
    assert list(fair.of("a").map(call, ["a"] * 500)) == ["a"] * 500
    other.join(60)
    assert not other.is_alive()
    assert most <= 3
    fair.shutdown()


def test_a_batch_that_takes_too_long_is_given_up() -> None:
    fair, gate = FairExecutor(1, 2), threading.Event()
    with pytest.raises(TimeoutError):
        fair.of("a").map(lambda _: gate.wait(), [1], timeout=0.01)
    gate.set()
    fair.shutdown()


def test_what_is_cancelled_does_not_run() -> None:
    gate = threading.Event()
    ran: list[int] = []
    fair = FairExecutor(1, 2)
    fair.of("a").submit(gate.wait)
    cancelled = fair.of("a").submit(ran.append, 1)
    assert cancelled.cancel()
    last = fair.of("a").submit(ran.append, 2)
    gate.set()
    last.result(60)
    fair.shutdown()
    assert ran == [2]


def test_the_shutdown_lets_go_of_those_who_wait_for_what_has_not_begun() -> None:
    gate, fair = threading.Event(), FairExecutor(1, 2)
    fair.of("a").submit(gate.wait)
    single = fair.of("a").submit(print)
    ended: list[BaseException] = []

    def wait() -> None:
        try:
            fair.of("b").map(print, [1, 2])
        except CancelledError as error:
            ended.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    while len(fair._turns) < 3:
        time.sleep(0.001)
    fair.shutdown()
    waiting.join(60)
    gate.set()
    assert (len(ended), single.cancelled()) == (1, True)


def test_a_thread_that_has_been_called_is_not_counted_on_by_the_next_one() -> None:
    """It was called for the first call and has not woken up yet, when the second one comes: that needs another."""
    fair, gate = FairExecutor(4, 4), threading.Event()
    assert fair.of("a").submit(int).result(60) == 0
    others: list[Future[int]] = []
    while not others:
        # Who holds this keeps a thread that rests from waking up.
        with fair._change:
            if fair._resting:
                fair.of("a").submit(gate.wait)
                others.append(fair.of("b").submit(int))
    assert others[0].result(20) == 0
    gate.set()
    fair.shutdown()


def test_where_no_thread_can_be_had_nothing_waits_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    fair = FairExecutor(2, 2)
    started: list[str] = []

    def refuse(thread: threading.Thread) -> None:
        started.append(thread.name)
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        for _ in range(3):
            with pytest.raises(CancelledError):
                fair.of("a").map(str, [1, 2, 3])
    assert started == ["write"] * 6
    assert list(fair.of("a").map(str, [4])) == ["4"]
    fair.shutdown()


def test_those_that_can_be_had_do_all_of_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    fair, start = FairExecutor(3, 3), threading.Thread.start
    had: list[threading.Thread] = []

    def refuse(thread: threading.Thread) -> None:
        if had:
            raise RuntimeError("can't start new thread")
        had.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert list(fair.of("a").map(str, range(5))) == list("01234")
    fair.shutdown()
