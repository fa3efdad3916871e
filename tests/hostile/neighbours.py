"""Clusters that have nothing to do with what goes wrong: their workers come and go, and how long they wait is kept.

The kubelet and Ray are played here: what is measured is the operator, beside an API server that is real.
"""

from __future__ import annotations

import random
import statistics
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from elastic import ray_cluster

from autoscaler.model import Demand, NodeStatus, Shape
from tests.fakes.gcs import FakeGcs
from tests.support.apiserver import MERGE, ApiServer
from tests.support.kube import running
from tests.support.ray_pods import RayPods

NAMESPACES, CLUSTERS = 4, 5
WORKERS = 2
LOOK_SECONDS = 0.05
WORK_SECONDS = 0.5
# In minutes, as the RayCluster has it: just over a second.
IDLE_MINUTES = 0.02
IDLE_SECONDS = 60 * IDLE_MINUTES
# A worker that is not there after so long has been forgotten.
PATIENCE_SECONDS = 120.0
Pod = dict[str, Any]


@dataclass
class Neighbour:
    """One cluster. ``step`` says what it does now, ``since`` when that began; ``seen``: the workers of this round."""

    namespace: str
    name: str
    head: FakeGcs | None = None
    step: str = "starts"
    since: float = 0.0
    seen: set[str] = field(default_factory=set)
    # Of the workers that run: the pod's name -> since when it is idle, by the monotonic clock.
    idle: dict[str, float | None] = field(default_factory=dict)

    def goes(self, step: str) -> None:
        """Begin another step."""
        self.step, self.since = step, time.monotonic()


