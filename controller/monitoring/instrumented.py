"""The operator's connections to the outside, with a clock beside them: the Kubernetes API, watches, Ray heads."""

from __future__ import annotations

import heapq
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from autoscaler.gcs.client import Credentials, DrainAnswer, DrainReason, GcsClient
from autoscaler.gcs.errors import GcsError
from autoscaler.model import RayState, RayUsage, ReportedState
from controller.kube.client import ApiError, Client, Request, WatchClient

from .metrics import Metrics

# Writes that the watch has not reported yet; older ones are forgotten.
MAX_UNSEEN = 1000


class MeasuredClient:
    """Counts and times the requests of ``client``."""

    def __init__(self, client: Client, metrics: Metrics, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._metrics = metrics
        self._clock = clock

    def send(self, request: Request) -> dict[str, Any]:
        """See Client."""
        started = self._clock()
        try:
            answer = self._client.send(request)
        except ApiError as error:
            self._timed(request, code_of(error), started)
            raise
        self._timed(request, "2xx", started)
        return answer

    def _count(self, request: Request, code: str) -> None:
        self._metrics.api_requests.labels(request.verb, request.full_resource, code).inc()

    def _timed(self, request: Request, code: str, started: float) -> None:
        self._count(request, code)
        self._metrics.api_seconds.labels(request.verb, request.full_resource).observe(self._clock() - started)


class MeasuredWatchClient(MeasuredClient):
    """Counts watches too, and measures how long they take to deliver the process's own writes."""

    def __init__(self, client: WatchClient, metrics: Metrics, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(client, metrics, clock)
        self._watches = client
        self._lags: dict[tuple[str, str], Lag] = {}

    def send(self, request: Request) -> dict[str, Any]:
        """See Client."""
        answer = super().send(request)
        if request.writes:
            self._wrote(request, answer)
        return answer

    def watch(self, request: Request, read_seconds: float) -> Iterator[dict[str, Any]]:
        """See WatchClient. A watch lasts as long as it may: it is counted, not timed."""
        try:
            yield from self._watches.watch(request, read_seconds)
        except ApiError as error:
            self._count(request, code_of(error))
            raise
        self._count(request, "2xx")

    def for_watch(self, resource: str, namespace: str, on_turn: Callable[[], None]) -> WatchClient:
        """The same for one watcher: it also counts ends and events. ``on_turn`` is called whenever it does anything."""
        lag = self._lags[resource, namespace] = Lag(self._metrics.watch_lag_seconds.labels(resource).observe)
        restarts = {r: self._metrics.watch_restarts.labels(resource, r) for r in ("ended", "gone", "error")}
        events = self._metrics.watch_events.labels(resource)

        def told(version: int) -> None:
            events.inc()
            lag.told(version, self._clock())

        return _WatchersClient(self, on_turn, told, lambda reason: restarts[reason].inc())

    def _wrote(self, request: Request, answer: Mapping[str, Any]) -> None:
        lag = self._lags.get((request.resource, request.namespace)) or self._lags.get((request.resource, ""))
        version = (answer.get("metadata") or {}).get("resourceVersion")
        if lag and version:
            lag.wrote(int(version), self._clock())


class Lag:
    """How far one watch is behind: it reports objects in the order of their resourceVersions, our writes among them.

    ``_unseen``: version and time of writes that it has not reported, a heap: each is looked at once.
    """

    def __init__(self, observe: Callable[[float], None]) -> None:
        self._observe = observe
        self._lock = threading.Lock()
        self._unseen: list[tuple[int, float]] = []
        self._told = 0

    def wrote(self, version: int, now: float) -> None:
        """A write of ours was answered with this version."""
        with self._lock:
            if version > self._told:
                push = heapq.heappushpop if len(self._unseen) >= MAX_UNSEEN else heapq.heappush
                push(self._unseen, (version, now))
                return
        # The watch was faster than the answer.
        self._observe(0.0)

    def told(self, version: int, now: float) -> None:
        """The watch has reported everything up to this version."""
        with self._lock:
            self._told = max(self._told, version)
            seen = []
            while self._unseen and self._unseen[0][0] <= self._told:
                seen.append(heapq.heappop(self._unseen)[1])
        for when in seen:
            self._observe(now - when)


class _WatchersClient:
    """The client of one watcher. ``told`` gets the version of each change, ``ended`` why a watch has ended."""

    def __init__(
        self,
        client: WatchClient,
        on_turn: Callable[[], None],
        told: Callable[[int], None],
        ended: Callable[[str], None],
    ) -> None:
        self._client = client
        self._on_turn = on_turn
        self._told = told
        self._ended = ended

    def send(self, request: Request) -> dict[str, Any]:
        """See Client."""
        self._on_turn()
        return self._client.send(request)

    def watch(self, request: Request, read_seconds: float) -> Iterator[dict[str, Any]]:
        """See WatchClient."""
        self._on_turn()
        reason = "ended"
        try:
            for event in self._client.watch(request, read_seconds):
                self._on_turn()
                reason = self._saw(event)
                yield event
        except ApiError as error:
            reason = "gone" if error.status == 410 else "error"
            raise
        except GeneratorExit:
            # The watcher could make nothing of what came last.
            reason = "error" if reason == "ended" else reason
            raise
        finally:
            self._ended(reason)

    def _saw(self, event: Mapping[str, Any]) -> str:
        """Why the watch has ended if this is the last that it reports."""
        obj = event.get("object")
        if event.get("type") == "ERROR" or not isinstance(obj, dict):
            return "gone" if isinstance(obj, dict) and obj.get("code") == 410 else "error"
        version = str((obj.get("metadata") or {}).get("resourceVersion"))
        if event.get("type") != "BOOKMARK" and version.isdecimal():
            self._told(int(version))
        return "ended"


class MeasuredGcsClient(GcsClient):
    """Times the calls to one head."""

    def __init__(
        self,
        metrics: Metrics,
        address: str,
        credentials: Credentials | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(address, credentials, clock=clock)
        self._metrics = metrics
        self._now = clock

    def begin_state(self, done: Callable[[RayState | GcsError], None]) -> None:
        """See GcsClient."""
        started = self._now()

        def timed(answer: RayState | GcsError) -> None:
            self._count("state", started, answer.kind if isinstance(answer, GcsError) else "ok")
            done(answer)

        super().begin_state(timed)

    def begin_usage(self, done: Callable[[RayUsage | GcsError], None]) -> None:
        """See GcsClient."""
        started = self._now()

        def timed(answer: RayUsage | GcsError) -> None:
            self._count("usage", started, answer.kind if isinstance(answer, GcsError) else "ok")
            done(answer)

        super().begin_usage(timed)

    def report(self, report: ReportedState) -> None:
        """See GcsClient."""
        started = self._now()
        try:
            super().report(report)
        except GcsError as error:
            self._count("report", started, error.kind)
            raise
        self._count("report", started, "ok")

    def drain(self, node_id: bytes, *, reason: DrainReason, message: str, deadline: float = 0) -> DrainAnswer:
        """See GcsClient."""
        started = self._now()
        try:
            answer = super().drain(node_id, reason=reason, message=message, deadline=deadline)
        except GcsError as error:
            self._count("drain", started, error.kind)
            self._metrics.drain_refusals.labels(error.kind).inc()
            raise
        self._count("drain", started, "ok")
        if not answer.accepted:
            self._metrics.drain_refusals.labels("busy").inc()
        return answer

    def _count(self, method: str, started: float, outcome: str) -> None:
        self._metrics.gcs_seconds.labels(method, outcome).observe(self._now() - started)


def code_of(error: ApiError) -> str:
    """The label of a refusal."""
    return str(error.status) if error.status else "none"
