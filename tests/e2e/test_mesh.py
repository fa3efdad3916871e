"""A mesh without a mesh: the API server puts a container before Ray's in each Ray pod. Real nodes, real Ray."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from elastic import IMAGE, apply_cluster, in_head, operated, ray_cluster

from tests.support.kube import Kube, eventually

NAMESPACE, NAME = "ray-mesh", "meshed"
PROXY, RAY = "mesh-proxy", "ray-node"
HEAD, WORKER = "ray-node-type=head", "ray-node-type=worker"
LONG = 180.0
CONTAINER = f'Object.spec.containers{{name: "{PROXY}", image: "{IMAGE}", command: ["sleep", "infinity"]}}'
MUTATION = f'[JSONPatch{{op: "add", path: "/spec/containers/0", value: {CONTAINER}}}]'
# On the worker: the head takes no work.
PROGRAM = """
import ray

@ray.remote(num_cpus=1)
def work():
    return "worked"

ray.init("auto", log_to_driver=False)
print(ray.get(work.remote()))
"""


def policy() -> list[dict[str, Any]]:
    """Puts the proxy before the containers of each Ray pod of the namespace."""
    group = "admissionregistration.k8s.io/v1"
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    spec = {
        "matchConstraints": {
            "resourceRules": [rule],
            "objectSelector": {"matchExpressions": [{"key": "ray-cluster-name", "operator": "Exists"}]},
        },
        "failurePolicy": "Fail",
        "reinvocationPolicy": "Never",
        "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": MUTATION}}],
    }
    where = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": NAMESPACE}}}
    binding = {"policyName": NAMESPACE, "matchResources": where}
    return [
        {"apiVersion": group, "kind": kind, "metadata": {"name": NAMESPACE}, "spec": each}
        for kind, each in (("MutatingAdmissionPolicy", spec), ("MutatingAdmissionPolicyBinding", binding))
    ]


def injects(kube: Kube) -> bool:
    metadata = {"name": "trial", "labels": {"ray-cluster-name": "trial"}}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {"containers": [{"name": "a", "image": "a"}]},
    }
    shown = "jsonpath={.spec.containers[*].name}"
    return kube.run("create", "--dry-run=server", "-o", shown, "-f", "-", stdin=json.dumps(pod)).split() == [PROXY, "a"]


@pytest.fixture(scope="module")
def mesh(environment: Mapping[str, str]) -> Iterator[Kube]:
    """The cluster, with one worker."""
    kube = Kube(environment, NAMESPACE)
    try:
        with operated(environment, NAMESPACE):
            kube.apply(*policy())
            eventually(lambda: injects(kube))
            cluster = ray_cluster(NAME, [{"name": "worker", "minWorkers": 1}], maxWorkers=1)
            apply_cluster(environment, NAMESPACE, cluster)
            yield kube
            print(kube.run("logs", "deployment/ray-operator", "--tail=200"))
    finally:
        for kind in ("mutatingadmissionpolicybinding", "mutatingadmissionpolicy"):
            kube.run("delete", kind, NAMESPACE, "--ignore-not-found")


def ready(kube: Kube) -> None:
    """Every container of every pod runs, and the cluster says so."""

    def runs() -> bool:
        pods = kube.list("pods", "ray-cluster-name")
        complete = [all(c["ready"] for c in pod["status"]["containerStatuses"]) for pod in pods]
        return kube.get("raycluster", NAME)["status"]["phase"] == "Running" and complete == [True, True]

    eventually(runs, within=LONG)


def work(kube: Kube) -> str:
    return in_head(kube.environment, NAMESPACE, PROGRAM).communicate(timeout=LONG)[0].strip()


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