class Neighbours:
    """Twenty clusters in four namespaces. ``waits``: seconds from each demand to its first pod; ``wrong``: rounds that
    made another number of workers than were asked for.
    """

    def __init__(self, server: ApiServer) -> None:
        self._server = server
        self._stop = threading.Event()
        self._pause = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._addresses = iter(range(1, 60_000))
        self._all = [
            Neighbour(f"neighbours-{space}", f"cluster-{number}")
            for space in range(NAMESPACES)
            for number in range(CLUSTERS)
        ]
        self.waits: list[float] = []
        self.wrong: list[str] = []
        self.error: BaseException | None = None

    def start(self) -> None:
        """Make them."""
        for space in sorted({each.namespace for each in self._all}):
            self._server.ask("POST", "/api/v1/namespaces", {"metadata": {"name": space}})
        kind = {"name": "worker", "maxWorkers": WORKERS, "rayResources": {"CPU": 1}}
        for each in self._all:
            made = ray_cluster(each.name, [kind], maxWorkers=WORKERS, idleTimeoutMinutes=IDLE_MINUTES, upscalingSpeed=9)
            self._server.ask("POST", f"/apis/cluster.ray.io/v1/namespaces/{each.namespace}/rayclusters", made)
        self._thread.start()

    def ready(self) -> bool:
        """Whether all of them have been through a round."""
        self._fail()
        return all(each.step != "starts" for each in self._all) and len(self.waits) >= 2 * len(self._all)

    def taken(self) -> list[float]:
        """The waits since the last time, with those that are not over."""
        self._fail()
        waits, self.waits = self.waits, []
        now = time.monotonic()
        late = [now - each.since for each in self._all if each.step == "asks" and now - each.since > 5]
        return waits + late

    def stop(self) -> None:
        """They stay, and nothing moves any more."""
        self._stop.set()
        self._thread.join()
        for each in self._all:
            if each.head:
                each.head.close()

    def _fail(self) -> None:
        if self.error:
            raise self.error

    def _run(self) -> None:
        try:
            while not self._stop.wait(LOOK_SECONDS):
                pods = self._pods()
                for each in self._all:
                    self._look(each, pods.get((each.namespace, each.name), []))
        except BaseException as error:
            self.error = error

    def _pods(self) -> dict[tuple[str, str], list[Pod]]:
        found: dict[tuple[str, str], list[Pod]] = {}
        for space in sorted({each.namespace for each in self._all}):
            for pod in self._server.ask("GET", f"/api/v1/namespaces/{space}/pods")["items"]:
                found.setdefault((space, pod["metadata"]["labels"]["ray-cluster-name"]), []).append(pod)
        return found

    def _look(self, each: Neighbour, pods: Sequence[Pod]) -> None:
        workers = []
        for pod in pods:
            is_head = pod["metadata"]["labels"]["ray-node-type"] == "head"
            if not is_head:
                workers.append(pod)
            if pod["status"].get("phase") == "Pending":
                self._begin(each, pod, is_head)
        if each.head:
            self._play(each, {pod["metadata"]["name"]: pod for pod in workers})

    def _begin(self, each: Neighbour, pod: Pod, is_head: bool) -> None:
        number = next(self._addresses)
        address = f"10.9.{number // 250}.{number % 250 + 1}"
        if is_head:
            played = RayPods()
            address = played.start_head(pod)
            each.head = played.heads()[0]
            each.goes("rests")
        elif pod["metadata"].get("annotations", {}).get("cluster.ray.io/head-uid") and each.head:
            each.head.add_node(pod["metadata"]["name"], "worker", {"CPU": 1}, status=NodeStatus.RUNNING, ip=address)
        else:
            return
        self._say(pod, running(address))

    def _say(self, pod: Pod, status: dict[str, Any]) -> None:
        metadata = pod["metadata"]
        path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}/status"
        with suppress(AssertionError):  # Deleted in the meantime.
            self._server.ask("PATCH", path, {"status": status}, MERGE)

    def _play(self, each: Neighbour, workers: dict[str, Pod]) -> None:
        """Work waits, runs, and ends; workers that have nothing to do are idle, and end when they are drained."""
        assert each.head
        now = time.monotonic()
        each.seen |= workers.keys()
        joined = [name for name in workers if name in each.head.nodes]
        if each.step == "rests" and not workers and now > each.since:
            each.seen = set()
            each.head.demands = (Demand(Shape.of({"CPU": 1}), WORKERS),)
            each.goes("asks")
        elif each.step == "asks" and workers:
            self.waits.append(now - each.since)
            each.goes("joins")
        elif each.step == "joins" and len(joined) == WORKERS:
            each.head.demands = ()
            each.goes("works")
        elif each.step == "works" and now - each.since > WORK_SECONDS:
            for name in joined:
                each.head.set_status(name, NodeStatus.IDLE)
            each.goes("idles")
        elif each.step == "idles" and not workers:
            if len(each.seen) != WORKERS:
                self.wrong.append(f"{each.namespace}/{each.name}: {sorted(each.seen)}")
            each.goes("rests")
            each.since += random.uniform(0, 1)
        if each.step != "rests" and now - each.since > PATIENCE_SECONDS:
            raise AssertionError(f"{each.namespace}/{each.name} {each.step} since {now - each.since:.0f} s: {workers}")
        if each.step == "idles":
            self._idle(each, workers, now - each.since)

    def _idle(self, each: Neighbour, workers: dict[str, Pod], seconds: float) -> None:
        assert each.head
        for name, pod in workers.items():
            node = each.head.nodes.get(name)
            if node and node.status == 3:
                node.idle_duration_ms = int(1_000 * seconds)
            elif node and node.status in (2, 4) and pod["status"].get("phase") == "Running":
                # A raylet that is drained ends, and its container with it.
                each.head.set_status(name, NodeStatus.DEAD)
                self._say(pod, {"phase": "Succeeded"})


def told(waits: Sequence[float]) -> str:
    """Of so many waits: the middle one and the longest."""
    if not waits:
        return "no waits"
    return f"{len(waits)} waits, median {statistics.median(waits):.2f} s, longest {max(waits):.2f} s"
