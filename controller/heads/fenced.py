"""Lets only the leader write to Ray heads."""

from __future__ import annotations

from autoscaler.model import ReportedState
from controller.kube.leadership import Leadership
from controller.objects.views import PodView
from controller.planning.observed import RayView, UsageView
from controller.raycluster.model import Key

from .polled import Heads


class FencedHeads:
    """``heads`` that get no requests which change anything while this process does not lead."""

    def __init__(self, heads: Heads, leadership: Leadership) -> None:
        self._heads = heads
        self._leadership = leadership

    def follow(self, cluster: Key, head: PodView | None, port: int, *, busy: bool) -> None:
        """See Heads."""
        self._heads.follow(cluster, head, port, busy=busy)

    def view(self, cluster: Key) -> RayView | None:
        """See Heads."""
        return self._heads.view(cluster)

    def silence(self, cluster: Key) -> float:
        """See Heads."""
        return self._heads.silence(cluster)

    def usage(self, cluster: Key) -> UsageView | None:
        """See Heads."""
        return self._heads.usage(cluster)

    def ask_usage(self, cluster: Key) -> None:
        """See Heads."""
        self._heads.ask_usage(cluster)

    def drain(self, cluster: Key, node_id: bytes, message: str, deadline: float | None = None) -> bool:
        """See Heads."""
        return self._leadership.leads() and self._heads.drain(cluster, node_id, message, deadline)

    def report(self, cluster: Key, report: ReportedState) -> None:
        """See Heads."""
        if self._leadership.leads():
            self._heads.report(cluster, report)
