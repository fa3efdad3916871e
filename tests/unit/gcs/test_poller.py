"""The poller, with a clock that only moves when told to and heads that answer when told to."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from autoscaler.gcs.client import Credentials, GcsClient
from autoscaler.gcs.errors import GcsError
from autoscaler.gcs.pacing import BUSY, IDLE, WARM, WARM_SECONDS, on_grid, pause
from autoscaler.gcs.poller import Poller
from autoscaler.gcs.snapshot import Snapshot, is_news
from autoscaler.model import Demand, Gang, NodeStatus, RayNode, RayState, Shape, Strategy
from tests.fakes.gcs import FakeGcs

EMPTY = RayState("session", 0.0, ())
WAITING = replace(EMPTY, demands=(Demand(Shape.of({"CPU": 1}), 1),))
GANG = replace(EMPTY, gangs=(Gang((), Strategy.PACK),))
SILENT = GcsError("timeout", "no answer")
GONE = GcsError("unreachable", "nobody there")


def worker(status: NodeStatus, idle_seconds: float = 0.0, *, head: bool = False) -> RayNode:
    return RayNode(b"n" * 28, "pod", "worker-node", status, {}, {}, {}, idle_seconds, head)


def with_nodes(*nodes: RayNode) -> RayState:
    return replace(EMPTY, nodes=nodes)


class Head:
    """A head that answers at once with ``answer``, or when told to if that is None."""

    def __init__(self, address: str, credentials: Credentials | None) -> None:
        self.address = address
        self.credentials = credentials
        self.answer: RayState | GcsError | None = EMPTY
        self.asked = 0
        self.waiting: list[Callable[[RayState | GcsError], None]] = []
        self.closed = False

    def begin_state(self, done: Callable[[RayState | GcsError], None]) -> None:
        self.asked += 1
        if self.answer is None:
            self.waiting.append(done)
        else:
            done(self.answer)

    def close(self) -> None:
        self.closed = True


class World:
    """A poller and its heads."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.news: list[str] = []
        self.made: list[Head] = []
        self.poller: Poller[str, Head] = Poller(self._make, self.news.append, lambda: self.now, lambda: 0.5)

    def _make(self, address: str, credentials: Credentials | None) -> Head:
        self.made.append(Head(address, credentials))
        return self.made[-1]

    def watch(self, key: str = "a") -> Head:
        self.poller.watch(key, f"{key}:6379")
        return self.made[-1]

    def run(self, seconds: float) -> list[float]:
        """Let time pass, stepping whenever something is due; the times, from now, at which it was."""
        start, end, times = self.now, self.now + seconds, []
        wait = self.poller.step()
        wait = self.poller.step()
        while wait is not None and self.now + wait < end:
            self.now += max(wait, 0)
            times.append(round(self.now - start, 3))
            self.poller.step()
            wait = self.poller.step()
        self.now = end
        return times

    def taken(self) -> list[str]:
        taken, self.news[:] = list(self.news), []
        return taken


@pytest.fixture
def world() -> World:
    return World()


@pytest.mark.parametrize(
    ("arguments", "seconds"),
    [
        ({"pace": BUSY, "heads": 1}, 0.2),
        ({"pace": BUSY, "heads": 60}, 0.2),
        ({"pace": BUSY, "heads": 300}, 1.0),
        ({"pace": BUSY, "heads": 1000}, 2.0),
        ({"pace": IDLE, "heads": 1}, 0.4),
        ({"pace": WARM, "heads": 60}, 0.4),
        ({"pace": WARM, "heads": 150}, 1.0),
        ({"pace": IDLE, "heads": 100}, 0.4),
        ({"pace": IDLE, "heads": 900}, 2.0),
        ({"pace": IDLE, "heads": 900, "jitter": 0.0}, 1.5),
        ({"pace": IDLE, "heads": 900, "jitter": 1.0}, 2.5),
        ({"pace": IDLE, "heads": 5_000}, 5.0),
        ({"pace": BUSY, "heads": 1, "items": 1_000}, 0.2),
        ({"pace": BUSY, "heads": 1, "items": 10_000}, 2.0),
        ({"pace": BUSY, "heads": 1, "failures": 1}, 0.4),
        ({"pace": IDLE, "heads": 1, "failures": 2}, 0.8),
        ({"pace": IDLE, "heads": 1, "failures": 5}, 6.4),
        ({"pace": IDLE, "heads": 1, "failures": 6}, 10.0),
        ({"pace": IDLE, "heads": 1, "failures": 6, "jitter": 1.0}, 10.0),
        ({"pace": IDLE, "heads": 1, "failures": 6, "jitter": 0.0}, 9.6),
        ({"pace": IDLE, "heads": 1, "failures": 100_000}, 10.0),
        ({"pace": BUSY, "heads": 1, "failures": 6}, 1.0),
        ({"pace": BUSY, "heads": 500, "failures": 6}, 5.0),
        ({"pace": BUSY, "heads": 5_000, "failures": 100_000}, 10.0),
    ],
)
def test_how_long_until_the_next_question(arguments: dict[str, Any], seconds: float) -> None:
    assert pause(**{"failures": 0, "items": 0, "jitter": 0.5, **arguments}) == pytest.approx(seconds)


