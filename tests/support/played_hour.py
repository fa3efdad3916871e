"""An operator that has looked after any number of clusters for an hour, as far as its port shows it. All is played.

Passes come every half minute: work arrives in bursts, workers are wanted for it, pods come and become Ray nodes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from autoscaler.model import Demand, RayState, Shape
from controller.kube.leadership import Leadership
from controller.kube.store import Store, Stores
from controller.monitoring.health import Health
from controller.monitoring.metrics import Metrics
from controller.monitoring.pass_metrics import PassMetrics
from controller.objects.views import PodView
from controller.planning.actions import CreatePod, RetirePod
from controller.planning.observed import RayView
from controller.planning.plan import Plan
from controller.planning.reasons import Label, Reason
from controller.raycluster.model import Json, Key, RayCluster
from tests.fakes.heads import FakeHeads, node
from tests.support.builders import head_pod, seen, worker_pod

HOUR, TICK = 3600.0, 30.0
TEAMS = ("ml-training", "recommendations", "speech", "vision")
JOBS = ("batch-inference", "embeddings", "feature-pipeline", "hyperparameter-search", "llm-finetuning", "serving")
# What is wrong with the first clusters: phase, message, infeasible work.
TROUBLES: tuple[tuple[str, str, int], ...] = (
    ("Error", 'spec.podTypes[1].maxWorkers: 0 is less than minWorkers, 2; raise it or lower "minWorkers"', 0),
    ("Updating", 'pods "serving-worker-k2x9q" is forbidden: exceeded quota: gpus, requested: nvidia.com/gpu=8', 4),
)
SEEN = seen()
SPEC = SEEN.spec
MOST = 50
HEAD, WORKERS = head_pod(SPEC), tuple(worker_pod(SPEC, number) for number in range(MOST))
WORKER = Reason(Label.WORKER, "waiting work")


@dataclass
class _Played:
    """One cluster: its workers and work as they are at the moment, and the work that runs."""

    key: Key
    random: Random
    trouble: tuple[str, str, int]
    ready: int = 1
    wanted: int = 1
    waiting: int = 0

    def tick(self) -> tuple[int, int]:
        """Half a minute passes. How many pods are made, and how many go."""
        came = self.random.choice((0,) * 19 + (40,)) * self.random.randint(1, 6)
        self.waiting = max(0, self.waiting + came - self.ready * 2)
        target = min(MOST, 1 + self.waiting // 8 + (self.wanted * 4 // 5 if self.waiting else 0))
        idle = not self.waiting and self.random.random() < 0.3
        before, self.ready = self.wanted, max(1, min(self.wanted, self.ready + self.random.randint(2, 12)))
        self.wanted = max(target, self.wanted * 2 // 3 if idle else self.wanted, 1)
        self.ready = min(self.ready, self.wanted)
        return max(0, self.wanted - before), max(0, before - self.wanted)

    def cluster(self) -> RayCluster:
        phase, message, infeasible = self.trouble
        ready = {"type": "Ready", "status": "False" if message else "True", "message": message}
        status: Json = {
            "phase": phase,
            "readyWorkers": self.ready,
            "desiredWorkers": self.wanted,
            "pendingDemand": [{"count": self.waiting}],
            "infeasibleDemand": [{"count": infeasible}],
            "conditions": [ready],
        }
        return replace(SEEN.cluster, key=self.key, uid=f"uid-{self.key}", status=status)

    def pods(self) -> Iterator[PodView]:
        mine: dict[str, Any] = {"cluster": self.key, "owner_uid": f"uid-{self.key}"}
        yield replace(HEAD, key=Key(self.key.namespace, f"{self.key.name}-head"), **mine)
        for number, pod in enumerate(WORKERS[: self.wanted]):
            key = Key(self.key.namespace, f"{self.key.name}-{number}")
            yield replace(pod, key=key, ready=number < self.ready, **mine)


class PlayedOperator:
    """What ``controller.monitoring.routes`` shows. ``clusters``: how many there are."""

    def __init__(self, clusters: int, *, leads: bool = True, seed: int = 0) -> None:
        self.metrics, self.health = Metrics(), Health()
        self.leadership = Leadership() if leads else Leadership(until=0.0)
        self.stores = Stores(*(Store(_cluster_of, lambda _: None) for _ in range(4)))
        self.heads = FakeHeads(state=RayState("s", 0.0, ()), age=1.3, head=HEAD)
        self.now, began = 0.0, time.time() - HOUR
        self.passes = PassMetrics(self.metrics, lambda: self.now, lambda: began + self.now)
        self._random = Random(seed)
        self._clusters = [self._made(number) for number in range(clusters)]
        while self.now < HOUR:
            self.now += TICK
            for played in self._clusters:
                self._pass(played)
        for played in self._clusters:
            self.stores.clusters.watched(played.cluster(), "")
            for pod in played.pods():
                self.stores.pods.watched(pod, "")

    def unready(self) -> str:
        """Nothing is missing."""
        return ""

    def queued(self) -> int:
        """Some wait."""
        return min(3, len(self._clusters))

    def _made(self, number: int) -> _Played:
        name = f"{JOBS[number % len(JOBS)]}-{number // len(JOBS)}" if number else "the-longest-name-of-a-cluster-" * 2
        key = Key(TEAMS[number % len(TEAMS)], name.rstrip("-"))
        trouble = dict(enumerate(TROUBLES)).get(number, ("Running", "", 0))
        return _Played(key, Random(self._random.random()), trouble)

    def _pass(self, played: _Played) -> None:
        made, gone = played.tick()
        now = played.cluster()
        self.passes.reported(now, now.status)
        if made:
            self._scaled_up(now, played, made)
        if gone:
            idle = Reason(Label.IDLE, "idle for 5 minutes")
            self.passes.applied(now, [RetirePod(pod, b"", idle) for pod in WORKERS[:gone]], [])

    def _scaled_up(self, of: RayCluster, played: _Played, made: int) -> None:
        """A pod is made for the work after a moment, and becomes a Ray node later."""
        pods = WORKERS[:made]
        waits = (Demand(Shape.of({"CPU": 1}), 1),)
        self._look(of, RayState("s", 0.0, (), waits), pods, 0.0)
        self.passes.applied(of, [CreatePod(SPEC.pod_types[1], pod.name, WORKER) for pod in pods], [])
        joined = tuple(node(number % 250, pod.name, "worker-node") for number, pod in enumerate(pods))
        self._look(of, RayState("s", 0.0, joined), pods, -played.random.lognormvariate(2.3, 0.5))

    def _look(self, of: RayCluster, state: RayState, pods: Sequence[PodView], age: float) -> None:
        found = replace(
            SEEN, cluster=of, pods=pods, ray=RayView(state, "head-uid", age or self._random.uniform(0.1, 0.9))
        )
        self.passes.planned(found, Plan(()), 0.0)


def _cluster_of(obj: Any) -> Key:
    found: Key = getattr(obj, "cluster", obj.key)
    return found
