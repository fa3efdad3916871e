"""The scenarios: each runs on a control plane, and answers its figures."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from controller.raycluster.model import RayCluster

from .bare import Posted, post
from .operated import Operated, operator, until_ready, written
from .plane import Plane, worker_pods

# What the operator does after the last pod is there counts too: statuses, Events.
TRAIL_SECONDS = 4.0


def burst(plane: Plane, clusters: int, workers: int) -> dict[str, Any]:
    """So many clusters go from 0 to so many workers each, and are deleted. The bare client makes and loses the same
    pods before and after, so that what else the machine does meets both.
    """
    pods = clusters * workers
    name = f"burst-{clusters}-{workers}"
    spaces = [f"bare-{clusters}-{workers}-{which}" for which in "ab"]
    before, after = (plane.make_clusters(space, clusters, 0, workers) for space in spaces)
    made = plane.make_clusters(name, clusters, 0, workers)
    with operator(plane.environment, name) as running:
        settle(plane, running, name, clusters)
        first = bare(plane, before, workers)
        grown = _grow(plane, running, made, workers)
        last = bare(plane, after, workers)
        limit = 2 * pods / (first.seconds + last.seconds)
        deletion = _delete(plane, name, spaces)
    cpu = (first.cpu + last.cpu) / 2
    return {
        "clusters": clusters,
        "pods": pods,
        **grown,
        "bare_pods_per_second": round(limit, 1),
        "bare_runs": [round(pods / run.seconds, 1) for run in (first, last)],
        "bare_cpu_seconds": round(cpu, 2),
        "share_of_limit": round(grown["pods_per_second"] / limit, 3),
        "cpu_ratio": round(grown["cpu_seconds"] / cpu, 2),
        "deletion": deletion,
    }


def running(plane: Plane, clusters: int, workers: int) -> dict[str, Any]:
    """The same until the pods run, with the scheduler and fake nodes: how much of their speed the operator reaches."""
    pods = clusters * workers
    name = f"running-{clusters}-{workers}"
    before, after = (plane.make_clusters(f"{name}-bare-{which}", clusters, 0, workers) for which in "ab")
    made = plane.make_clusters(name, clusters, 0, workers)
    first = _bare_running(plane, before, workers)
    with operator(plane.environment, name) as operated:
        # Heads that KWOK runs never answer: they are asked again all the time.
        settle(plane, operated, name, clusters, rest=0.3)
        grown = _grow(plane, operated, made, workers, running=True)
    limit = 2 * pods / (first + _bare_running(plane, after, workers))
    return {
        "clusters": clusters,
        "pods": pods,
        **grown,
        "bare_pods_per_second": round(limit, 1),
        "share_of_limit": round(grown["pods_per_second"] / limit, 3),
    }


def edited(plane: Plane, clusters: int, edits: int) -> dict[str, Any]:
    """One RayCluster at a time among many gets a worker more. How long until its pod is there, and what of that is the
    API server's: its answer to the edit, and a pod of the user's own from the request to the watch's event.
    """
    name = f"edited-{clusters}"
    made = plane.make_clusters(name, clusters, 0, edits)
    alone = plane.make_clusters(f"{name}-bare", edits, 0, 1)
    with operator(plane.environment, name) as operated:
        settle(plane, operated, name, clusters)
        seen = plane.arrivals(name)
        waits = []
        for cluster in made[:edits]:
            [(asked, answered)] = plane.scale([cluster], 1)
            plane.until(lambda cluster=cluster: cluster.name in seen.first, every=0.001)  # type: ignore[misc]
            waits.append((answered - asked, seen.first[cluster.name] - asked))
        seen.stop()
    own = plane.arrivals(alone[0].namespace)
    bare = []
    for cluster in alone:
        asked = plane.make_worker(cluster)
        plane.until(lambda cluster=cluster: cluster.name in own.first, every=0.001)  # type: ignore[misc]
        bare.append(own.first[cluster.name] - asked)
    own.stop()
    return {
        "clusters": clusters,
        "edits": edits,
        "wait_seconds": spread([wait for _, wait in waits]),
        "api_answer_seconds": spread([answer for answer, _ in waits]),
        "bare_create_seconds": spread(bare),
    }


def standing(plane: Plane, clusters: int, workers: int, idle_seconds: float) -> dict[str, Any]:
    """An operator starts where all pods are there, and then has nothing to do."""
    name = f"standing-{clusters}-{workers}"
    plane.make_clusters(name, clusters, workers, workers)
    total = clusters * (workers + 1)
    with operator(plane.environment, name) as running:
        plane.until(lambda: plane.count(name) == total, every=2.0)
        settle(plane, running, name, clusters)
    with operator(plane.environment, name) as running:
        ready = until_ready(running)
        time.sleep(TRAIL_SECONDS)
        begun, used = running.requests(), running.usage()
        time.sleep(idle_seconds)
        ended, idle = running.requests(), running.usage()
    requests = {" ".join(key): count - begun.get(key, 0) for key, count in ended.items() if count != begun.get(key)}
    return {
        "clusters": clusters,
        "pods": total,
        "ready_seconds": round(ready, 2),
        "writes_after_start": written({}, begun),
        "start_cpu_seconds": round(used.cpu, 2),
        "rss_mb": idle.rss_mb,
        "idle_requests_per_second": round(sum(requests.values()) / idle_seconds, 3),
        "idle_requests": requests,
        "idle_cores": round((idle.cpu - used.cpu) / idle_seconds, 4),
    }


def shards(plane: Plane, operators: int, clusters: int, workers: int) -> dict[str, Any]:
    """So many operators share the clusters, which go from 0 to so many workers each."""
    name = f"shards-{operators}"
    made = plane.make_clusters(name, clusters, 0, workers)
    flags = ["--leader-elect", f"--shards={operators}", f"--lease-namespace={name}"] if operators > 1 else []
    with ExitStack() as stack:
        all_of_them = [stack.enter_context(operator(plane.environment, name, *flags)) for _ in range(operators)]
        for each in all_of_them:
            # Leases are renewed all the time.
            settle(plane, each, name, clusters, rest=0.3)
        requests, before = [each.requests() for each in all_of_them], [each.usage() for each in all_of_them]
        seen = plane.arrivals(name)
        started = time.monotonic()
        plane.scale(made, workers)
        plane.until(lambda: seen.count >= clusters * workers)
        seconds = time.monotonic() - started
        seen.stop()
        time.sleep(TRAIL_SECONDS)
        after = [each.usage() for each in all_of_them]
        writes = [written(b, each.requests()) for b, each in zip(requests, all_of_them, strict=True)]
    return {
        "operators": operators,
        "clusters": clusters,
        "pods": clusters * workers,
        "pods_per_second": round(clusters * workers / seconds, 1),
        "cpu_seconds": [round(a.cpu - b.cpu, 2) for a, b in zip(after, before, strict=True)],
        "rss_mb": [a.rss_mb for a in after],
        "created_pods": [each.get("create pods", 0) for each in writes],
    }


def bare(plane: Plane, clusters: Sequence[RayCluster], workers: int) -> Posted:
    """The bare client posts the workers of these clusters."""
    # Watched as the operator's pods are, so that the API server has the same to do.
    seen = plane.arrivals(clusters[0].namespace)
    posted = post(plane.environment, worker_pods(clusters, workers))
    seen.stop()
    return posted


def _bare_running(plane: Plane, clusters: Sequence[RayCluster], workers: int) -> float:
    """Seconds until the bare client's pods run."""
    seen = plane.arrivals(clusters[0].namespace, running=True)
    started = time.monotonic()
    post(plane.environment, worker_pods(clusters, workers))
    plane.until(lambda: seen.count >= len(clusters) * workers)
    seen.stop()
    return time.monotonic() - started


