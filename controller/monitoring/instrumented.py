"""The operator's connections to the outside, with a clock beside them: the Kubernetes API, watches, Ray heads."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from autoscaler.gcs.client import Credentials, DrainAnswer, DrainReason, GcsClient, GcsError
from autoscaler.model import RayState, ReportedState
from controller.kube.client import Api, ApiError

from .metrics import Metrics

# Writes of which the watch has not told yet; older ones are forgotten.
MAX_UNSEEN = 1000

_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


class MeasuredApi(Api):
    """Counts and times the requests of ``api``."""

    def __init__(self, api: Api, metrics: Metrics, clock: Callable[[], float] = time.monotonic) -> None:
        self._api = api
        self._metrics = metrics
        self._clock = clock
        self._lags: dict[tuple[str, str], Lag] = {}

    def request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
    ) -> dict[str, Any]:
        """See Api."""
        resource, namespace, name = parts_of(path)
        verb = _VERBS.get(method) or ("get" if name else "list")
        started = self._clock()
        try:
            answer = self._api.request(method, path, query, body, content_type)
        except ApiError as error:
            self._count(verb, resource, started, code_of(error))
            raise
        self._count(verb, resource, started, "2xx")
        if method != "GET":
            self._wrote(resource.partition("/")[0], namespace, answer)
        return answer

    def stream(self, path: str, query: Mapping[str, str], read_seconds: float) -> Iterator[dict[str, Any]]:
        """See Api."""
        resource, _, _ = parts_of(path)
        try:
            yield from self._api.stream(path, query, read_seconds)
        except ApiError as error:
            self._metrics.api_requests.labels("watch", resource, code_of(error)).inc()
            raise
        self._metrics.api_requests.labels("watch", resource, "2xx").inc()

    def for_watch(self, resource: str, namespace: str, on_turn: Callable[[], None]) -> Api:
        """The same for one watcher: it also counts ends and events. ``on_turn`` is called whenever it does anything."""
        lag = self._lags[resource, namespace] = Lag(self._metrics.watch_lag_seconds.labels(resource).observe)
        restarts = {r: self._metrics.watch_restarts.labels(resource, r) for r in ("ended", "gone", "error")}
        events = self._metrics.watch_events.labels(resource)

        def told(version: int) -> None:
            events.inc()
            lag.told(version, self._clock())

        return _WatchApi(self, on_turn, told, lambda reason: restarts[reason].inc())

    def _count(self, verb: str, resource: str, started: float, code: str) -> None:
        self._metrics.api_requests.labels(verb, resource, code).inc()
        self._metrics.api_seconds.labels(verb, resource).observe(self._clock() - started)

    def _wrote(self, resource: str, namespace: str, answer: Mapping[str, Any]) -> None:
        lag = self._lags.get((resource, namespace)) or self._lags.get((resource, ""))
        version = (answer.get("metadata") or {}).get("resourceVersion")
        if lag and version:
            lag.wrote(int(version), self._clock())


class Lag:
    """How far one watch is behind: it tells of objects in the order of their resourceVersions, our writes among them.

    ``_unseen``: version and time of writes that it has not told of, in the order of their answers.
    """

    def __init__(self, observe: Callable[[float], None]) -> None:
        self._observe = observe
        self._lock = threading.Lock()
        self._unseen: deque[tuple[int, float]] = deque(maxlen=MAX_UNSEEN)
        self._told = 0

    def wrote(self, version: int, now: float) -> None:
        """A write of ours was answered with this version."""
        with self._lock:
            if version > self._told:
                self._unseen.append((version, now))
                return
        # The watch was faster than the answer.
        self._observe(0.0)

    def told(self, version: int, now: float) -> None:
        """The watch has told of everything up to this version."""
        with self._lock:
            self._told = max(self._told, version)
            seen = [when for number, when in self._unseen if number <= self._told]
            if seen:
                self._unseen = deque((u for u in self._unseen if u[0] > self._told), MAX_UNSEEN)
        for when in seen:
            self._observe(now - when)


class _WatchApi(Api):
    """What one watcher talks to. ``told`` gets the version of each change, ``ended`` why a watch has ended."""

    def __init__(
        self, api: Api, on_turn: Callable[[], None], told: Callable[[int], None], ended: Callable[[str], None]
    ) -> None:
        self._api = api
        self._on_turn = on_turn
        self._told = told
        self._ended = ended

    def request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
    ) -> dict[str, Any]:
        """See Api."""
        self._on_turn()
        return self._api.request(method, path, query, body, content_type)

    def stream(self, path: str, query: Mapping[str, str], read_seconds: float) -> Iterator[dict[str, Any]]:
        """See Api."""
        self._on_turn()
        reason = "ended"
        try:
            for event in self._api.stream(path, query, read_seconds):
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
        """Why the watch has ended if this is the last that it tells."""
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


def parts_of(path: str) -> tuple[str, str, str]:
    """Resource with its subresource (``pods``, ``rayclusters/status``), namespace and name of an API path."""
    group, _, rest = path.strip("/").partition("/")
    for _ in range(1 if group == "api" else 2):
        _, _, rest = rest.partition("/")
    namespace = ""
    if rest.startswith("namespaces/"):
        _, namespace, rest = (*rest.split("/", 2), "")[:3]
    resource, name, sub = (*rest.split("/"), "", "")[:3]
    return (f"{resource}/{sub}" if sub else resource), namespace, name


def code_of(error: ApiError) -> str:
    """The label of a refusal."""
    return str(error.status) if error.status else "none"
