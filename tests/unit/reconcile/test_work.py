"""How much work pods and clusters are: requests, bytes, plans and calls of functions are counted, not seconds.

A limit is what it was measured to be, with room for another Python's way of counting. What breaks one costs a user with
ten thousand pods or a thousand clusters: make the work less, and raise a limit only for something that is worth it.
"""

from __future__ import annotations

import sys
from collections import Counter
from types import FrameType
from typing import Any
from unittest import mock

import orjson
import pytest

from controller.kube.client import METADATA_ONLY, Request
from controller.kube.decode import decode
from controller.kube.events import Events
from controller.kube.store import Store, Stores
from controller.objects.pod import build_pod, slot_name
from controller.objects.views import PodView
from controller.planning.plan import make_plan
from controller.raycluster.model import Key, RayCluster, parse_spec
from controller.reconcile import apply, reconciler
from controller.reconcile.reconciler import Reconciler
from tests.fakes.api import FakeApi, InlineExecutor
from tests.fakes.heads import FakeHeads
from tests.support.builders import NAMESPACE, NOW, raw_cluster, raw_type
from tests.support.prerequisites import ROOT

CREATE = ("create", "pods")
# Calls of this project's functions, counted with Python 3.11: 109, 26 and 27.
CALLS_PER_POD, CALLS_PER_EVENT, CALLS_PER_IDLE_POD = 130, 32, 40
OURS = tuple(str(ROOT / part) for part in ("controller", "autoscaler"))


