"""A whole small Kubernetes around the reconciler: the kubelets and the garbage collector are played by the test."""

from __future__ import annotations

import copy
import itertools
from collections import Counter
from dataclasses import replace
from typing import Any

from autoscaler.model import NodeStatus, RayNode, RayState
from controller.kube.events import Events
from controller.kube.store import Store, Stores
from controller.objects.labels import KIND_LABEL, WORKER
from controller.objects.views import PodView
from controller.planning.observed import Settings
from controller.raycluster.model import Key
from controller.reconcile.reconciler import Reconciler, Result
from tests.fakes.api import Died, FakeApi, InlineExecutor
from tests.fakes.heads import FakeHeads, node
from tests.support.builders import NAME, NAMESPACE, NOW, raw_cluster, raw_spec

KEY = Key(NAMESPACE, NAME)


class World:
    """One operator process after another over one API server."""

    def __init__(self, spec: dict[str, Any] | None = None, settings: Settings | None = None) -> None:
        self.api = FakeApi()
        self.settings = settings
        self.now = NOW
        self.deaths = 0
        self.heads = FakeHeads(clock=lambda: self.now)
        # Ray's consent is an answer like any other: the process may die before it hears of it.
        self.heads.on_drain = lambda: self.api.wrote("DRAIN", "nodes")
        # Whether workers that run and know their head are Ray nodes, and for how many seconds these have been idle.
        self.joins = True
        self.session = "s"
        self.idle = 1.0
        self.draining: set[bytes] = set()
        self.numbers: dict[str, int] = {}
        self.number = itertools.count(1)
        self.notified: list[Key] = []
        self.user(spec or raw_spec())
        self.boot()

    def boot(self) -> None:
        """A new process: it knows nothing but what it lists."""
        self.stores = Stores(*(Store(self._cluster_of, self.notified.append) for _ in range(5)))
        self.api.listed(self.stores)
        self.told = len(self.api.log)
        events = Events(self.api, lambda: self.now)
        self.reconciler = Reconciler(
            self.api,
            self.stores,
            events,
            self.heads,
            lambda key: InlineExecutor(),
            settings=self.settings,
            clock=lambda: self.now,
        )

    @staticmethod
    def _cluster_of(obj: Any) -> Key:
        found: Key = getattr(obj, "cluster", obj.key)
        return found

    def user(self, spec: dict[str, Any]) -> None:
        """kubectl apply."""
        old = self.api.objects.get(("rayclusters", *KEY))
        obj = {**copy.deepcopy(old), "spec": spec} if old else raw_cluster(spec)
        self.api.put("rayclusters", obj)

    def tell(self) -> None:
        """The watch catches up."""
        self.told = self.api.deliver(self.stores, self.told)

    def kubelet(self) -> None:
        """What is terminating goes, what is new runs, and a worker that Ray has let go ends by itself."""
        for pod in list(self.api.of("pods")):
            name = pod["metadata"]["name"]
            if "deletionTimestamp" in pod["metadata"]:
                self.api.remove("pods", NAMESPACE, name)
                self.numbers.pop(name, None)
            elif "status" not in pod:
                number = len(self.api.log)
                status = {
                    "phase": "Running",
                    "podIP": f"10.0.{number // 250}.{number % 250}",
                    "conditions": [{"type": kind, "status": "True"} for kind in ("Ready", "ContainersReady")],
                }
                self.api.put("pods", {**pod, "status": status})
            elif self.node_id(name) in self.gone and pod["status"]["phase"] == "Running":
                self.api.put("pods", {**pod, "status": {"phase": "Succeeded"}})

    def ray(self) -> None:
        """The head answers: workers that run and know it have joined. One that drains finishes in the meantime."""
        head = self.heads.head
        if not self.joins or head is None:
            return
        for node_id in list(self.heads.deadlines):
            if node_id in self.draining:
                self.heads.busy.discard(node_id)
            self.draining.add(node_id)
        views = [PodView.from_object(p) for p in self.api.of("pods")]
        nodes = [
            self.node(p)
            for p in views
            if p.kind == WORKER and p.phase == "Running" and self.knows(p, head) and not p.deleting
        ]
        self.heads.state = RayState(self.session, 0.0, tuple(n for n in nodes if n.node_id not in self.gone))

    def knows(self, worker: PodView, head: PodView) -> bool:
        """A worker was told of this head, or of the address that heads of the cluster share."""
        addresses = [s["spec"].get("clusterIP") for s in self.api.of("services")]
        return worker.head_uid == head.uid or worker.head_ip in addresses

    def node(self, pod: PodView) -> RayNode:
        """The Ray node in a pod."""
        node_id = self.node_id(pod.name)
        busy = node_id in self.heads.busy
        shown = node(node_id[0], pod.name, pod.node_type, idle=None if busy else self.idle, free=0 if busy else 10_000)
        return replace(shown, status=NodeStatus.DRAINING) if node_id in self.draining else shown

    def node_id(self, pod: str) -> bytes:
        """Of the Ray node in a pod: the same for as long as its name is taken."""
        if pod not in self.numbers:
            self.numbers[pod] = next(self.number)
        return bytes([self.numbers[pod]]) * 28

    @property
    def gone(self) -> set[bytes]:
        """Nodes that have agreed to go and are not at work."""
        return set(self.heads.drained) - self.heads.busy

    def step(self) -> Result:
        """One pass; a process that dies in it is replaced and tries again."""
        while True:
            try:
                return self.reconciler.reconcile(KEY)
            except Died:
                self.deaths += 1
                self.boot()

    def turn(self) -> Result:
        """The watches report, Ray answers, the operator makes a pass, the kubelet works. Returns the pass's result."""
        self.tell()
        self.ray()
        result = self.step()
        self.kubelet()
        return result

    def turns(self, count: int) -> None:
        """So many, a second apart."""
        for _ in range(count):
            self.turn()
            self.now += 1

    def settle(self) -> None:
        """Turns until nothing changes any more."""
        for _ in range(30):
            version = self.api.version
            result = self.turn()
            # All that is left to wait for is an idle timeout.
            done = result.look_again_in is None or result.look_again_in > 200
            if not done:
                self.now += result.look_again_in or 0.0
            elif self.api.version == version and self.gone >= self.heads.deadlines.keys():
                return
        raise AssertionError("it never settles")

    def pod(self, kind: str) -> dict[str, Any]:
        """The first pod of a kind."""
        return next(p for p in self.api.of("pods") if p["metadata"]["labels"][KIND_LABEL] == kind)

    def fail(self, kind: str) -> None:
        """The pod's container ends."""
        pod = self.pod(kind)
        self.api.put("pods", {**pod, "status": {"phase": "Failed", "reason": "Evicted", "message": "disk full"}})

    @property
    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = self.api.objects["rayclusters", NAMESPACE, NAME].get("status", {})
        return found

    def condition(self, kind: str) -> dict[str, Any]:
        """A condition of the cluster."""
        return next(c for c in self.status["conditions"] if c["type"] == kind)

    def reasons(self) -> Counter[str]:
        """How often each kind of Event was posted."""
        return Counter(e["reason"] for e in self.api.events)


def well(spec: dict[str, Any] | None = None) -> World:
    """A cluster that runs, with its counters at zero."""
    world = World(spec)
    world.settle()
    world.api.writes.clear()
    world.api.events.clear()
    return world
