"""The running operator: threads, the lead and what is served, against an API server in memory."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any, cast

import pytest
from prometheus_client.parser import text_string_to_metric_families

from controller.kube.client import ApiError, Request, WatchClient
from controller.kube.leadership import FencedClient
from controller.kube.lease import LeaseAt
from controller.kube.watch import Watcher
from controller.monitoring.health import Health
from controller.monitoring.http_server import Reply
from controller.monitoring.routes import routes
from controller.operator import compose
from controller.raycluster.model import Key
from controller.reconcile.reconciler import Reconciler, Result
from controller.reconcile.worker import ReconcileWorker
from tests.fakes.api import CONVERT, FakeApi
from tests.support.builders import NAME, NAMESPACE, raw_cluster
from tests.support.kube import eventually
from tests.unit.kube.test_election import LeaseApi


class Watched(FakeApi):
    """One that can be listed and watched too: a watch waits for what comes, and ends when the test does."""

    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.RLock()
        self.over = threading.Event()
        self.silent = False
        # What is watched by now.
        self.watched: set[str] = set()

    def send(self, request: Request) -> dict[str, Any]:
        with self.lock:
            if request.verb == "list":
                if self.silent:
                    raise ApiError(0, "NoAnswer", "nobody there")
                items = [dict(o) for o in self.of(request.resource)]
                return {"metadata": {"resourceVersion": str(self.version)}, "items": items}
            return super().send(request)

    def watch(self, request: Request, read_seconds: float) -> Iterator[dict[str, Any]]:
        resource, version = request.resource, int(request.query["resourceVersion"])
        self.watched.add(resource)
        while not self.over.wait(0.01):
            with self.lock:
                news = [e for e in self.log if e[1] == resource and int(e[2]["metadata"]["resourceVersion"]) > version]
            for kind, _, obj in news:
                version = int(obj["metadata"]["resourceVersion"])
                yield {"type": kind, "object": obj}


@pytest.fixture
def api() -> Iterator[Watched]:
    made = Watched()
    made.put("rayclusters", raw_cluster())
    yield made
    made.over.set()


class Running:
    """An operator that is started and stopped, and what it serves."""

    def __init__(self, api: WatchClient, lease: LeaseAt | None = None) -> None:
        self.operator = compose(api, (), 2, lease)
        self.routes = routes(self.operator.parts, ())

    def __enter__(self) -> Running:
        self.operator.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.operator.stop()

    def get(self, path: str) -> Reply:
        return self.routes[path]("text/plain")

    def value(self, name: str, **labels: str) -> float | None:
        return self.operator.parts.metrics.registry.get_sample_value(f"ray_operator_{name}", labels)


def at(api: LeaseApi, name: str) -> LeaseAt:
    return LeaseAt("ops", name, api)


def test_a_cluster_is_run_and_everything_about_it_is_served(api: Watched) -> None:
    with Running(api) as running:
        eventually(lambda: len(api.names("pods")) == 3)
        eventually(lambda: running.value("reconcile_duration_seconds_count", outcome="again"))
        assert running.get("/readyz") == Reply(b"ok\n")
        assert running.get("/livez") == Reply(b"ok\n")
        assert running.value("leader") == 1
        assert running.value("launches_total", reason="worker") == 2
        page = running.get("/").body.decode()
        assert NAME in page and NAMESPACE in page and "created 3 pods" in page
        metrics = running.get("/metrics")
        assert metrics.content_type.startswith("text/plain")
        assert len(list(text_string_to_metric_families(metrics.body.decode()))) > 25


def test_a_cluster_whose_pass_fails_gets_an_event_and_the_others_are_managed(
    api: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reconcile(self: Reconciler, key: Key) -> Result:
        if key.name == "poisonous":
            raise KeyError("a defect")
        return well(self, key)

    well = Reconciler.reconcile
    monkeypatch.setattr(Reconciler, "reconcile", reconcile)
    api.put("rayclusters", raw_cluster(name="poisonous"))
    with Running(api) as running:
        eventually(lambda: len(api.names("pods")) == 3)
        eventually(lambda: (running.value("queue_retries_total") or 0) >= 2)
    (told,) = (e for e in api.events if e["reason"] == "ReconcileFailed")
    assert (told["type"], told["involvedObject"]["name"]) == ("Warning", "poisonous")
    assert "KeyError('a defect')" in told["message"] and "log" in told["message"]
    assert all(name.startswith(NAME) for name in api.names("pods"))


def test_before_everything_is_listed_it_is_not_ready_but_alive(api: Watched) -> None:
    api.silent = True
    with Running(api) as running:
        assert running.get("/readyz") == Reply(b"not everything is listed yet: all namespaces\n", status=503)
        assert running.get("/livez").status == 200
        assert "not everything is listed yet" in running.get("/").body.decode()


def test_a_watch_that_has_failed_for_a_minute_makes_it_unready(api: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    with Running(api) as running:
        eventually(lambda: running.get("/readyz").status == 200)
        monkeypatch.setattr(Watcher, "failing", lambda self: (61.0, f"cannot watch {self._resource}: no answer"))
        answer = running.get("/readyz")
        assert answer.status == 503
        assert b"cannot watch pods: no answer, for 61 s" in answer.body
        monkeypatch.setattr(Watcher, "failing", lambda self: (59.0, "cannot watch: no answer"))
        assert running.get("/readyz").status == 200


def test_a_thread_that_has_ended_makes_it_unwell(api: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ReconcileWorker, "run", lambda self, loop: None)
    with Running(api) as running:
        eventually(lambda: b"the thread reconcile-0 has ended" in running.get("/livez").body)
        assert running.get("/livez").status == 500


def test_a_defect_in_putting_a_cluster_back_ends_no_thread(api: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    def requeue(self: ReconcileWorker, key: Key, result: Result) -> None:
        raise OverflowError("timestamp too large to convert to C PyTime_t")

    monkeypatch.setattr(ReconcileWorker, "_requeue", requeue)
    with Running(api) as running:
        eventually(lambda: len(api.names("pods")) == 3)
        assert running.get("/livez").status == 200


def test_a_loop_that_is_stuck_makes_it_unwell(api: Watched) -> None:
    running = Running(api)
    running.operator.parts.health.watch("heads", 1, lambda: 2.0)
    answer = running.get("/livez")
    assert (answer.status, answer.body) == (500, b"heads has not turned for 2 s, the limit is 1 s\n")


class Hanging:
    """A connection on which no request is ever answered, until the test is over."""

    def __init__(self) -> None:
        self.reached, self.over = threading.Event(), threading.Event()

    def __getattr__(self, name: str) -> Any:
        def hang(*_: Any, **__: Any) -> None:
            self.reached.set()
            self.over.wait(60)
            raise ApiError(0, "NoAnswer", "the test is over")

        return hang

    def hold(self, *_: str) -> None:
        """Hold up a request to another API."""
        self.reached.set()
        self.over.wait(60)


def test_every_part_that_hangs_makes_it_unwell_at_its_own_limit(api: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lease and heads after two minutes, watches after five, passes after fifteen; nothing else is looked at."""
    now, late = [1000.0], [0.0]
    monkeypatch.setattr("controller.wiring.parts.Health", lambda: Health(lambda: now[0]))
    monkeypatch.setattr("controller.wiring.parts.PolledHeads.late", lambda self: late[0])
    monkeypatch.setattr("controller.operator.Leadership.leads", lambda self: True)
    monkeypatch.setattr("controller.operator.STOP_SECONDS", 0.0)
    monkeypatch.setattr("controller.wiring.parts.Stores.claims_wanted", lambda self, scope: True)
    monkeypatch.setattr("controller.wiring.parts.Stores.cleanups_wanted", lambda self, scope: True)
    leases, passes = Hanging(), Hanging()
    api.refuse = passes.hold
    seen = []
    with Running(api, LeaseAt("ops", "a", cast("Any", leases))) as running:
        assert leases.reached.wait(10) and passes.reached.wait(10)
        eventually(lambda: api.watched == set(CONVERT))
        for seconds in (119, 121, 299, 301, 899, 901):
            now[0], late[0] = 1000.0 + seconds, float(seconds)
            answer = running.get("/livez")
            seen.append((answer.status, {line.split()[0] for line in answer.body.decode().splitlines()} - {"ok"}))
        leases.over.set()
        passes.over.set()
    two = {"lease", "heads"}
    five = {*two, *(f"watch-{resource}-all" for resource in CONVERT)}
    fifteen = {*five, *(name for name in seen[-1][1] if name.startswith("reconcile-"))}
    assert seen == [(200, set()), (500, two), (500, two), (500, five), (500, five), (500, fifteen)]
    assert len(fifteen) == len(five) + 1


