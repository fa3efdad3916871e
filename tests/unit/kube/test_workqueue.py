"""The work queue, with a clock that only moves when told to."""

from __future__ import annotations

import math
import threading
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.kube.workqueue import NEWS_SECONDS, RETRY_LIMIT_SECONDS, WorkQueue
from tests.support.queues import drain


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def queue(clock: Clock) -> WorkQueue[str]:
    return WorkQueue(clock)


def test_keys_come_out_in_the_order_they_went_in_and_once(queue: WorkQueue[str]) -> None:
    for key in ("a", "b", "a", "c"):
        queue.add(key)
    assert drain(queue) == ["a", "b", "c"]


def test_a_key_changed_while_in_hand_comes_again_after_done_and_not_before(queue: WorkQueue[str]) -> None:
    queue.add("a")
    assert queue.take() == "a"
    queue.add("a")
    queue.add("b")
    assert queue.take() == "b"
    queue.done("a")
    assert drain(queue) == ["a"]


def test_a_key_not_changed_in_hand_does_not_come_again(queue: WorkQueue[str]) -> None:
    queue.add("a")
    queue.take()
    queue.done("a")
    assert drain(queue) == []


def test_a_busy_cluster_goes_to_the_back_of_the_line(queue: WorkQueue[str]) -> None:
    queue.add("busy")
    queue.add("quiet")
    assert queue.take() == "busy"
    queue.add("busy")
    queue.done("busy")
    assert drain(queue) == ["quiet", "busy"]


def test_a_delayed_key_comes_when_due_and_not_earlier(queue: WorkQueue[str], clock: Clock) -> None:
    queue.add_after("a", 5)
    clock.now = 4.99
    assert drain(queue) == []
    clock.now = 5
    assert drain(queue) == ["a"]


def test_delayed_keys_come_in_the_order_of_their_time(queue: WorkQueue[str], clock: Clock) -> None:
    queue.add_after("late", 5)
    queue.add_after("early", 1)
    clock.now = 10
    assert drain(queue) == ["early", "late"]


def test_a_key_falling_due_in_hand_comes_again(queue: WorkQueue[str], clock: Clock) -> None:
    queue.add("a")
    queue.take()
    queue.add_after("a", 1)
    clock.now = 1
    assert drain(queue) == []
    queue.done("a")
    assert drain(queue) == ["a"]


def test_of_several_delays_the_earliest_counts_once(queue: WorkQueue[str], clock: Clock) -> None:
    """A cluster that fails on each of fifty events is not retried fifty times over."""
    for seconds in (9, 3, 5):
        queue.add_after("a", seconds)
    clock.now = 3
    assert drain(queue) == ["a"]
    clock.now = 100
    assert drain(queue) == []


def test_after_an_early_look_a_later_one_can_be_asked_for(queue: WorkQueue[str], clock: Clock) -> None:
    queue.add_after("a", 3)
    clock.now = 3
    assert drain(queue) == ["a"]
    queue.add_after("a", 9)
    clock.now = 12
    assert drain(queue) == ["a"]


def test_retries_double_up_to_a_limit_and_start_over_after_success(queue: WorkQueue[str]) -> None:
    delays = [queue.retry("a") for _ in range(40)]
    assert delays[:4] == [0.2, 0.4, 0.8, 1.6]
    assert delays[-1] == RETRY_LIMIT_SECONDS
    queue.forget("a")
    assert queue.retry("a") == 0.2
    assert queue.retry("b") == 0.2


def test_a_retried_key_comes_again(queue: WorkQueue[str], clock: Clock) -> None:
    queue.retry("a")
    assert drain(queue) == []
    clock.now = 0.2
    assert drain(queue) == ["a"]


def test_a_closed_queue_hands_out_nothing(queue: WorkQueue[str]) -> None:
    queue.add("a")
    queue.close()
    assert queue.take() is None


def test_closing_wakes_those_who_wait(queue: WorkQueue[str]) -> None:
    answers: list[str | None] = []
    waiting = threading.Thread(target=lambda: answers.append(queue.take()))
    waiting.start()
    queue.close()
    waiting.join(5)
    assert answers == [None]


def test_a_waiting_worker_is_woken_by_a_key(queue: WorkQueue[str]) -> None:
    answers: list[str | None] = []
    waiting = threading.Thread(target=lambda: answers.append(queue.take()))
    waiting.start()
    queue.add("a")
    waiting.join(5)
    assert answers == ["a"]


def test_a_waiting_worker_is_woken_by_a_delay_that_is_over() -> None:
    queue: WorkQueue[str] = WorkQueue()
    answers: list[str | None] = []
    waiting = threading.Thread(target=lambda: answers.append(queue.take()))
    waiting.start()
    queue.add_after("late", 300)
    queue.add_after("a", 0.01)
    waiting.join(5)
    assert answers == ["a"]


