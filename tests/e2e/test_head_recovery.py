"""A head may die, and the cluster goes on: real nodes, real Ray, with what the head knows on a volume and in a Redis.

Nothing runs on the head; an actor on the worker counts, and must go on counting.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from elastic import apply_cluster, in_head, operated, ray_cluster

from tests.support.kube import Kube, eventually

NAMESPACE, NAME, VOLUME = "ray-recovery", "lasting", "ray-recovery-head"
HEAD, WORKER = "ray-node-type=head", "ray-node-type=worker"
LONG = 120.0
# What runs on the head as a driver: the counter's next number, and a task.
PROGRAM = """
import ray

ray.init(address="auto", namespace="recovery", log_to_driver=False)

class Counter:
    def __init__(self):
        self.count = 0

    def next(self):
        self.count += 1
        return self.count

counter = ray.remote(Counter).options(name="counter", lifetime="detached", num_cpus=1, get_if_exists=True).remote()
number = ray.get(counter.next.remote(), timeout=60)
said = ray.get(ray.remote(lambda: "done").options(num_cpus=1).remote(), timeout=60)
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
        printed, _ = program.communicate(timeout=LONG)
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


@pytest.fixture(scope="module")
def volume(environment: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """``spec.headRecovery.storage``: of the default StorageClass, or with a volume of this machine's."""
    kube = Kube(environment, NAMESPACE)
    classes = json.loads(kube.run("get", "storageclass", "-o", "json"))["items"]
    if any(
        (c["metadata"].get("annotations") or {}).get("storageclass.kubernetes.io/is-default-class") for c in classes
    ):
        yield {"size": "1Gi"}
        return
    folder = tmp_path_factory.mktemp("volume")
    every: Path = folder
    while every != every.parent and every.owner() == folder.owner() and "pytest" in str(every):
        every.chmod(0o777)
        every = every.parent
    node = kube.run("get", "nodes", "-o", "jsonpath={.items[0].metadata.name}")
    term = {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}]}
    made = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": VOLUME},
        "spec": {
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": VOLUME,
            "local": {"path": str(folder)},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [term]}},
        },
    }
    kube.apply(made)
    yield {"size": "1Gi", "storageClassName": VOLUME}
    kube.run("delete", "persistentvolume", VOLUME, "--ignore-not-found", "--timeout=60s")


@pytest.fixture(scope="module")
def lasting(environment: Mapping[str, str], volume: dict[str, Any]) -> Iterator[Lasting]:
    types = [{"name": "worker", "minWorkers": 1, "maxWorkers": 1, "rayResources": {"CPU": 2}}]
    with operated(environment, NAMESPACE):
        apply_cluster(environment, NAMESPACE, ray_cluster(NAME, types, headRecovery={"storage": volume}))
        made = Lasting(Kube(environment, NAMESPACE))
        made.kube.run("wait", "--for=condition=Ready", f"raycluster/{NAME}", "--timeout=180s")
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


@pytest.mark.parametrize("end", [delete, kill], ids=["deleted", "killed"])
def test_an_actor_outlives_its_head_and_so_do_the_workers(lasting: Lasting, end: Any) -> None:
    before, head = lasting.workers(), lasting.head()["metadata"]
    end(lasting, head["name"])
    seconds = lasting.next_head(head["uid"])
    print(f"the next head was ready {seconds:.1f} s after the last one was {end.__name__}d")
    lasting.count()
    assert lasting.workers() == before
    eventually(lambda: lasting.cluster()["status"]["phase"] == "Running", within=LONG)
    assert lasting.cluster()["status"]["autoscalerRetries"] == lasting.lost()
    said = {e["reason"] for e in lasting.kube.list("events")}
    assert {"HeadLost", "HeadRecovered"} <= said


def test_a_change_of_the_head_replaces_the_head_alone(lasting: Lasting) -> None:
    before, head = lasting.workers(), lasting.head()["metadata"]
    path = "/spec/podTypes/0/podConfig/spec/containers/0/env"
    patch = [{"op": "add", "path": path, "value": [{"name": "A", "value": "b"}]}]
    lasting.kube.run("patch", "raycluster", NAME, "--type=json", "-p", json.dumps(patch))
    lasting.next_head(head["uid"])
    lasting.replaced += 1
    lasting.count()
    assert lasting.workers() == before
    assert lasting.cluster()["status"]["autoscalerRetries"] == lasting.lost()
