"""A RayCluster on real nodes that outlives its head; on its worker, an actor counts, and must go on counting."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from elastic import apply_cluster, in_head, operated, ray_cluster

from .detached_counter import COUNTER
from .kube import PATIENCE, Kube, eventually, names

NAMESPACE, NAME = "ray-recovery", "lasting"
HEAD, WORKER = "ray-node-type=head", "ray-node-type=worker"
LONG = 120.0
# What runs on the head as a driver: the counter's next number, and a task.
PROGRAM = f"""
import ray

ray.init(address="auto", namespace="recovery", log_to_driver=False)

{COUNTER}number = ray.get(counter.next.remote(), timeout=170)
said = ray.get(ray.remote(lambda: "done").options(num_cpus=1).remote(), timeout=170)
print("RESULT", number, said, flush=True)
"""


class Lasting:
    """The cluster, and how often its actor has counted."""

    def __init__(self, kube: Kube) -> None:
        self.kube = kube
        self.counted = 0
        self.heads: set[str] = set()
        self.replaced = 0

    def count(self) -> None:
        """The actor goes on from where it was, and a task runs."""
        program = in_head(self.kube.environment, NAMESPACE, PROGRAM)
        printed, _ = program.communicate(timeout=LONG * PATIENCE)
        self.counted += 1
        assert f"RESULT {self.counted} done" in printed, printed

    def head(self) -> dict[str, Any]:
        """The head's pod; empty while there is none. Each that is seen is counted."""
        found = next(iter(self.kube.list("pods", HEAD)), {})
        self.heads |= {found["metadata"]["uid"]} if found else set()
        return found

    def lost(self) -> int:
        """How many heads were lost before this one. Ray may need two attempts on a busy machine."""
        return len(self.heads) - 1 - self.replaced

    def workers(self) -> list[str]:
        """The workers' pods, by uid."""
        return sorted(p["metadata"]["uid"] for p in self.kube.list("pods", WORKER))

    def cluster(self) -> dict[str, Any]:
        """The RayCluster."""
        return self.kube.get("raycluster", NAME)

    def next_head(self, before: str) -> float:
        """Wait until another head is ready. Returns for how many seconds that took."""
        started = time.monotonic()

        def ready() -> bool:
            head = self.head()
            conditions = {c["type"]: c["status"] for c in head.get("status", {}).get("conditions", [])}
            return bool(head) and head["metadata"]["uid"] != before and conditions.get("Ready") == "True"

        eventually(ready, within=LONG)
        return time.monotonic() - started


@contextmanager
def lasting_cluster(
    environment: Mapping[str, str], recovery: Mapping[str, Any], *beside: Mapping[str, Any]
) -> Iterator[Lasting]:
    """The cluster with an operator of its own, ready; its actor has counted once. ``beside``: objects that it needs."""
    types = [{"name": "worker", "minWorkers": 1, "maxWorkers": 1, "rayResources": {"CPU": 3}}]
    cluster = ray_cluster(NAME, types, headRecovery=recovery)
    made = Lasting(Kube(environment, NAMESPACE))
    last = names(made.kube.list("nodes"))[-1]
    for pod_type, operator in zip(cluster["spec"]["podTypes"], ("NotIn", "In"), strict=True):
        pod = pod_type["podConfig"]["spec"]
        # Serve takes several processes on each.
        pod["containers"][0]["resources"]["limits"]["memory"] = "2Gi"
        # The worker's node is never the head's.
        there = {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": operator, "values": [last]}]}
        required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [there]}}
        pod["affinity"] = {"nodeAffinity": required}
        pod["tolerations"] = [
            {"key": f"node.kubernetes.io/{state}", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5}
            for state in ("not-ready", "unreachable")
        ]
    with operated(environment, NAMESPACE):
        if beside:
            made.kube.apply(*beside)
        apply_cluster(environment, NAMESPACE, cluster)
        made.kube.run("wait", "--for=condition=Ready", f"raycluster/{NAME}", "--timeout=540s")
        made.count()
        yield made
        print(made.kube.run("logs", "deployment/ray-operator", "--tail=200"))
        print(made.kube.run("logs", "-l", WORKER, "--tail=50"))


def delete(lasting: Lasting, head: str) -> None:
    """Somebody deletes the head's pod."""
    lasting.kube.run("delete", "pod", head, "--wait=false")


def kill(lasting: Lasting, head: str) -> None:
    """The GCS is killed, as it is when memory runs out."""
    kill = 'for p in /proc/[0-9]*; do grep -qsx gcs_server "$p/comm" && kill -9 "${p#/proc/}"; done; true'
    lasting.kube.run("exec", head, "--", "bash", "-c", kill)


def kill_twice(lasting: Lasting, head: str) -> None:
    """The head's pod is deleted, and the next one while it starts."""
    before = lasting.head()["metadata"]["uid"]
    delete(lasting, head)
    # The next one may have the same name.
    eventually(lambda: lasting.head()["metadata"]["uid"] != before, within=LONG)
    delete(lasting, lasting.head()["metadata"]["name"])


def outlives(lasting: Lasting, end: Callable[[Lasting, str], None]) -> None:
    """See that the actor and the workers outlive this end of their head."""
    before, head = lasting.workers(), lasting.head()["metadata"]
    end(lasting, head["name"])
    seconds = lasting.next_head(head["uid"])
    print(f"{end.__name__}: a next head was ready after {seconds:.1f} s")
    lasting.count()
    assert lasting.workers() == before
    eventually(lambda: lasting.cluster()["status"]["phase"] == "Running", within=LONG)
    assert lasting.cluster()["status"]["autoscalerRetries"] == lasting.lost()
    said = {e["reason"] for e in lasting.kube.list("events")}
    assert {"HeadLost", "HeadRecovered"} <= said
