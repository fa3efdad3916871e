"""May this process write? Until a deadline on a clock that nobody sets, asked right before each write.

A process that was stopped, or whose machine slept, finds the deadline past when it goes on: whatever it was about to
send, it does not, except for the one write of each thread that was past this question already.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from autoscaler.model import ReportedState
from controller.heads.polled import Heads
from controller.objects.views import PodView
from controller.planning.scale_up import RayView
from controller.raycluster.model import Key

from .client import Api, ApiError

NOT_LEADER = "NotLeader"


def steady_clock() -> float:
    """Seconds on a clock that only goes forward, and goes on while the machine sleeps (``clock_gettime(2)``)."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Leadership:
    """The right to write, until a moment of ``clock``. Without an election it is there from the start, for good."""

    def __init__(self, clock: Callable[[], float] = steady_clock, until: float = math.inf) -> None:
        self._clock = clock
        self._until = until
        self._resigned = False

    def leads(self) -> bool:
        """Whether a write may be sent now."""
        return self._clock() < self._until and not self._resigned

    def hold(self, until: float) -> None:
        """The right is there until then; a moment that is past takes it away."""
        self._until = until

    def resign(self) -> None:
        """Never write again."""
        self._resigned = True


class FencedApi(Api):
    """``api`` without writes while this process does not lead: they raise ApiError with the reason NotLeader."""

    def __init__(self, api: Api, leadership: Leadership) -> None:
        self._api = api
        self._leadership = leadership

    def request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
    ) -> dict[str, Any]:
        """See Api."""
        if method != "GET" and not self._leadership.leads():
            raise ApiError(0, NOT_LEADER, "this process does not lead")
        return self._api.request(method, path, query, body, content_type)

    def stream(self, path: str, query: Mapping[str, str], read_seconds: float) -> Iterator[dict[str, Any]]:
        """See Api."""
        return self._api.stream(path, query, read_seconds)


class FencedHeads:
    """``heads`` that are told nothing while this process does not lead."""

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

    def drain(self, cluster: Key, node_id: bytes, message: str, deadline: float | None = None) -> bool:
        """See Heads."""
        return self._leadership.leads() and self._heads.drain(cluster, node_id, message, deadline)

    def report(self, cluster: Key, report: ReportedState) -> None:
        """See Heads."""
        if self._leadership.leads():
            self._heads.report(cluster, report)
