"""The guide, command by command, on real nodes with real Ray. The tests run in the order of the page."""

from __future__ import annotations

import json
import os
import re
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext

import guide
import pytest
from elastic import IMAGE

from tests.support.kube import Kube, eventually
from tests.support.mesh import meshed
from tests.support.prerequisites import ROOT

PAGE = ROOT / "docs/deploying-on-kubernetes.md"
# MESH=1 puts a container more into each Ray pod of the guide.
MESH = bool(os.environ.get("MESH"))
READY = (r"(?m)^(example-cluster-ray-\S+ +)1/1", r"\g<1>2/2") if MESH else ("^", "")
COMMANDS = guide.parse(re.sub(*READY, PAGE.read_text()))
OPERATOR = "deployment,serviceaccount,role,rolebinding,clusterrole,clusterrolebinding"


@pytest.fixture(scope="module")
def runner(environment: Mapping[str, str]) -> Iterator[guide.Runner]:
    """Types the commands. Whatever happens, the guide's objects are gone afterwards."""
    runner = guide.Runner(ROOT, environment, print)
    with mesh(Kube(environment, "ray")) if MESH else nullcontext():
        yield runner
    runner.close()
    kube = Kube(environment)
    kube.run("delete", "namespace", "ray", "--ignore-not-found", "--timeout=360s")
    kube.run("delete", OPERATOR, "-l", "cluster.ray.io/component=operator", "--timeout=360s")


@contextmanager
def mesh(kube: Kube) -> Iterator[None]:
    """The guide's namespace, in which each Ray pod has a proxy."""
    kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": kube.namespace}})
    with meshed(kube, IMAGE):
        yield


@pytest.mark.parametrize(
    "command", [c for c in COMMANDS if c.section != "Cleanup"], ids=lambda c: c.text.replace("/", " ")[:60]
)
def test_command(runner: guide.Runner, command: guide.Command) -> None:
    """It prints what the page shows."""
    runner.run(command)


def test_the_dashboard_shows_three_nodes(runner: guide.Runner) -> None:
    """Behind the port that the guide forwards."""

    def alive() -> bool:
        with urllib.request.urlopen("http://127.0.0.1:8265/nodes?view=summary", timeout=10) as answer:
            summary = json.load(answer)["data"]["summary"]
        states = [node["raylet"]["state"] for node in summary]
        # Work that waited may have brought a fourth.
        return set(states) == {"ALIVE"} and len(states) >= 3

    eventually(alive)


def test_ray_is_the_containers_own_process_and_pods_get_no_api_token(environment: Mapping[str, str]) -> None:
    """Every Ray pod: Ray in the foreground, started by the container itself, without a service account's token."""
    kube = Kube(environment, "ray")
    pods = kube.list("pods", "ray-cluster-name=example-cluster")
    assert len(pods) >= 3
    for pod in pods:
        processes = kube.run("exec", pod["metadata"]["name"], "--", "ps", "-eo", "pid,ppid,args").splitlines()
        shells = [line.split()[0] for line in processes if line.split()[:2] in (["1", "0"], [line.split()[0], "1"])]
        (ray,) = (line.split() for line in processes if "ray start --block" in line and "/bin/bash -c" not in line)
        assert ray[1] in shells
        assert pod["spec"]["automountServiceAccountToken"] is False


def test_a_killed_ray_is_replaced(environment: Mapping[str, str]) -> None:
    """The raylet of a worker dies: its pod ends, a new worker joins, nobody touched the head."""
    kube = Kube(environment, "ray")
    head = kube.list("pods", "ray-node-type=head")[0]["metadata"]["uid"]
    victim = kube.list("pods", "ray-node-type=worker")[0]["metadata"]
    kube.run("exec", victim["name"], "--", "pkill", "-9", "raylet")

    def healed() -> bool:
        workers = kube.list("pods", "ray-node-type=worker")
        status = kube.get("raycluster", "example-cluster")["status"]
        return victim["uid"] not in {w["metadata"]["uid"] for w in workers} and status["phase"] == "Running"

    eventually(healed, within=90)
    assert kube.list("pods", "ray-node-type=head")[0]["metadata"]["uid"] == head


@pytest.mark.parametrize(
    "command", [c for c in COMMANDS if c.section == "Cleanup"], ids=lambda c: c.text.replace("/", " ")[:60]
)
def test_cleanup(runner: guide.Runner, command: guide.Command) -> None:
    """It prints what the page shows."""
    runner.close()
    runner.run(command)


def left_behind(kube: Kube) -> list[str]:
    """What of the release and its cluster is there, in any namespace; the CRD is expected to stay."""
    kinds = "pods,services,deployments,serviceaccounts,rayclusters,jobs,configmaps"
    kinds += ",clusterroles,clusterrolebindings,roles,rolebindings"
    assert "rayclusters.cluster.ray.io" in kube.run("get", "crd", "-o", "name")
    found = kube.run("get", kinds, "-A", "-o", "name").split()
    return [name for name in found if name.split("/")[1].startswith(("ray-operator", "ray-test", "example-cluster"))]


def test_nothing_but_the_crd_is_left(environment: Mapping[str, str]) -> None:
    """After the page's clean-up."""
    eventually(lambda: left_behind(Kube(environment)) == [])


UNINSTALL = "helm -n ray uninstall example-cluster"
DELETE_CLUSTER = "kubectl -n ray delete raycluster example-cluster --ignore-not-found"
DELETE_NAMESPACE = "kubectl delete namespace ray"
DELETE_OPERATOR = f"kubectl -n default delete -l cluster.ray.io/component=operator \\\n  {OPERATOR}"


@pytest.mark.parametrize(
    "order",
    [
        (UNINSTALL, DELETE_CLUSTER, DELETE_NAMESPACE),
        (DELETE_NAMESPACE, DELETE_OPERATOR),
        (DELETE_CLUSTER, DELETE_NAMESPACE, DELETE_OPERATOR),
    ],
    ids=["release first", "namespace first", "release last"],
)
def test_any_other_order_leaves_nothing_either(environment: Mapping[str, str], order: tuple[str, ...]) -> None:
    """With the cluster's pods on their way up, and the last command of the page's text where Helm has no record."""
    assert DELETE_OPERATOR in PAGE.read_text()
    kube = Kube(environment, "ray")
    runner = guide.Runner(ROOT, environment, print)
    runner.run(guide.Command("", "", "helm -n ray install example-cluster --create-namespace ./charts/ray", ("...",)))
    eventually(lambda: len(kube.list("pods")) == 3)
    for command in order:
        runner.run(guide.Command("", "", command, ("...",)))
    eventually(lambda: left_behind(Kube(environment)) == [])