def _grow(
    plane: Plane, operated: Operated, clusters: Sequence[RayCluster], workers: int, *, running: bool = False
) -> dict[str, Any]:
    seen, wanted = plane.arrivals(clusters[0].namespace, running=running), len(clusters) * workers
    requests, before = operated.requests(), operated.usage()
    started = time.monotonic()
    scaling = threading.Thread(target=plane.scale, args=(clusters, workers))
    scaling.start()
    plane.until(lambda: seen.count >= wanted)
    seconds = time.monotonic() - started
    seen.stop()
    scaling.join()
    time.sleep(TRAIL_SECONDS)
    after = operated.usage()
    return {
        "seconds": round(seconds, 2),
        "pods_per_second": round(wanted / seconds, 1),
        "cpu_seconds": round(after.cpu - before.cpu, 2),
        "rss_mb": after.rss_mb,
        "peak_mb": after.peak_mb,
        "writes": written(requests, operated.requests()),
    }


def settle(plane: Plane, running: Operated, namespace: str, clusters: int, rest: float = 0.05) -> None:
    """Wait until every cluster has its head and its first status, and the operator is at rest: it takes no more CPU
    than ``rest`` in two seconds.
    """
    plane.until(lambda: plane.count(namespace) >= clusters, every=1.0)
    plane.until(lambda: all(plane.statuses(namespace)), every=1.0)
    cpu = -1.0
    while (used := running.usage().cpu) - cpu > rest:
        cpu = used
        time.sleep(TRAIL_SECONDS / 2)


def _delete(plane: Plane, namespace: str, bare: Sequence[str]) -> Mapping[str, Any]:
    """Deleting the clusters, beside the API server's own deletion of as many pods."""
    own = []
    for space in bare:
        started = time.monotonic()
        plane.delete_pods(space)
        plane.until(lambda space=space: plane.count(space) == 0, every=0.5)  # type: ignore[misc]
        own.append(time.monotonic() - started)
    started = time.monotonic()
    plane.delete_clusters(namespace)
    plane.until(lambda: plane.count(namespace) == 0, every=0.5)
    seconds = time.monotonic() - started
    limit = statistics.fmean(own)
    return {
        "seconds": round(seconds, 2),
        "deletecollection_seconds": round(limit, 2),
        "ratio": round(seconds / limit, 2),
    }


def spread(values: Sequence[float]) -> dict[str, float]:
    """How long something took: in the median, for 99 of 100, and at most."""
    ordered = sorted(values)
    at = (("p50", 0.5), ("p99", 0.99), ("most", 1.0))
    return {name: round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 3) for name, share in at}