def test_a_thousand_heads_are_asked_at_a_bounded_rate() -> None:
    for heads in (1, 10, 100, 1000):
        assert heads / IDLE.seconds(heads) <= 450.1
        assert heads / WARM.seconds(heads) <= 200.0
        assert heads / BUSY.seconds(heads) <= 500.0


def test_work_that_comes_to_a_lone_idle_cluster_is_seen_within_a_second() -> None:
    slowest = pause(pace=IDLE, heads=40, failures=0, items=0, jitter=1.0) + IDLE.grid / 2
    assert slowest <= 0.6 + 1e-9


def test_dues_meet_on_the_grid() -> None:
    assert on_grid(1.13, 0.2) == pytest.approx(1.2)
    assert on_grid(1.09, 0.2) == pytest.approx(1.0)


BASE = Snapshot(with_nodes(worker(NodeStatus.IDLE, 1.0)))


@pytest.mark.parametrize(
    ("before", "after", "news"),
    [
        (None, Snapshot(EMPTY), True),
        (None, Snapshot(None, GONE, 1.0), True),
        (BASE, BASE, False),
        (BASE, Snapshot(replace(with_nodes(worker(NodeStatus.IDLE, 60.0)), taken_at=9.0)), False),
        (BASE, Snapshot(with_nodes(worker(NodeStatus.RUNNING))), True),
        (BASE, Snapshot(EMPTY), True),
        (Snapshot(EMPTY), Snapshot(WAITING), True),
        (Snapshot(EMPTY), Snapshot(GANG), True),
        (Snapshot(EMPTY), Snapshot(replace(EMPTY, requested=WAITING.demands)), True),
        (Snapshot(EMPTY), Snapshot(replace(EMPTY, session="another")), True),
        (BASE, Snapshot(BASE.state, GONE, 1.0), True),
        (Snapshot(EMPTY, GONE, 1.0), Snapshot(EMPTY, GcsError("unreachable", "other words"), 1.0), False),
        (Snapshot(EMPTY, GONE, 1.0), Snapshot(EMPTY, SILENT, 1.0), True),
        (Snapshot(None, GONE, 1.0), Snapshot(EMPTY), True),
        (Snapshot(EMPTY, GONE, 1.0), Snapshot(EMPTY), True),
        (Snapshot(None, GONE, 1.0), Snapshot(None, GONE, 1.0), False),
    ],
)
def test_what_is_news(before: Snapshot | None, after: Snapshot, news: bool) -> None:
    assert is_news(before, after) is news


def test_a_watched_head_is_asked_at_once_and_its_answer_is_news(world: World) -> None:
    world.watch()
    assert world.poller.latest("a") is None
    assert world.run(0.01) == []
    assert world.poller.latest("a") == Snapshot(EMPTY)
    assert world.taken() == ["a"]


def test_an_idle_head_is_asked_now_and_then_and_the_same_answer_is_no_news(world: World) -> None:
    head = world.watch()
    assert world.run(2.1) == [0.4, 0.8, 1.2, 1.6, 2.0]
    assert head.asked == 6
    assert world.taken() == ["a"]


@pytest.mark.parametrize("answer", [WAITING, GANG])
def test_a_head_where_something_waits_is_asked_often(world: World, answer: RayState) -> None:
    world.watch().answer = answer
    assert world.run(1.05) == [0.2, 0.4, 0.6, 0.8, 1.0]


def test_a_hint_takes_effect_at_once_and_until_withdrawn(world: World) -> None:
    head = world.watch()
    world.run(0.25)
    world.poller.hint("a", busy=True)
    assert head.asked == 1
    assert world.run(0.5)
    assert head.asked == 4
    world.poller.hint("a", busy=False)
    world.run(1.0)
    assert head.asked <= 7


