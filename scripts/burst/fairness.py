"""One cluster asks for thousands of workers: how long others wait meanwhile, and what of it is the API server's."""

from __future__ import annotations

import threading
import time
from typing import Any

from controller.raycluster.model import RayCluster

from .bare import post
from .operated import operator
from .plane import Plane, worker_pods
from .scenarios import settle, spread

HEAD_START_SECONDS = 0.3


def fairness(plane: Plane, big: int, others: int) -> dict[str, Any]:
    """One cluster asks for many workers; a moment later others ask for one each. How long do those wait?

    Beside it the same without an operator: the bare client posts the pods of the large cluster, and the user edits each
    of the others and creates its pod.
    """
    name = f"fairness-{big}-{others}"
    alone = plane.make_clusters(f"{name}-bare", others + 1, 0, big)
    bare = _bare(plane, alone, big)
    made = plane.make_clusters(name, others + 1, 0, big)
    with operator(plane.environment, name) as running:
        settle(plane, running, name, others + 1)
        before = running.usage()
        seen = plane.arrivals(name)
        started = time.monotonic()
        plane.scale(made[:1], big)
        time.sleep(HEAD_START_SECONDS)
        asked = plane.scale(made[1:], 1)
        plane.until(lambda: len(seen.first) > others)
        plane.until(lambda: seen.count >= big + others)
        seconds = time.monotonic() - started
        cpu = running.usage().cpu - before.cpu
        seen.stop()
    waits = [seen.first[c.name] - when for c, (when, _) in zip(made[1:], asked, strict=True)]
    answers = [answered - when for when, answered in asked]
    return {
        "big_cluster": big,
        "others": others,
        "big_pods_per_second": round(big / seconds, 1),
        "cpu_seconds": round(cpu, 2),
        "wait_seconds": spread(waits),
        "api_answer_seconds": spread(answers),
        "bare": bare,
    }


def _bare(plane: Plane, clusters: list[RayCluster], big: int) -> dict[str, Any]:
    seen = plane.arrivals(clusters[0].namespace)
    posting = threading.Thread(target=post, args=(plane.environment, worker_pods(clusters[:1], big)))
    started = time.monotonic()
    posting.start()
    plane.until(lambda: seen.count > 0)
    time.sleep(HEAD_START_SECONDS)
    asked = plane.scale_and_make(clusters[1:])
    plane.until(lambda: len(seen.first) >= len(clusters))
    posting.join()
    seconds = time.monotonic() - started
    seen.stop()
    waits = [seen.first[c.name] - when for c, when in zip(clusters[1:], asked, strict=True)]
    return {"wait_seconds": spread(waits), "big_pods_per_second": round(big / seconds, 1)}
