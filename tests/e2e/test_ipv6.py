"""A Kubernetes with IPv6 alone: real nodes, real Ray, and the start commands that a RayCluster has by default."""

from __future__ import annotations

import json
import subprocess
import urllib.request
from collections.abc import Iterator
from ipaddress import IPv6Address
from typing import Any

import environment as cluster_environment
import pytest
from elastic import apply_cluster, in_head, operated, ray_cluster

from tests.support.kube import PATIENCE, Kube, eventually, names
from tests.support.prerequisites import cannot_run, local_kubernetes

# The local Kubernetes, the namespace and the Ray cluster.
LOCAL_NAME, NAMESPACE, NAME = "ipv6", "ray-ipv6", "six"
HEAD, WORKER = "ray-node-type=head", "ray-node-type=worker"
LONG = 180.0
# Before Ray on a worker: the address without brackets is for programs that take host and port apart.
SETUP = "python3 -c \"import os, socket; socket.create_connection((os.environ['RAY_HEAD_HOST'], 6379))\""
# Three actors that live at a time, on a node each; the head takes no work.
PROGRAM = """
import ray

ray.init("auto", log_to_driver=False)

@ray.remote(num_cpus=1)
class Here:
    def address(self):
        return ray.util.get_node_ip_address()

actors = [Here.remote() for _ in range(3)]
print(*sorted(ray.get([actor.address.remote() for actor in actors])))
"""
# By the Service's name, which has an address of IPv6 alone.
CLIENT = f"""
import ray

ray.init("ray://{NAME}-ray-head:10001")
print("answer", ray.get(ray.remote(num_cpus=1)(lambda: 42).remote()))
"""


@pytest.fixture(scope="module")
def kube() -> Iterator[Kube]:
    """The namespace with the operator, in a local Kubernetes of its own."""
    local_kubernetes("up", "--name", LOCAL_NAME, "--nodes", "2", "--ip-family", "ipv6")
    try:
        environment = cluster_environment.prepare("local", name=LOCAL_NAME, say=print)
        with operated(environment, NAMESPACE):
            yield Kube(environment, NAMESPACE)
    except cluster_environment.PrerequisiteError as error:
        cannot_run(str(error))
    finally:
        local_kubernetes("down", "--name", LOCAL_NAME)


@pytest.fixture(scope="module")
def cluster(kube: Kube) -> Kube:
    """The namespace once the Ray cluster is ready, with one worker."""
    types = [{"name": "worker", "minWorkers": 1, "maxWorkers": 3, "setupCommands": [SETUP], "rayResources": {"CPU": 1}}]
    made = ray_cluster(NAME, types, maxWorkers=3)
    # A program runs there beside Ray.
    made["spec"]["podTypes"][1]["podConfig"]["spec"]["containers"][0]["resources"]["limits"]["memory"] = "1Gi"
    apply_cluster(kube.environment, NAMESPACE, made)
    eventually(lambda: status(kube)["phase"] == "Running" and status(kube)["readyWorkers"] == 1, within=LONG)
    return kube


def status(kube: Kube) -> dict[str, Any]:
    found: dict[str, Any] = kube.get("raycluster", NAME)["status"]
    return found


def on(kube: Kube, selector: str, *command: str) -> str:
    """What a command prints in the first pod that is selected."""
    return kube.run("exec", names(kube.list("pods", selector))[0], "--", *command)


def test_everything_has_addresses_of_ipv6(cluster: Kube) -> None:
    addresses = [pod["status"]["podIP"] for pod in cluster.list("pods", "ray-cluster-name")]
    addresses += [cluster.get("service", f"{NAME}-ray-head")["spec"]["clusterIP"], status(cluster)["head"]["podIP"]]
    assert len(addresses) == 4
    assert all(IPv6Address(address) for address in addresses)


def test_the_operator_scales_for_a_program(cluster: Kube) -> None:
    """From one worker to three: the operator learns from a head of IPv6 what waits."""
    program = in_head(cluster.environment, NAMESPACE, PROGRAM)
    printed = program.communicate(timeout=LONG * PATIENCE)[0].split()
    workers = cluster.list("pods", WORKER)
    assert printed == sorted(pod["status"]["podIP"] for pod in workers)
    assert len(workers) == 3


def test_ray_client_and_jobs_by_the_name_of_the_service(cluster: Kube) -> None:
    # Ray's proxy for clients takes a process of its own that has just begun for one that has ended, now and then.
    eventually(lambda: "answer 42" in on(cluster, WORKER, "python", "-c", CLIENT), within=LONG)
    submit = ("ray", "job", "submit", "--", "id")
    address = f"RAY_ADDRESS=http://{NAME}-ray-head:8265"
    eventually(lambda: "uid=" in on(cluster, WORKER, "env", address, *submit), within=LONG)
    # By the dashboard's address as Ray knows it, with an address of IPv6 in a URL.
    eventually(lambda: "uid=" in on(cluster, HEAD, *submit), within=LONG)


def test_the_dashboard_over_a_port_forward(cluster: Kube) -> None:
    command = ["kubectl", "-n", NAMESPACE, "port-forward", f"service/{NAME}-ray-head", ":8265"]
    with subprocess.Popen(command, env=dict(cluster.environment), stdout=subprocess.PIPE, text=True) as forward:
        assert forward.stdout
        try:
            port = forward.stdout.readline().split(" -> ")[0].rpartition(":")[2]
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/version", timeout=30) as answer:
                assert json.load(answer)["ray_version"]
        finally:
            forward.kill()