def test_one_that_stands_by_is_ready_and_writes_nothing_until_the_lease_is_its_own(api: Watched) -> None:
    leases = LeaseApi()
    leases.send(Request("create", "leases", "ops", body=held("somebody")))
    with Running(api, at(leases, "b")) as running:
        eventually(lambda: running.get("/readyz").status == 200)
        eventually(lambda: running.value("queue_wait_seconds_count"))
        assert (api.writes, api.events, running.value("leader")) == ([], [], 0)
        assert "stands by" in running.get("/").body.decode()
        leases.lease = None
        eventually(lambda: len(api.names("pods")) == 3)
        assert (running.value("leader"), running.value("leader_changes_total")) == (1, 1)


def test_stopping_gives_the_lease_up_after_the_last_write(api: Watched) -> None:
    leases = LeaseApi()
    with Running(api, at(leases, "a")) as running:
        eventually(lambda: len(api.names("pods")) == 3)
        assert leases.spec["holderIdentity"] == "a"
    assert leases.spec["holderIdentity"] == ""
    api.writes.clear()
    with pytest.raises(ApiError):
        right = running.operator.parts.leadership.of(Key(NAMESPACE, NAME))
        FencedClient(running.operator.parts.unfenced, right).send(
            Request("create", "pods", "ray", body={"metadata": {}})
        )
    assert api.writes == []


def test_the_lease_is_kept_while_a_write_is_under_way(api: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends by itself: another must not begin before this one's last write has ended."""
    monkeypatch.setattr("controller.operator.STOP_SECONDS", 0.1)
    leases, reached, go_on = LeaseApi(), threading.Event(), threading.Event()

    def hold(method: str, resource: str, name: str) -> None:
        reached.set()
        go_on.wait(10)

    api.refuse = hold
    with Running(api, at(leases, "a")):
        assert reached.wait(10)
    assert leases.spec["holderIdentity"] == "a"
    go_on.set()


def held(holder: str) -> dict[str, Any]:
    """A lease that somebody holds."""
    return {"metadata": {"name": "ray-operator"}, "spec": {"holderIdentity": holder, "leaseDurationSeconds": 15}}
