"""A mesh without a mesh: the API server puts a container before Ray's in each Ray pod. Real nodes, real Ray."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest
from elastic import IMAGE, apply_cluster, in_head, operated, ray_cluster

from tests.support.kube import PATIENCE, Kube, eventually
from tests.support.mesh import PROXY, meshed

NAMESPACE, NAME = "ray-mesh", "meshed"
RAY = "ray-node"
HEAD, WORKER = "ray-node-type=head", "ray-node-type=worker"
LONG = 180.0
# On the worker: the head takes no work.
PROGRAM = """
import ray

@ray.remote(num_cpus=1)
def work():
    return "worked"

ray.init("auto", log_to_driver=False)
print(ray.get(work.remote()))
"""


@pytest.fixture(scope="module")
def mesh(environment: Mapping[str, str]) -> Iterator[Kube]:
    """The cluster, with one worker."""
    kube = Kube(environment, NAMESPACE)
    with operated(environment, NAMESPACE), meshed(kube, IMAGE):
        cluster = ray_cluster(NAME, [{"name": "worker", "minWorkers": 1}], maxWorkers=1)
        apply_cluster(environment, NAMESPACE, cluster)
        yield kube
        print(kube.run("logs", "deployment/ray-operator", "--tail=200"))


def ready(kube: Kube) -> None:
    """Every container of every pod runs, and the cluster says so."""

    def runs() -> bool:
        pods = kube.list("pods", "ray-cluster-name")
        complete = [all(c["ready"] for c in pod["status"].get("containerStatuses", [{"ready": False}])) for pod in pods]
        return kube.get("raycluster", NAME)["status"]["phase"] == "Running" and complete == [True, True]

    eventually(runs, within=LONG)


def work(kube: Kube) -> str:
    """The last line that the program prints. Ray may print before it that a node is dead."""
    return (
        in_head(kube.environment, NAMESPACE, PROGRAM).communicate(timeout=LONG * PATIENCE)[0].strip().splitlines()[-1]
    )


def test_a_cluster_behind_proxies_comes_up_and_works(mesh: Kube) -> None:
    """kubectl goes to Ray's container without being told."""
    ready(mesh)
    pods = mesh.list("pods", "ray-cluster-name")
    assert [[c["name"] for c in pod["spec"]["containers"]] for pod in pods] == [[PROXY, RAY]] * 2
    assert work(mesh) == "worked"


@pytest.mark.parametrize(("selector", "restarts"), [(WORKER, 0), (HEAD, 1)])
def test_ray_that_is_killed_behind_its_proxy_is_replaced(mesh: Kube, selector: str, restarts: int) -> None:
    ready(mesh)
    (victim,) = mesh.list("pods", selector)
    program = "gcs_server" if selector == HEAD else "raylet"
    kill = f'for p in /proc/[0-9]*; do grep -qsx {program} "$p/comm" && kill -9 "${{p#/proc/}}"; done; true'
    mesh.run("exec", victim["metadata"]["name"], "--", "bash", "-c", kill)
    eventually(
        lambda: victim["metadata"]["uid"] not in {p["metadata"]["uid"] for p in mesh.list("pods", selector)},
        within=LONG,
    )
    ready(mesh)
    assert work(mesh) == "worked"
    assert mesh.get("raycluster", NAME)["status"]["autoscalerRetries"] == restarts
