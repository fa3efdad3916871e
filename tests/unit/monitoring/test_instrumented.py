"""What is counted of requests, watches and calls to Ray heads."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from typing import Any

import grpc
import pytest

from autoscaler.gcs.client import DrainReason
from autoscaler.gcs.errors import GcsError
from autoscaler.gcs.poller import Poller
from autoscaler.model import NodeStatus, RayState, ReportedState
from controller.kube.client import ApiError, Request
from controller.monitoring.instrumented import Lag, MeasuredGcsClient, MeasuredWatchClient
from controller.monitoring.metrics import Metrics
from controller.raycluster.model import PLURAL
from tests.fakes.gcs import FakeGcs


class Answers:
    """Takes half a second for each answer, which the test sets: an object, a stream, or an error."""

    def __init__(self) -> None:
        self.now = 0.0
        self.answer: Any = {}

    def send(self, request: Request) -> Any:
        self.now += 0.5
        if isinstance(self.answer, ApiError):
            raise self.answer
        return self.answer

    def watch(self, request: Request, read_seconds: float) -> Iterator[dict[str, Any]]:
        if isinstance(self.answer, ApiError):
            raise self.answer
        yield from self.answer


class Measured:
    """A measured connection, and what it counted."""

    def __init__(self) -> None:
        self.inner = Answers()
        self.metrics = Metrics()
        self.client = MeasuredWatchClient(self.inner, self.metrics, lambda: self.inner.now)

    def value(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"ray_operator_{name}", labels)


@pytest.fixture
def measured() -> Measured:
    return Measured()


def version(number: int, kind: str = "MODIFIED") -> dict[str, Any]:
    return {"type": kind, "object": {"metadata": {"resourceVersion": str(number)}}}


@pytest.mark.parametrize(
    ("asked", "verb", "resource"),
    [
        (Request("list", "pods"), "list", "pods"),
        (Request("list", "pods", "ray"), "list", "pods"),
        (Request("get", "pods", "ray", "a"), "get", "pods"),
        (Request("create", "events", "ray"), "create", "events"),
        (Request("patch", PLURAL, "ray", "a", "status"), "patch", "rayclusters/status"),
        (Request("update", "leases", "ray", "x"), "update", "leases"),
        (Request("delete", "pods", "namespaces", "a"), "delete", "pods"),
    ],
)
def test_requests_are_counted_by_verb_resource_and_code_and_timed(
    measured: Measured, asked: Request, verb: str, resource: str
) -> None:
    measured.client.send(asked)
    measured.inner.answer = ApiError(409, "Conflict", "")
    with pytest.raises(ApiError):
        measured.client.send(asked)
    measured.inner.answer = ApiError(0, "NoAnswer", "")
    with pytest.raises(ApiError):
        measured.client.send(asked)
    for code in ("2xx", "409", "none"):
        assert measured.value("api_requests_total", verb=verb, resource=resource, code=code) == 1
    assert measured.value("api_request_duration_seconds_sum", verb=verb, resource=resource) == 1.5


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ([version(1)], "ended"),
        ([], "ended"),
        ([version(1), {"type": "ERROR", "object": {"code": 410}}], "gone"),
        ([{"type": "ERROR", "object": {"code": 500}}], "error"),
        ([{"type": "ADDED"}], "error"),
        (ApiError(410, "Expired", ""), "gone"),
        (ApiError(0, "ConnectionLost", ""), "error"),
    ],
)
def test_the_end_of_a_watch_is_counted_by_its_reason(measured: Measured, answer: Any, reason: str) -> None:
    measured.inner.answer = answer
    watch = measured.client.for_watch("pods", "", lambda: None)
    with contextlib.suppress(ApiError):
        list(watch.watch(Request("watch", "pods"), 1))
    counts = {r: measured.value("watch_restarts_total", resource="pods", reason=r) for r in ("ended", "gone", "error")}
    assert counts == {"ended": 0, "gone": 0, "error": 0, reason: 1}


def test_a_watch_that_its_watcher_gives_up_has_failed(measured: Measured) -> None:
    measured.inner.answer = [version(1), version(2)]
    stream = measured.client.for_watch("pods", "", lambda: None).watch(Request("watch", "pods"), 1)
    assert isinstance(stream, Iterator)
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert measured.value("watch_restarts_total", resource="pods", reason="error") == 1


def test_a_watcher_turns_with_each_request_and_event(measured: Measured) -> None:
    turns: list[None] = []
    watch = measured.client.for_watch("pods", "", lambda: turns.append(None))
    watch.send(Request("list", "pods"))
    measured.inner.answer = [version(1), version(2), version(3, "BOOKMARK")]
    list(watch.watch(Request("watch", "pods"), 1))
    assert len(turns) == 1 + 1 + 3
    assert measured.value("watch_events_total", resource="pods") == 2


def test_a_watch_lags_from_the_answer_to_a_write_until_it_reports_it(measured: Measured) -> None:
    watch = measured.client.for_watch("pods", "ray", lambda: None)
    measured.inner.answer = version(7)["object"]
    measured.client.send(Request("create", "pods", "ray"))
    measured.client.send(Request("create", "pods", "elsewhere"))
    measured.inner.now += 3
    measured.inner.answer = [version(6), version(7)]
    list(watch.watch(Request("watch", "pods", "ray"), 1))
    assert measured.value("watch_lag_seconds_count", resource="pods") == 1
    # The other write's answer took half a second.
    assert measured.value("watch_lag_seconds_sum", resource="pods") == 3.5


def test_a_watch_that_was_faster_than_the_answer_has_no_lag_and_unseen_writes_are_bounded() -> None:
    seen: list[float] = []
    lag = Lag(seen.append)
    lag.told(7, 10)
    lag.wrote(7, 11)
    assert seen == [0.0]
    for number in range(8, 5000):
        lag.wrote(number, 12)
    lag.told(5000, 13)
    assert seen == [0.0] + [1.0] * 1000


@pytest.fixture
def gcs() -> Iterator[FakeGcs]:
    fake = FakeGcs()
    yield fake
    fake.close()


def test_calls_to_heads_are_timed_by_method_and_outcome(measured: Measured, gcs: FakeGcs) -> None:
    busy = gcs.add_node("w", "worker", {"CPU": 1}, status=NodeStatus.RUNNING)
    client = MeasuredGcsClient(measured.metrics, gcs.address)
    ask(client)
    client.report(ReportedState())
    assert not client.drain(busy, reason=DrainReason.IDLE, message="idle").accepted
    gcs.error = grpc.StatusCode.UNAVAILABLE
    ask(client)
    for call in (
        lambda: client.report(ReportedState()),
        lambda: client.drain(busy, reason=DrainReason.IDLE, message=""),
    ):
        with pytest.raises(GcsError):
            call()
    for method in ("state", "report", "drain"):
        for outcome in ("ok", "unreachable"):
            assert measured.value("gcs_call_duration_seconds_count", method=method, outcome=outcome) == 1
    assert measured.value("drain_refusals_total", reason="busy") == 1
    assert measured.value("drain_refusals_total", reason="unreachable") == 1
    client.close()


def ask(client: MeasuredGcsClient) -> RayState | GcsError:
    """One question and its answer."""
    answers: SimpleQueue[RayState | GcsError] = SimpleQueue()
    client.begin_state(answers.put)
    return answers.get(timeout=60)


def test_a_poller_is_late_by_the_oldest_question_it_has_not_asked_or_got_an_answer_to(measured: Measured) -> None:
    class Silent:
        def begin_state(self, done: Callable[[RayState | GcsError], None]) -> None:
            self.done = done

        def close(self) -> None: ...

    now = [0.0]
    made: list[Silent] = []

    def connect(*_: Any) -> Silent:
        made.append(Silent())
        return made[-1]

    poller: Poller[str, Any] = Poller(connect, lambda _: None, lambda: now[0], lambda: 0.0)
    assert poller.late() == 0
    poller.watch("a", "10.0.0.1:6379")
    now[0] = 3.0
    assert poller.late() == 3.0
    poller.step()
    assert poller.late() == 0.0
    now[0] = 10.0
    assert poller.late() == 7.0
    made[0].done(GcsError("timeout", ""))
    poller.step()
    assert poller.late() == 0.0


def test_the_client_factory_fits_the_poller(measured: Measured) -> None:
    connect = functools.partial(MeasuredGcsClient, measured.metrics)
    connect("127.0.0.1:1", None).close()
