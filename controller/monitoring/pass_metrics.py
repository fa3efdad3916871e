"""Turns passes into metrics, the last hour and the last decisions: what was done and why, how long people waited."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from autoscaler.provider import (
    ConflictError,
    ForbiddenError,
    InvalidNodeError,
    ProviderError,
    QuotaExceededError,
)
from controller.planning.actions import Action, CreatePod, DeletePod, RetirePod, summarize
from controller.planning.observed import Observed, RayView
from controller.planning.plan import Plan
from controller.planning.reasons import LAUNCHES, TERMINATIONS
from controller.raycluster.model import Json, Key, RayCluster
from controller.reconcile.hooks import Hooks, Outcome
from controller.status.read import ClusterStatus

from .history import Counts, History, Hour
from .metrics import Metrics

MAX_DECISIONS = 50

_REFUSALS: tuple[tuple[type[ProviderError], str], ...] = (
    (QuotaExceededError, "quota"),
    (ForbiddenError, "forbidden"),
    (InvalidNodeError, "invalid"),
    (ConflictError, "conflict"),
)
NO_ANSWER = "no_answer"


@dataclass(frozen=True)
class DecisionMade:
    """One thing done to a cluster. ``at``: seconds since the epoch."""

    at: float
    cluster: Key
    what: str


@dataclass
class _Waits:
    """Who waits in one cluster. Times are of the clock of PassMetrics.

    ``work_since``: when work was first seen to wait for which no pod has been made; ``answered``: one has been made
    for the work that waits now. ``pods``: those made that are no Ray nodes yet, and when they were made.
    """

    work_since: float | None = None
    answered: bool = False
    pods: dict[str, float] = field(default_factory=dict)


class PassMetrics(Hooks):
    """The hooks of a running operator."""

    def __init__(
        self,
        metrics: Metrics,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._metrics = metrics
        self._clock = clock
        self._wall = wall
        self._lock = threading.Lock()
        self._waits: dict[Key, _Waits] = {}
        self._decisions: deque[DecisionMade] = deque(maxlen=MAX_DECISIONS)
        self._history = History()
        # The first time is a step from 0, and a rate of what never happened is 0.
        for counter, labels in (
            (metrics.launches, [label.value for label in LAUNCHES]),
            (metrics.terminations, [label.value for label in TERMINATIONS]),
            (metrics.refusals, [*(label for _, label in _REFUSALS), NO_ANSWER]),
        ):
            for label in labels:
                counter.labels(label)

    def planned(self, seen: Observed, plan: Plan, seconds: float) -> None:
        """See Hooks."""
        self._metrics.plan_seconds.observe(seconds)
        with self._lock:
            waits = self._waits.setdefault(seen.cluster.key, _Waits())
            self._look(waits, seen)

    def applied(self, cluster: RayCluster, done: Sequence[Action], refused: Sequence[ProviderError]) -> None:
        """See Hooks."""
        for error in refused:
            self._metrics.refusals.labels(refusal(error)).inc()
        for action in done:
            if isinstance(action, CreatePod):
                self._metrics.launches.labels(action.why.label.value).inc()
            elif isinstance(action, DeletePod | RetirePod):
                self._metrics.terminations.labels(action.reason.label.value).inc()
        with self._lock:
            now = self._wall()
            self._decisions += [DecisionMade(now, cluster.key, message) for _, message in summarize(done)]
            self._created(cluster, [a for a in done if isinstance(a, CreatePod)])

    def reported(self, cluster: RayCluster, status: Json) -> None:
        """See Hooks."""
        told = ClusterStatus.of(status)
        counts = Counts(told.ready_workers, told.desired_workers, told.pending)
        self._history.counted(cluster.key, self._clock(), counts)

    def passed(self, outcome: Outcome, seconds: float) -> None:
        """See Hooks."""
        self._metrics.reconcile_seconds.labels(outcome).observe(seconds)
        if outcome in ("retry", "failed"):
            self._metrics.queue_retries.inc()

    def forget(self, cluster: Key) -> None:
        """See Hooks."""
        with self._lock:
            self._waits.pop(cluster, None)
        self._history.forget(cluster, self._clock())

    def decisions(self) -> list[DecisionMade]:
        """The last ones of all clusters, the newest first."""
        with self._lock:
            return list(reversed(self._decisions))

    def hour(self) -> Hour:
        """The last hour of all clusters together."""
        return self._history.total(self._clock())

    def hour_of(self, cluster: Key) -> Hour | None:
        """The last hour of a cluster; None when nothing is known of it."""
        return self._history.of(cluster, self._clock())

    def _look(self, waits: _Waits, seen: Observed) -> None:
        if seen.ray is None:
            return
        if not (seen.ray.state.demands or seen.ray.state.gangs):
            waits.work_since, waits.answered = None, False
        elif waits.work_since is None:
            waits.work_since = self._clock() - seen.ray.age
        self._joined(waits, seen, seen.ray)

    def _joined(self, waits: _Waits, seen: Observed, ray: RayView) -> None:
        if not waits.pods:
            return
        there = {pod.name for pod in seen.pods}
        for name in [n for n in waits.pods if n in ray.alive or n not in there]:
            made = waits.pods.pop(name)
            if name in ray.alive:
                now = self._clock()
                seconds = max(0.0, now - ray.age - made)
                self._metrics.pod_to_node_seconds.observe(seconds)
                self._history.took_to_node(seen.cluster.key, now, seconds)

    def _created(self, cluster: RayCluster, creates: Sequence[CreatePod]) -> None:
        waits = self._waits.get(cluster.key)
        if waits is None:
            return
        now = self._clock()
        waits.pods |= {action.name: now for action in creates}
        workers = any(not action.pod_type.is_head for action in creates)
        if workers and waits.work_since is not None and not waits.answered:
            waits.answered = True
            self._metrics.demand_to_pod_seconds.observe(now - waits.work_since)
            self._history.took_to_pod(cluster.key, now, now - waits.work_since)


def refusal(error: ProviderError) -> str:
    """The label of why an action was not carried out."""
    return next((label for kind, label in _REFUSALS if isinstance(error, kind)), NO_ANSWER)
