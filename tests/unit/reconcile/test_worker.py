"""A worker's loop: what becomes of a cluster after each kind of pass."""

from __future__ import annotations

from typing import cast

import pytest

from controller.kube.client import ApiError
from controller.kube.events import Events
from controller.kube.leadership import Leadership
from controller.kube.workqueue import NEWS_SECONDS, RETRY_BASE_SECONDS, WorkQueue
from controller.raycluster.model import Key
from controller.reconcile.hooks import Hooks, Outcome
from controller.reconcile.reconciler import DONE, Reconciler, Result
from controller.reconcile.worker import Owner, ReconcileWorker
from tests.support.world import KEY, World


class Passes(Hooks):
    """A reconciler of which each pass ends as the test says, and what its hooks are called with."""

    def __init__(self, *ends: Result | Exception) -> None:
        self.ends = list(ends)
        self.let_gone: list[Key] = []
        self.outcomes: list[tuple[Outcome, float]] = []

    def reconcile(self, key: Key) -> Result:
        end = self.ends.pop(0)
        if isinstance(end, Exception):
            raise end
        return end

    def let_go(self, key: Key) -> None:
        self.let_gone.append(key)

    def passed(self, outcome: Outcome, seconds: float) -> None:
        self.outcomes.append((outcome, seconds))


class Queue(WorkQueue[Key]):
    """Keeps what it is asked to hand out later."""

    def __init__(self) -> None:
        super().__init__(lambda: 0.0)
        self.delays: list[float] = []

    def add_after(self, key: Key, seconds: float) -> None:
        self.delays.append(seconds)
        super().add_after(key, seconds)


class Bench:
    """One worker over a queue whose clock stands still, with half a second for each pass."""

    def __init__(self, *ends: Result | Exception, leads: bool = True) -> None:
        self.world = World()
        self.passes = Passes(*ends)
        self.seconds = 0.0
        self.turns: list[str] = []
        self.queue = Queue()
        leadership = Leadership(lambda: 0.0, until=1.0 if leads else 0.0)
        owner = Owner(leadership, cast(Reconciler, self.passes), Events(self.world.api, lambda: 0.0))
        self.worker = ReconcileWorker(
            self.queue,
            self.world.stores.clusters,
            lambda key: owner,
            complete=lambda key: self.world.stores.listed(key.namespace),
            hooks=self.passes,
            stopwatch=self._stopwatch,
        )

    def _stopwatch(self) -> float:
        self.seconds += 0.5
        return self.seconds

    def turn(self) -> None:
        self.turns.append("turn")
        self.queue.close()

    def rest(self) -> None:
        self.turns.append("rest")

    def run(self) -> None:
        """One pass."""
        self.queue.add(KEY)
        self.worker.run(self)


@pytest.mark.parametrize(
    ("end", "outcome", "delays"),
    [
        pytest.param(DONE, "done", [], id="nothing left to do"),
        pytest.param(Result(look_again_in=60.0), "again", [60.0], id="due again"),
        pytest.param(Result(retry=True), "retry", [RETRY_BASE_SECONDS], id="retry"),
        pytest.param(ApiError(500, "", "down"), "failed", [RETRY_BASE_SECONDS], id="the API server fails"),
        pytest.param(KeyError("a defect"), "failed", [RETRY_BASE_SECONDS], id="a defect"),
    ],
)
def test_a_cluster_is_due_as_its_pass_ended(end: Result | Exception, outcome: Outcome, delays: list[float]) -> None:
    bench = Bench(end)
    bench.run()
    assert bench.passes.outcomes == [(outcome, 0.5)]
    assert bench.queue.delays == delays
    assert bench.turns == ["turn", "rest"]


def test_what_is_due_is_no_way_around_the_backoff_of_retries() -> None:
    bench = Bench(Result(retry=True, look_again_in=0.1))
    bench.run()
    assert bench.queue.delays == [RETRY_BASE_SECONDS, NEWS_SECONDS]


def test_a_defect_is_an_event_of_its_cluster_and_an_api_error_is_none() -> None:
    defect, down = Bench(KeyError("a defect")), Bench(ApiError(500, "", "down"))
    for bench in (defect, down):
        bench.run()
    assert [e["reason"] for e in defect.world.api.events] == ["ReconcileFailed"]
    assert "KeyError('a defect')" in defect.world.api.events[0]["message"]
    assert down.world.api.events == []


def test_without_the_lead_a_cluster_is_let_go_of_and_no_pass_is_made() -> None:
    bench = Bench(leads=False)
    bench.run()
    assert (bench.passes.let_gone, bench.passes.outcomes, bench.queue.delays) == ([KEY], [], [])