def test_repeating_a_hint_asks_no_more_often(world: World) -> None:
    head = world.watch()
    for _ in range(100):
        world.poller.hint("a", busy=True)
        world.run(0.01)
    assert head.asked <= 6


def test_a_hint_about_a_head_in_backoff_asks_it_at_once(world: World) -> None:
    head = world.watch()
    head.answer = GONE
    world.run(30)
    asked = head.asked
    world.poller.hint("a", busy=True)
    world.run(0.01)
    assert head.asked == asked + 1


def test_repeating_a_hint_leaves_the_backoff_alone(world: World) -> None:
    """A head that is expected to answer is asked every second, however often that is said."""
    head = world.watch()
    head.answer = GONE
    world.poller.hint("a", busy=True)
    world.run(30)
    asked = head.asked
    for _ in range(100):
        world.poller.hint("a", busy=True)
        world.run(0.1)
    assert 9 <= head.asked - asked <= 11


def test_hints_about_unknown_heads_are_nothing(world: World) -> None:
    world.poller.hint("nobody", busy=True)
    assert world.poller.step() is None


def test_a_changed_answer_is_news_once(world: World) -> None:
    head = world.watch()
    world.run(1)
    world.taken()
    head.answer = WAITING
    world.run(2)
    assert world.taken() == ["a"]


def test_while_a_worker_idles_its_key_comes_about_every_second(world: World) -> None:
    world.watch().answer = with_nodes(worker(NodeStatus.IDLE))
    world.run(10)
    assert 8 <= len(world.taken()) <= 11


def test_the_heads_own_idleness_is_no_news(world: World) -> None:
    world.watch().answer = with_nodes(worker(NodeStatus.IDLE, head=True))
    world.run(10)
    assert world.taken() == ["a"]


def test_a_head_that_fails_is_asked_with_backoff_and_its_last_answer_kept(world: World) -> None:
    head = world.watch()
    world.run(0.3)
    world.taken()
    head.answer = GONE
    times = world.run(60)
    assert times[0] == pytest.approx(0.1)
    gaps = [round(b - a, 2) for a, b in pairwise(times)]
    assert gaps == sorted(gaps)
    assert gaps[-1] == 10.0
    snapshot = world.poller.latest("a")
    assert snapshot
    assert (snapshot.state, snapshot.error) == (EMPTY, GONE)
    assert snapshot.failing_since == pytest.approx(1000.4)
    assert world.taken() == ["a"]


def test_a_head_that_is_back_is_news_and_asked_as_before(world: World) -> None:
    head = world.watch()
    head.answer = GONE
    world.run(60)
    world.taken()
    head.answer = EMPTY
    world.run(11)
    assert world.poller.latest("a") == Snapshot(EMPTY)
    assert world.taken() == ["a"]
    asked = head.asked
    world.run(4)
    assert 9 <= head.asked - asked <= 11


def test_a_silent_head_is_asked_once_and_costs_the_others_nothing(world: World) -> None:
    silent, lively = world.watch("silent"), world.watch("lively")
    silent.answer = None
    world.run(2.1)
    assert (silent.asked, lively.asked) == (1, 6)
    assert world.poller.latest("silent") is None
    silent.waiting.pop()(SILENT)
    world.poller.step()
    assert world.poller.latest("silent") == Snapshot(None, SILENT, world.now)


def test_watching_the_same_again_changes_nothing(world: World) -> None:
    head = world.watch()
    world.run(0.1)
    world.poller.watch("a", "a:6379")
    world.run(0.1)
    assert (world.made, head.asked) == ([head], 1)


@pytest.mark.parametrize(("address", "credentials"), [("b:6379", None), ("a:6379", Credentials("token"))])
def test_a_head_elsewhere_is_another_head(world: World, address: str, credentials: Credentials | None) -> None:
    """What the old one said says nothing of the new one."""
    old = world.watch()
    world.poller.hint("a", busy=True)
    world.run(0.1)
    old.answer = None
    world.run(0.2)
    world.poller.watch("a", address, credentials)
    new = world.made[-1]
    assert (new.address, new.credentials, old.closed, new.closed) == (address, credentials, True, False)
    assert world.poller.latest("a") is None
    old.waiting.pop()(WAITING)
    world.run(1.05)
    assert world.poller.latest("a") == Snapshot(EMPTY)
    assert new.asked >= 5, "the hint is about the cluster, whoever its head is"


