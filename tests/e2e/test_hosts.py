"""Workers of two pods that are TPU slices to Ray: real nodes, real Ray, and chips that the nodes only say they have."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from elastic import apply_cluster, in_head, operated, ray_cluster

from tests.support.kube import PATIENCE, Kube, eventually, names

pytestmark = pytest.mark.ordered
NAMESPACE, NAME = "ray-hosts", "slices"
WORKER = "ray-node-type=worker"
CHIPS = 4
KINDS = {"cloud.google.com/gke-tpu-accelerator": "tpu-v4-podslice", "cloud.google.com/gke-tpu-topology": "2x2x2"}
LONG = 180.0
# Ray's own way to ask for a slice; one task for each of its hosts.
PROGRAM = """
import json, os
import ray
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy
from ray.util.tpu import slice_placement_group

ray.init(address="auto", log_to_driver=False)
slice = slice_placement_group(topology="2x2x2", accelerator_version="v4", head_reservation_timeout_s=150)
group = slice.placement_group
ray.get(group.ready(), timeout=150)

@ray.remote(num_cpus=0, resources={"TPU": 4})
def host():
    labels = ray.get_runtime_context().get_node_labels()
    told = [os.environ[n] for n in ("RAY_WORKER_NAME", "TPU_WORKER_ID", "TPU_WORKER_HOSTNAMES")]
    return [*told, labels["ray.io/tpu-slice-name"], labels["ray.io/tpu-worker-id"]]

def on(bundle):
    placed = PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=bundle)
    return host.options(scheduling_strategy=placed).remote()

print("RESULT", json.dumps(sorted(ray.get([on(bundle) for bundle in range(slice.num_hosts)]))), flush=True)
"""


@pytest.fixture(scope="module")
def chips(environment: Mapping[str, str]) -> Iterator[list[str]]:
    """Two nodes that say that they are machines with TPUs."""
    kube = Kube(environment, NAMESPACE)
    found = names(kube.list("nodes"))[:2]
    assert len(found) == 2, "a slice needs two nodes"
    for node in found:
        kube.run("label", "--overwrite", "node", node, *(f"{name}={value}" for name, value in KINDS.items()))
        patch = json.dumps([{"op": "add", "path": "/status/capacity/google.com~1tpu", "value": str(CHIPS)}])
        kube.run("patch", "node", node, "--subresource=status", "--type=json", "-p", patch)
    yield found
    for node in found:
        kube.run("label", "node", node, *(f"{name}-" for name in KINDS))
        for field in ("capacity", "allocatable"):
            patch = json.dumps([{"op": "remove", "path": f"/status/{field}/google.com~1tpu"}])
            kube.run("patch", "node", node, "--subresource=status", "--type=json", "-p", patch)


@pytest.fixture(scope="module")
def kube(environment: Mapping[str, str], chips: list[str]) -> Iterator[Kube]:
    cluster = ray_cluster(NAME, [{"name": "slice", "hosts": 2, "maxWorkers": 1}], maxWorkers=1, idleTimeoutMinutes=5)
    pod = cluster["spec"]["podTypes"][1]["podConfig"]["spec"]
    pod["nodeSelector"] = KINDS
    for amounts in pod["containers"][0]["resources"].values():
        amounts["google.com/tpu"] = CHIPS
    with operated(environment, NAMESPACE):
        apply_cluster(environment, NAMESPACE, cluster)
        made = Kube(environment, NAMESPACE)
        yield made
        print(made.run("logs", "deployment/ray-operator", "--tail=200"))


def workers(kube: Kube) -> list[dict[str, Any]]:
    return kube.list("pods", WORKER)


def slice_of(kube: Kube) -> list[list[str]]:
    """What each host of the slice that Ray finds says about itself."""
    program = in_head(kube.environment, NAMESPACE, PROGRAM)
    printed, _ = program.communicate(timeout=LONG * PATIENCE)
    found = [line.removeprefix("RESULT ") for line in printed.splitlines() if line.startswith("RESULT")]
    assert found, printed
    hosts: list[list[str]] = json.loads(found[0])
    return hosts


def told(kube: Kube) -> list[list[str]]:
    """What the hosts should say, by the pods that are there."""
    pods = names(workers(kube))
    worker = pods[0].rpartition("-")[0]
    hosts = ",".join(f"{pod}.{NAME}-ray-hosts" for pod in pods)
    return [[worker, str(number), hosts, worker, str(number)] for number in range(2)]


def test_ray_asks_for_a_slice_and_both_of_its_hosts_come(kube: Kube) -> None:
    """From none: the placement group of Ray's TPU code launches a worker of two pods, one on each node."""
    found = slice_of(kube)
    assert found == told(kube)
    assert len({pod["spec"]["nodeName"] for pod in workers(kube)}) == 2


def test_one_lost_host_replaces_the_slice_and_ray_finds_the_new_one(kube: Kube) -> None:
    patch = '[{"op": "add", "path": "/spec/podTypes/1/minWorkers", "value": 1}]'
    kube.run("patch", "raycluster", NAME, "--type=json", "-p", patch)
    before = {pod["metadata"]["uid"] for pod in workers(kube)}
    kube.run("delete", "pod", names(workers(kube))[1], "--wait=false")

    def replaced() -> bool:
        status = kube.get("raycluster", NAME)["status"]
        now = {pod["metadata"]["uid"] for pod in workers(kube)}
        return len(now) == 2 and not now & before and bool(status["phase"] == "Running")

    eventually(replaced, within=LONG)
    assert slice_of(kube) == told(kube)
