"""Clusters come and go, grow and shrink, and lose heads and workers, for two hours: what grows in the operator.

A real API server; kubelets and Ray heads are played. Each round ends as it began, with the same number of clusters
and workers at rest, and is measured then. Writes build/bench/soak.json. Fails when memory grows faster than 2 MB an
hour, or when more than each cluster waits in the queue at the end of a round.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import environment as cluster_environment  # noqa: E402
from burst.operated import Operated, operator  # noqa: E402
from burst.plane import NO_SCHEDULER, Plane, control_plane  # noqa: E402
from elastic import ray_cluster  # noqa: E402

from autoscaler.model import Demand, Shape  # noqa: E402
from tests.support.apiserver import ApiServer  # noqa: E402
from tests.support.namespace import Namespace  # noqa: E402

RESULT = ROOT / "build" / "bench" / "soak.json"
CLUSTERS, REPLACED = 20, 5
# More tasks than the workers and the head of a cluster take.
MOST_WORKERS, TASKS = 4, 10
LOST_WORKERS, LOST_HEADS = 4, 1
# Where a round ends sooner, the next one waits.
ROUND_SECONDS = 30.0
IDLE_SECONDS = 5.0
MOST_MB_AN_HOUR = 2.0
SERIES = {
    "rss_mb": "process_resident_memory_bytes",
    "queued": "ray_operator_queue_depth",
    "files": "process_open_fds",
}


class Soak:
    """One namespace whose clusters are never left alone."""

    def __init__(self, plane: Plane, namespace: Namespace, operated: Operated) -> None:
        self._plane = plane
        self._space = namespace
        self._operated = operated
        self._chance = random.Random(7)
        self._made = 0

    def make(self, count: int) -> None:
        """So many new clusters, each with one worker."""
        for _ in range(count):
            self._space.make(_cluster(f"soak-{self._made}"))
            self._made += 1

    def round(self) -> None:
        """Some clusters are replaced, all get work, some lose a worker or their head, and the work ends."""
        for name in self._chance.sample(self._names(), REPLACED):
            self._space.delete("rayclusters", name)
        self.make(REPLACED)
        self.rest()
        self._grow()
        for kind, lost in (("worker", LOST_WORKERS), ("head", LOST_HEADS)):
            for pod in self._chance.sample(self._space.pods(kind), lost):
                self._space.delete("pods", pod["metadata"]["name"])
        self._grow()
        for head in self._space.heads():
            head.demands = ()
        self._space.finish_work(IDLE_SECONDS)
        self.rest()

    def rest(self) -> None:
        """Wait until each cluster runs with its one worker, and nothing waits in the queue."""
        self._settle(1)
        self._plane.until(lambda: self._operated.value(SERIES["queued"]) == 0, every=0.5)

    def figures(self) -> dict[str, float]:
        """What the operator says of itself."""
        found = {name: self._operated.value(series) for name, series in SERIES.items()}
        return {**found, "rss_mb": round(found["rss_mb"] / 2**20, 2)}

    def _grow(self) -> None:
        """More work waits at each head than its cluster can take, until that has all its workers."""

        def work() -> None:
            # A head that takes the place of another one comes while this is waited for.
            for head in self._space.heads():
                head.demands = head.demands or (Demand(Shape.of({"CPU": 1}), TASKS),)

        self._settle(MOST_WORKERS, work)

    def _settle(self, workers: int, meanwhile: Callable[[], object] = lambda: None) -> None:
        """Wait until each cluster runs with so many workers."""

        def settled() -> bool:
            meanwhile()
            clusters = self._space.all("rayclusters")
            there = len(self._space.pods("worker")) == CLUSTERS * workers
            return there and all(_runs(cluster, workers) for cluster in clusters)

        self._plane.until(settled, every=0.5)

    def _names(self) -> list[str]:
        return [cluster["metadata"]["name"] for cluster in self._space.all("rayclusters")]


def _runs(cluster: Mapping[str, Any], workers: int) -> bool:
    status = cluster.get("status", {})
    return bool(status.get("phase") == "Running" and status.get("readyWorkers") == workers)


def _cluster(name: str) -> dict[str, Any]:
    kind = {"name": "worker", "minWorkers": 1, "maxWorkers": MOST_WORKERS, "rayResources": {"CPU": 1}}
    made = ray_cluster(name, [kind], maxWorkers=MOST_WORKERS, idleTimeoutMinutes=IDLE_SECONDS / 2 / 60)
    for pod_type in made["spec"]["podTypes"]:
        pod_type["podConfig"]["spec"]["schedulerName"] = NO_SCHEDULER
    return made


def soak(plane: Plane, minutes: float) -> Iterator[dict[str, Any]]:
    """Rounds for so many minutes. After each: what was measured so far."""
    name = "soak"
    space = Namespace(ApiServer(plane.environment["KUBECONFIG"]), name)
    space.create()
    space.kubelet(take_work=True)
    samples: list[dict[str, float]] = []
    try:
        with operator(plane.environment, name) as operated:
            running, begun = Soak(plane, space, operated), time.monotonic()
            running.make(CLUSTERS)
            running.rest()
            while (now := time.monotonic()) - begun < minutes * 60:
                running.round()
                samples.append({"minutes": round((time.monotonic() - begun) / 60, 2), **running.figures()})
                print("  ".join(f"{key}: {value}" for key, value in samples[-1].items()), flush=True)
                if len(samples) > 2:
                    yield {"cpu_seconds": round(operated.usage().cpu, 1), **_summary(samples), "of": samples}
                time.sleep(max(0.0, now + ROUND_SECONDS - time.monotonic()))
    finally:
        space.stop()


def _summary(samples: Sequence[dict[str, float]]) -> dict[str, float]:
    """How fast memory and open files grow, by a line through the last three quarters, and the most that waited."""
    settled = samples[len(samples) // 4 :]
    return {
        "minutes": samples[-1]["minutes"],
        "rounds": len(samples),
        "rss_mb_an_hour": round(_slope(settled, "rss_mb"), 2),
        "files_an_hour": round(_slope(settled, "files"), 2),
        "queued_most": max(sample["queued"] for sample in samples),
    }


def _slope(samples: Sequence[dict[str, float]], name: str) -> float:
    hours = [sample["minutes"] / 60 for sample in samples]
    return statistics.linear_regression(hours, [sample[name] for sample in samples]).slope


def main() -> int:
    """Run it; 1 when something grows, 2 when there is no control plane to run it on."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=120.0, help="default: 120")
    options = parser.parse_args()
    result: dict[str, Any] = {}
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    try:
        with control_plane(f"soak-{os.getpid()}") as plane:
            for result in soak(plane, options.minutes):
                RESULT.write_text(json.dumps(result, indent=1) + "\n")
    except cluster_environment.PrerequisiteError as error:
        print(f"bench_soak: {error}", file=sys.stderr)
        return 2
    if not result:
        print("bench_soak: too short to tell; three rounds take two minutes", file=sys.stderr)
        return 2
    print(f"{result['rss_mb_an_hour']} MB an hour over {result['rounds']} rounds. Written: {RESULT}")
    return int(result["rss_mb_an_hour"] > MOST_MB_AN_HOUR or result["queued_most"] > CLUSTERS)


if __name__ == "__main__":
    sys.exit(main())
