"""Work of many shapes waits on one head: how long until each task has a pod, beside the bare client's time for them."""

from __future__ import annotations

import random
import time
from contextlib import closing
from typing import Any

from autoscaler.model import Demand, NodeStatus, Shape
from controller.raycluster.model import RayCluster
from tests.fakes.gcs import FakeGcs

from .operated import operator
from .plane import Plane
from .scenarios import bare

GCS_PORT = 6379
MEMORY = 4 * 2**30
SETTLE_SECONDS = 5.0


def demand(plane: Plane, tasks: int, shapes: int) -> dict[str, Any]:
    """So many tasks, each for a worker of its own, wait on one head from one moment on."""
    name = f"demand-{tasks}"
    # A worker runs already: upscalingSpeed is a multiple of those.
    fields = {"upscalingSpeed": tasks, "maxWorkers": tasks + 1}
    before, after = (plane.make_clusters(f"{name}-bare-{which}", 1, 0, tasks) for which in "ab")
    [cluster] = plane.make_clusters(name, 1, 1, tasks + 1, memory=MEMORY, **fields)
    with operator(plane.environment, name) as operated, closing(_head(plane, cluster)) as head:
        _worker(plane, cluster, head)
        time.sleep(SETTLE_SECONDS)
        first = bare(plane, before, tasks).seconds
        used = operated.usage()
        seen = plane.arrivals(name)
        plane.until(lambda: seen.count == 1)
        started = time.monotonic()
        head.demands = _demands(tasks, shapes)
        plane.until(lambda: len(seen.first) > 0 and seen.count > 1, every=0.005)
        begun = time.monotonic() - started
        plane.until(lambda: seen.count == tasks + 1)
        seconds = time.monotonic() - started
        seen.stop()
        now = operated.usage()
        last = bare(plane, after, tasks).seconds
    return {
        "tasks": tasks,
        "shapes": shapes,
        "seconds": round(seconds, 2),
        "first_pod_seconds": round(begun, 2),
        "cpu_seconds": round(now.cpu - used.cpu, 2),
        "rss_mb": now.rss_mb,
        "bare_seconds": [round(each, 2) for each in (first, last)],
        "share_of_limit": round((first + last) / 2 / seconds, 3),
    }


def _demands(tasks: int, shapes: int) -> tuple[Demand, ...]:
    """Each shape takes more than half of a worker, so that no two tasks share one."""
    step = MEMORY // (4 * shapes)
    wanted = [Shape.of({"CPU": 1, "memory": MEMORY // 2 + step * (1 + number)}) for number in range(shapes)]
    return tuple(Demand(shape, tasks // shapes) for shape in wanted)


def _head(plane: Plane, cluster: RayCluster) -> FakeGcs:
    """The cluster's head, played: its pod runs, and Ray answers at its address."""
    [pod] = plane.pods(cluster, "head", 1)
    while True:
        address = f"127.{random.randint(1, 254)}.{random.randint(1, 254)}.{random.randint(1, 254)}"
        try:
            head = FakeGcs(host=address, port=GCS_PORT, name=pod)
        except RuntimeError:
            continue  # Another program's.
        plane.run_pod(cluster.namespace, pod, address)
        return head


def _worker(plane: Plane, cluster: RayCluster, head: FakeGcs) -> None:
    [pod] = plane.pods(cluster, "worker", 1)
    plane.run_pod(cluster.namespace, pod, "10.9.0.1")
    resources = {"CPU": 1.0, "memory": float(MEMORY)}
    head.add_node(pod, "worker", resources, status=NodeStatus.RUNNING, ip="10.9.0.1")