KEYS = st.sampled_from("abc")
STEPS = st.lists(st.tuples(st.sampled_from(["add", "later", "retry", "take", "done", "tick"]), KEYS), max_size=60)


@given(STEPS)
def test_no_change_is_lost_and_no_key_is_in_two_hands(steps: list[tuple[str, str]]) -> None:
    """A model of what is owed: after every story, each key changed since it was last taken comes out."""
    clock = Clock()
    queue: WorkQueue[str] = WorkQueue(clock)
    owed: set[str] = set()
    due: dict[str, float] = {}
    hands: set[str] = set()
    for step, key in steps:
        if step == "add":
            queue.add(key)
            owed.add(key)
        elif step == "later":
            queue.add_after(key, 2)
            due[key] = min(due.get(key, math.inf), clock.now + 2)
        elif step == "retry":
            due[key] = min(due.get(key, math.inf), clock.now + queue.retry(key))
        elif step == "tick":
            clock.now += 1
        elif step == "done" and key in hands:
            hands.remove(key)
            queue.done(key)
        elif step == "take":
            queue.add("stop")
            taken = queue.take()
            assert taken is not None
            assert taken not in hands
            if taken == "stop":
                queue.done("stop")
            else:
                hands.add(taken)
                owed.discard(taken)
                due = {k: t for k, t in due.items() if k != taken or t > clock.now}
    clock.now += 1000
    for key in hands:
        queue.done(key)
    assert owed | set(due) <= set(drain(queue))


def test_twenty_producers_and_eight_consumers_lose_nothing_and_never_share_a_key() -> None:
    queue: WorkQueue[int] = WorkQueue()
    lock = threading.Lock()
    latest: Counter[int] = Counter()
    worked: Counter[int] = Counter()
    held: set[int] = set()
    shared: list[int] = []
    produced, finished = threading.Event(), threading.Event()

    def produce(number: int) -> None:
        for turn in range(100):
            key = (number + turn) % 10
            with lock:
                latest[key] += 1
            if turn % 10:
                queue.add(key)
            else:
                queue.add_after(key, 0.0)

    def consume() -> None:
        while (key := queue.take()) is not None:
            with lock:
                shared.extend([key] if key in held else [])
                held.add(key)
                worked[key] = latest[key]
                if produced.is_set() and worked == latest:
                    finished.set()
            with lock:
                held.discard(key)
            queue.done(key)

    consumers = [threading.Thread(target=consume) for _ in range(8)]
    producers = [threading.Thread(target=produce, args=(n,)) for n in range(20)]
    for thread in (*consumers, *producers):
        thread.start()
    for thread in producers:
        thread.join(20)
    produced.set()
    queue.add(-1)
    assert finished.wait(20), "a change was lost"
    queue.close()
    for thread in consumers:
        thread.join(20)
    assert not shared


def test_frequent_news_do_not_undo_a_backoff() -> None:
    """A key that fails is not handed out for each of the news that come all the time; a change hands it out."""
    clock = Clock()
    queue: WorkQueue[str] = WorkQueue(clock)
    for _ in range(10):
        queue.retry("a")
        clock.now += 120.0
        assert queue.take() == "a"
        queue.done("a")
    assert queue.retry("a") > 100.0
    queue.add_news("a")
    queue.add_news("b")
    assert queue.take() == "b"
    clock.now += NEWS_SECONDS - 1.0
    queue.add_news("a")
    assert len(queue) == 0
    clock.now += 1.0
    assert queue.take() == "a"
    queue.done("a")
    queue.add("a")
    assert queue.take() == "a"
    queue.forget("a")
    queue.done("a")
    queue.add_news("a")
    assert queue.take() == "a"


def test_news_that_come_while_a_key_that_failed_before_is_in_hand_are_not_lost(
    queue: WorkQueue[str], clock: Clock
) -> None:
    queue.add("a")
    assert queue.take() == "a"
    queue.retry("a")
    queue.done("a")
    clock.now = 1.0
    assert queue.take() == "a"
    queue.add_news("a")
    queue.forget("a")
    queue.done("a")
    assert drain(queue) == ["a"]


@pytest.mark.parametrize(
    ("seconds", "first"), [(6e10, "soon"), (math.inf, "soon"), (math.nan, "any number"), (-1.0, "any number")]
)
def test_no_delay_ends_a_worker_that_waits(seconds: float, first: str) -> None:
    """Threads cannot wait for as long as a spec can say."""
    real: WorkQueue[str] = WorkQueue()
    real.add_after("any number", seconds)
    real.add_after("soon", 0.01)
    assert real.take() == first
