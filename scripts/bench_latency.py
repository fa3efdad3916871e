"""Seconds from waiting work to pods, and from the end of idle time to their deletion: real nodes, real Ray.

In each round a program on the head of a cluster without workers submits one task. Two times are measured, both by the
monotonic clock of this machine: from the command to submit until a watch of pods shows the new pod;
and from the moment the program has the task's result, plus the idle timeout, until the watch shows that the pod is
being deleted. What kubectl takes to carry the word counts with the former.

Writes build/bench/autoscaling-latency.json. Fails when pods take over half a second in the median or a second at most,
or when a deletion is more than two seconds late.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import environment as cluster_environment
from elastic import apply_cluster, in_head, operated, ray_cluster

RESULT = Path(__file__).resolve().parent.parent / "build" / "bench" / "autoscaling-latency.json"
NAMESPACE, NAME = "ray-latency", "elastic"
WORKERS = f"/api/v1/namespaces/{NAMESPACE}/pods?watch=true&labelSelector=ray-node-type%3Dworker"
IDLE_SECONDS = 3.0
MEDIAN_LIMIT, MOST_LIMIT, LATE_LIMIT = 0.5, 1.0, 2.0
PATIENCE_SECONDS = 120.0

PROGRAM = """
import sys
import ray

ray.init(address="auto", log_to_driver=False, logging_level="ERROR")
work = ray.remote(num_cpus=1, max_retries=0)(lambda: None)
print("ready", flush=True)
for _ in sys.stdin:
    ray.get(work.remote())
    print("done", flush=True)
"""

# When it was seen, what happened, and the pod.
Seen = tuple[float, str, dict[str, Any]]


@contextmanager
def watched(environment: Mapping[str, str]) -> Iterator[Callable[[Callable[[str, dict[str, Any]], bool]], float]]:
    """A watch of the worker pods; what is yielded waits for an event and returns when it came."""
    events: queue.Queue[Seen] = queue.Queue()
    command = ["kubectl", "get", "--raw", WORKERS]
    with subprocess.Popen(command, env=dict(environment), stdout=subprocess.PIPE, text=True) as watch:
        assert watch.stdout is not None
        threading.Thread(target=_read, args=(watch.stdout, events), daemon=True).start()

        def wait_for(matches: Callable[[str, dict[str, Any]], bool]) -> float:
            while True:
                when, kind, pod = events.get(timeout=PATIENCE_SECONDS)
                if matches(kind, pod):
                    return when

        try:
            yield wait_for
        finally:
            watch.terminate()


def _read(lines: IO[str], events: queue.Queue[Seen]) -> None:
    for line in lines:
        when, event = time.monotonic(), json.loads(line)
        events.put((when, event["type"], event["object"]))


def is_new(kind: str, _pod: dict[str, Any]) -> bool:
    """The pod has been created."""
    return kind == "ADDED"


def is_leaving(kind: str, pod: dict[str, Any]) -> bool:
    """Its deletion has been asked for."""
    return "deletionTimestamp" in pod["metadata"] or kind == "DELETED"


def is_gone(kind: str, _pod: dict[str, Any]) -> bool:
    """It is no more."""
    return kind == "DELETED"


def measure(environment: Mapping[str, str], rounds: int) -> list[dict[str, float]]:
    """Seconds of each round: ``created`` after submission, ``done`` after submission, ``late`` beyond the timeout."""
    found = []
    with watched(environment) as wait_for, in_head(environment, NAMESPACE, PROGRAM) as program:
        assert program.stdin is not None and program.stdout is not None
        assert program.stdout.readline().strip() == "ready"
        for number in range(1, rounds + 1):
            submitted = time.monotonic()
            program.stdin.write("go\n")
            created = wait_for(is_new) - submitted
            assert program.stdout.readline().strip() == "done"
            done = time.monotonic()
            late = wait_for(is_leaving) - done - IDLE_SECONDS
            wait_for(is_gone)
            found.append({"created": round(created, 3), "done": round(done - submitted, 3), "late": round(late, 3)})
            print(
                f"round {number:>2}: pod created after {created:.3f} s, its deletion {late:+.3f} s from idle timeout",
                flush=True,
            )
        program.stdin.close()
    return found


def summary(rounds: list[dict[str, float]]) -> dict[str, Any]:
    """Median and extremes."""
    created, late = [r["created"] for r in rounds], [r["late"] for r in rounds]
    return {
        "clock": "monotonic clock of the measuring machine, at submission and at receipt of the watch event",
        "rounds": rounds,
        "waiting_task_to_pod_created": {"median": statistics.median(created), "max": max(created)},
        "idle_timeout_to_pod_deleted": {"median": statistics.median(late), "max": max(late)},
    }


def failures(result: Mapping[str, Any]) -> list[str]:
    """What is not as it must be."""
    up, down = result["waiting_task_to_pod_created"], result["idle_timeout_to_pod_deleted"]
    bounds = [("median until a pod is created", up["median"], MEDIAN_LIMIT)]
    bounds += [("longest until a pod is created", up["max"], MOST_LIMIT)]
    bounds += [("latest deletion", down["max"], LATE_LIMIT)]
    return [f"{what}: {value:.3f} s, allowed are {limit} s" for what, value, limit in bounds if value > limit]


def main() -> int:
    """Run all rounds; 1 when a bound is exceeded, 2 when there is no cluster to run them on."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20, help="default: 20")
    arguments = parser.parse_args()
    try:
        environment = cluster_environment.prepare(os.environ.get("CLUSTER") or "local", say=print)
    except cluster_environment.PrerequisiteError as error:
        print(f"bench_latency: {error}", file=sys.stderr)
        return 2
    worker = {"name": "worker", "minWorkers": 0, "maxWorkers": 1, "rayResources": {"CPU": 1}}
    cluster = ray_cluster(NAME, [worker], maxWorkers=1, idleTimeoutMinutes=IDLE_SECONDS / 60)
    with operated(environment, NAMESPACE):
        apply_cluster(environment, NAMESPACE, cluster)
        result = summary(measure(environment, arguments.rounds))
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=1))
    wrong = failures(result)
    for text in wrong:
        print(f"!! {text}")
    up, down = result["waiting_task_to_pod_created"], result["idle_timeout_to_pod_deleted"]
    print(f"pod created: median {up['median']:.3f} s, at most {up['max']:.3f} s")
    print(f"deletion after the idle timeout: median {down['median']:.3f} s, at most {down['max']:.3f} s")
    print(f"Written: {RESULT}")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
