"""When this process saw what has become of a cluster's pods. Pure.

A pod's times are those of the API server, the scheduler and kubelets, whose clocks need not agree with this process's.
What this process sees happen is as old as that by its own clock. What happened before it looked first is as old as the
others say, and never later than now.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from controller.objects.pod_status import SCHEDULING_GATED, UNSCHEDULABLE
from controller.objects.views import PodView


@dataclass(frozen=True)
class _Kept:
    """A pod as it was given, the same with times of our own, and field -> the time given and our own."""

    given: PodView
    shown: PodView
    times: Mapping[str, tuple[float, float]]


@dataclass(frozen=True)
class OwnTimes:
    """Pods by uid, as of the last pass over their cluster; None before the first one."""

    known: Mapping[str, _Kept] | None = field(default=None, repr=False)

    def seen(self, pods: Sequence[PodView], now: float) -> OwnTimes:
        """Take in the pods of a pass."""
        return OwnTimes({pod.uid: self._kept(pod, now) for pod in pods})

    def shown(self, pods: Sequence[PodView]) -> list[PodView]:
        """The pods that were taken in, with times of our own."""
        known = self.known or {}
        return [known[pod.uid].shown for pod in pods]

    def _kept(self, pod: PodView, now: float) -> _Kept:
        before = self.known.get(pod.uid) if self.known else None
        if before and before.given is pod:
            return before
        times = dict(before.times) if before else {}
        if before and before.given.stuck != pod.stuck:
            # The scheduler leaves the time of the condition as it is when the gates were what kept the pod before.
            times.pop("stuck_since", None)
        own = {name: (given, self._own(times.get(name), given, now)) for name, given in _given(pod).items()}
        changed: dict[str, Any] = {name: time for name, (_, time) in own.items()}
        return _Kept(pod, replace(pod, **changed), own)

    def _own(self, before: tuple[float, float] | None, given: float, now: float) -> float:
        if before and before[0] == given:
            return before[1]
        # A time that is not said is as good as never seen before.
        return now if self.known is not None or not given else min(given, now)


def _given(pod: PodView) -> dict[str, float]:
    """The times that say when something has happened, by their fields."""
    times = {"started_at": pod.started_at}
    if pod.ended:
        times["ended_at"] = pod.ended_at
    if pod.running_since:
        times["running_since"] = pod.running_since
    if pod.stuck in (UNSCHEDULABLE, SCHEDULING_GATED):
        times["stuck_since"] = pod.stuck_since
    if pod.node_lost:
        times["unready_since"] = pod.unready_since
    return times