class Work(FakeApi):
    """The API server and an operator's passes over some clusters. ``burst`` counts requests and bytes."""

    def __init__(self, clusters: int) -> None:
        super().__init__()
        self.requests: Counter[tuple[str, str]] = Counter()
        self.bytes_sent: Counter[tuple[str, str]] = Counter()
        self.bytes_received: Counter[tuple[str, str]] = Counter()
        self.now = NOW
        self.due: dict[Key, None] = {}
        self.cluster_names = [f"cluster-{number}" for number in range(clusters)]
        for name in self.cluster_names:
            self.scale(name, 0)
        self.stores = Stores(
            clusters=Store(lambda c: c.key, self.tell),
            pods=Store(lambda p: p.cluster, self.tell),
            services=Store(lambda s: s.cluster, self.tell),
        )
        self.listed(self.stores)
        self.told = len(self.log)
        heads: Any = FakeHeads()
        events = Events(self, lambda: self.now)
        self.passes = Reconciler(self, self.stores, events, heads, lambda key: InlineExecutor(), clock=lambda: self.now)

    def tell(self, key: Key) -> None:
        """A pass over the cluster is due."""
        self.due[key] = None

    def send(self, request: Request) -> dict[str, Any]:
        """Counted."""
        answer = super().send(request)
        about = request.verb, request.full_resource
        self.requests[about] += 1
        body = request.body
        self.bytes_sent[about] += len(body if isinstance(body, bytes) else orjson.dumps(body))
        self.bytes_received[about] += len(orjson.dumps(answer))
        return answer

    def scale(self, name: str, workers: int) -> None:
        """Its user has it keep so many workers."""
        types = [raw_type("head-node", "head-"), raw_type("worker", "worker-", minWorkers=workers, maxWorkers=1_000)]
        for pod_type in types:
            # Without it each type would be tried out for what admission gives its pods.
            pod_type["podConfig"]["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "1"}}
        spec = {"maxWorkers": 1_000, "headPodType": "head-node", "podTypes": types}
        old = self.objects.get(("rayclusters", NAMESPACE, name))
        obj = {**old, "spec": spec} if old else raw_cluster(spec, name=name)
        self.put("rayclusters", obj)

    def settle(self) -> int:
        """Passes until none is due. Each tells the watch afterwards. Returns how many there were."""
        count = 0
        while self.due:
            key = next(iter(self.due))
            del self.due[key]
            result = self.passes.reconcile(key)
            count += 1
            if result.retry or (result.look_again_in is not None and result.look_again_in < 60):
                self.now += result.look_again_in or 0.0
                self.due[key] = None
            self.told = self.deliver(self.stores, self.told)
        return count

    def burst(self, workers: int) -> int:
        """All clusters go from 0 to so many workers. Returns the number of passes."""
        self.settle()
        for counter in (self.requests, self.bytes_sent, self.bytes_received):
            counter.clear()
        for name in self.cluster_names:
            self.scale(name, workers)
        self.told = self.deliver(self.stores, self.told)
        return self.settle()


class Calls:
    """How many functions of this project are called meanwhile."""

    def __enter__(self) -> Calls:
        self.count = 0
        self._before = sys.getprofile()
        sys.setprofile(self._called)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(self._before)

    def _called(self, frame: FrameType, event: str, _: Any) -> None:
        # A comprehension is a function to Python 3.11 and none to 3.12.
        code = frame.f_code
        if event == "call" and not code.co_name.startswith("<") and code.co_filename.startswith(OURS):
            self.count += 1


@pytest.mark.parametrize(("clusters", "workers"), [(1, 40), (4, 40), (4, 80)])
def test_a_burst_takes_one_request_a_pod_and_a_few_a_cluster(clusters: int, workers: int) -> None:
    work = Work(clusters)
    passes = work.burst(workers)
    assert work.requests.pop(CREATE) == clusters * workers
    assert work.requests == {
        ("create", "events"): clusters,
        ("patch", "rayclusters/status"): 2 * clusters,
    }
    # One that makes them, and one that looks at what came of it.
    assert passes <= 2 * clusters


def test_a_pod_is_sent_once_and_its_answer_is_short() -> None:
    work = Work(2)
    work.burst(50)
    cluster = RayCluster.from_object(work.objects["rayclusters", NAMESPACE, "cluster-0"])
    kind = parse_spec(cluster.spec).worker_types[0]
    pod = len(orjson.dumps(build_pod(cluster, parse_spec(cluster.spec), kind, slot_name(cluster, kind, 0))))
    assert work.bytes_sent[CREATE] == pytest.approx(100 * pod, rel=0.001)
    assert work.bytes_received[CREATE] < 0.4 * work.bytes_sent[CREATE]


def test_a_pod_that_is_made_is_asked_about_as_metadata_alone() -> None:
    work = Work(1)
    with mock.patch.object(Work, "send", autospec=True, side_effect=Work.send) as send:
        work.burst(3)
    creates = [call.args[1] for call in send.call_args_list if call.args[1].resource == "pods"]
    assert {r.accept for r in creates if "dryRun" not in r.query} == {METADATA_ONLY}


@pytest.mark.parametrize("workers", [10, 90])
def test_pods_of_a_type_are_built_once_a_pass(workers: int) -> None:
    work = Work(3)
    work.settle()
    with mock.patch.object(apply, "build_pod", wraps=build_pod) as built:
        work.burst(workers)
    assert built.call_count == 3


@pytest.mark.parametrize("workers", [10, 90])
def test_a_burst_is_planned_twice_a_cluster(workers: int) -> None:
    work = Work(3)
    work.settle()
    with mock.patch.object(reconciler, "make_plan", wraps=make_plan) as planned:
        work.burst(workers)
    assert planned.call_count <= 6


def test_the_calls_of_a_burst_grow_with_its_pods_and_no_faster() -> None:
    counts = {}
    for workers in (25, 50, 100):
        work = Work(2)
        work.settle()
        with Calls() as calls:
            work.burst(workers)
        counts[workers] = calls.count
    assert counts[100] - counts[50] <= 2.2 * (counts[50] - counts[25])
    assert (counts[100] - counts[50]) / 100 < CALLS_PER_POD


def test_a_pod_of_a_watch_is_read_with_few_calls() -> None:
    work = Work(1)
    work.burst(1)
    pod = next(p for p in work.of("pods") if "worker" in p["metadata"]["name"])
    line = orjson.dumps({"type": "ADDED", "object": pod})
    with Calls() as calls:
        PodView.from_object(decode(line)["object"])
    assert calls.count < CALLS_PER_EVENT


def test_idle_clusters_ask_for_nothing() -> None:
    """Though a pass looks at them, as after a restart."""
    work = Work(5)
    work.burst(20)
    work.requests.clear()
    for name in work.cluster_names:
        work.tell(Key(NAMESPACE, name))
    assert work.settle() == 5
    assert not work.requests


def test_an_idle_cluster_is_looked_at_with_few_calls_a_pod() -> None:
    counts = {}
    for workers in (50, 100):
        work = Work(1)
        work.burst(workers)
        work.tell(Key(NAMESPACE, "cluster-0"))
        with Calls() as calls:
            work.settle()
        counts[workers] = calls.count
    assert (counts[100] - counts[50]) / 50 < CALLS_PER_IDLE_POD


def test_an_operator_that_starts_where_all_is_there_writes_nothing() -> None:
    work = Work(5)
    work.burst(20)
    work.requests.clear()
    heads: Any = FakeHeads()
    later = Reconciler(work, work.stores, Events(work), heads, lambda key: InlineExecutor(), clock=lambda: work.now)
    for name in work.cluster_names:
        later.reconcile(Key(NAMESPACE, name))
    assert not work.requests