def test_a_forgotten_head_is_closed_and_not_asked_and_its_late_answer_nothing(world: World) -> None:
    head = world.watch()
    head.answer = None
    world.run(0.1)
    world.poller.forget("a")
    assert head.closed
    head.waiting.pop()(EMPTY)
    world.run(10)
    assert (head.asked, world.taken(), world.poller.latest("a"), world.poller.client("a")) == (1, [], None, None)
    assert world.poller.step() is None
    world.poller.forget("a")


def test_the_connection_is_at_hand_for_reports_and_drains(world: World) -> None:
    head = world.watch()
    assert world.poller.client("a") is head


def test_many_busy_heads_share_the_pace(world: World) -> None:
    for number in range(600):
        world.watch(f"head-{number}").answer = WAITING
    world.run(8)
    before = sum(head.asked for head in world.made)
    world.run(10)
    asked = sum(head.asked for head in world.made) - before
    assert 2400 <= asked <= 3600, "BUSY.rate is 300 a second"


def test_one_cluster_of_many_that_gets_busy_is_asked_as_if_alone(world: World) -> None:
    for number in range(300):
        world.watch(f"head-{number}")
    world.run(5)
    busy = world.made[7]
    world.poller.hint("head-7", busy=True)
    before = busy.asked
    world.run(2)
    assert busy.asked - before >= 9


def test_a_head_where_something_has_just_happened_is_asked_more_often_than_a_thousand_idle_ones(world: World) -> None:
    for number in range(900):
        world.watch(f"head-{number}")
    world.run(10)
    warm = world.made[7]
    warm.answer = with_nodes(worker(NodeStatus.RUNNING))
    world.run(5)
    before = warm.asked
    world.run(4)
    assert warm.asked - before >= 9
    world.run(WARM_SECONDS)
    before = warm.asked
    world.run(4)
    assert warm.asked - before <= 3


def test_a_client_that_raises_and_a_listener_that_raises_stop_nothing(
    world: World, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a bug")

    bad, good = world.watch("bad"), world.watch("good")
    monkeypatch.setattr(bad, "begin_state", broken)
    monkeypatch.setattr(world.poller, "_on_change", broken)
    world.run(2.1)
    assert good.asked == 6
    snapshot = world.poller.latest("bad")
    assert snapshot
    assert snapshot.error
    assert snapshot.error.kind == "invalid"
    assert "a bug" in caplog.text


@pytest.fixture
def gcs() -> Iterator[FakeGcs]:
    gcs = FakeGcs()
    yield gcs
    gcs.close()


@pytest.fixture
def silent() -> Iterator[FakeGcs]:
    silent = FakeGcs()
    silent.hold = True
    yield silent
    silent.close()


def test_with_threads_and_sockets(gcs: FakeGcs, silent: FakeGcs) -> None:
    """Many silent heads, an absent one and a good one: the good one's changes arrive, and everything ends."""
    arrived, changed = threading.Event(), threading.Event()

    def news(key: str) -> None:
        snapshot = poller.latest(key)
        if key == "good" and snapshot and snapshot.state:
            (changed if snapshot.state.demands else arrived).set()

    poller: Poller[str, GcsClient] = Poller(GcsClient, news)
    poller.start()
    for number in range(20):
        poller.watch(f"silent-{number}", silent.address)
    poller.watch("absent", "127.0.0.1:1")
    poller.watch("good", gcs.address)
    assert arrived.wait(20)
    gcs.demands = WAITING.demands
    assert changed.wait(20)
    names = [thread.name for thread in threading.enumerate()]
    assert (names.count("poller"), names.count("gcs")) == (1, 1)
    poller.stop()
    assert poller.latest("good") is None
    assert "poller" not in [thread.name for thread in threading.enumerate()]


@pytest.mark.parametrize(
    "answer",
    [replace(WAITING, cost=3.0), replace(EMPTY, cost=3.0), GcsError("invalid", "10001 nodes", 3.0)],
    ids=["work waits", "idle", "no answer of a head"],
)
def test_a_head_whose_answers_cost_seconds_is_asked_less_often_than_others(
    world: World, answer: RayState | GcsError
) -> None:
    dear, cheap = world.watch("dear"), world.watch("cheap")
    dear.answer = answer
    world.run(600)
    assert dear.asked * 3.0 <= 600 * 0.05 + 3.0
    assert cheap.asked > 600


@pytest.mark.parametrize("failures", [0, 1, 20])
def test_no_head_takes_more_than_a_twentieth_of_a_core_whatever_it_answers(failures: int) -> None:
    waited = pause(pace=BUSY, heads=1, failures=failures, items=0, jitter=0.0, cost=3.0)
    assert waited >= 3.0 / 0.05
