"""The real queue beside a model of a dozen lines, through random interleavings of all that can be asked of it."""

from __future__ import annotations

import math

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from controller.kube.workqueue import (
    LONGEST_DELAY_SECONDS,
    NEWS_SECONDS,
    RETRY_BASE_SECONDS,
    RETRY_LIMIT_SECONDS,
    WorkQueue,
)
from tests.support.queues import drain

KEYS = st.sampled_from("abcd")
DELAYS = st.sampled_from([-1.0, 0.0, 0.1, 1.0, 4.9, 5.0, 60.0, 3599.0, 1e12, math.inf, math.nan])


class Model:
    """What must be handed out: ``ready`` now, in this order, ``later`` from a time on, ``again`` once let go of."""

    def __init__(self) -> None:
        self.now = 0.0
        self.ready: list[str] = []
        self.later: dict[str, float] = {}
        self.held: set[str] = set()
        self.again: set[str] = set()
        self.news: set[str] = set()
        self.failures: dict[str, int] = {}

    def add(self, key: str) -> None:
        if key in self.held:
            self.again.add(key)
        elif key not in self.ready:
            self.ready.append(key)

    def add_after(self, key: str, seconds: float) -> None:
        wait = 0.0 if math.isnan(seconds) else max(0.0, min(seconds, LONGEST_DELAY_SECONDS))
        self.later[key] = min(self.later.get(key, math.inf), self.now + wait)

    def add_news(self, key: str) -> None:
        if key in self.held:
            self.news.add(key)
        elif key in self.failures:
            self.add_after(key, NEWS_SECONDS)
        else:
            self.add(key)

    def fall_due(self) -> None:
        for key in sorted((k for k, due in self.later.items() if due <= self.now), key=lambda k: self.later[k]):
            del self.later[key]
            self.add(key)


class Interleavings(RuleBasedStateMachine):
    """Several workers, producers and a clock that jumps, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.queue: WorkQueue[str] = WorkQueue(lambda: self.model.now)

    @rule(key=KEYS)
    def add(self, key: str) -> None:
        self.queue.add(key)
        self.model.add(key)

    @rule(key=KEYS)
    def add_news(self, key: str) -> None:
        self.queue.add_news(key)
        self.model.add_news(key)

    @rule(key=KEYS, seconds=DELAYS)
    def add_after(self, key: str, seconds: float) -> None:
        self.queue.add_after(key, seconds)
        self.model.add_after(key, seconds)

    @rule(seconds=st.sampled_from([0.05, 0.2, 1.0, 5.0, 130.0, 3600.0]))
    def pass_time(self, seconds: float) -> None:
        self.model.now += seconds

    @rule()
    def fall_due(self) -> None:
        with self.queue._change:
            self.queue._move_due()
        self.model.fall_due()
        # Checked before anything is taken: a key that is missing would be waited for.
        assert len(self.queue) == len(self.model.ready)

    @precondition(lambda self: self.model.ready)
    @rule()
    def take(self) -> None:
        self.fall_due()
        key = self.queue.take()
        assert key is not None
        # Of those that fell due at the same instant either may be first.
        assert key in self.model.ready
        assert key not in self.model.held, "a key in two hands"
        self.model.ready.remove(key)
        self.model.held.add(key)

    @precondition(lambda self: self.model.held)
    @rule(data=st.data(), failed=st.booleans(), look_again=st.none() | DELAYS)
    def finish(self, data: st.DataObject, failed: bool, look_again: float | None) -> None:
        """A pass ends as the operator ends it: retry or forget, perhaps look again, done."""
        key = data.draw(st.sampled_from(sorted(self.model.held)))
        if failed:
            before = self.model.failures.get(key, 0)
            self.model.failures[key] = before + 1
            delay = min(RETRY_BASE_SECONDS * 2.0**before, RETRY_LIMIT_SECONDS)
            assert self.queue.retry(key) == delay
            self.model.add_after(key, delay)
        else:
            self.queue.forget(key)
            self.model.failures.pop(key, None)
        if look_again is not None:
            self.queue.add_after(key, look_again)
            self.model.add_after(key, look_again)
        self.queue.done(key)
        self.model.held.discard(key)
        if key in self.model.again:
            self.model.again.discard(key)
            self.model.add(key)
        if key in self.model.news:
            self.model.news.discard(key)
            self.model.add_news(key)

    @invariant()
    def nothing_is_lost(self) -> None:
        assert len(self.queue) <= len(self.model.ready) + len(self.model.later)

    def teardown(self) -> None:
        """All that is owed is handed out once its time has come, and nothing else."""
        for key in sorted(self.model.held):
            self.queue.forget(key)
            self.model.failures.pop(key, None)
            self.queue.done(key)
        owed = self.model.again | self.model.news | set(self.model.ready) | set(self.model.later)
        self.model.now += 2 * LONGEST_DELAY_SECONDS
        assert set(drain(self.queue)) == owed


TestInterleavings = Interleavings.TestCase
TestInterleavings.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
