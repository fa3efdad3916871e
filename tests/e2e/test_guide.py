"""The guide, command by command, on real nodes with real Ray. The tests run in the order of the page."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator, Mapping

import guide
import pytest

from tests.support.kube import Kube, eventually
from tests.support.prerequisites import ROOT

PAGE = ROOT / "docs/deploying-on-kubernetes.md"
COMMANDS = guide.parse(PAGE.read_text())


@pytest.fixture(scope="module")
def runner(environment: Mapping[str, str]) -> Iterator[guide.Runner]:
    """Types the commands. Whatever happens, the guide's objects are gone afterwards."""
    runner = guide.Runner(ROOT, environment, print)
    yield runner
    runner.close()
    kube = Kube(environment)
    kube.run("delete", "namespace", "ray", "--ignore-not-found", "--timeout=120s")
    kube.run("delete", "deployment,serviceaccount", "-l", "cluster.ray.io/component=operator", "--ignore-not-found")
    kube.run(
        "delete",
        "clusterrole,clusterrolebinding",
        "ray-operator-clusterrole",
        "ray-operator-clusterrolebinding",
        "--ignore-not-found",
    )
    kube.run("delete", "serviceaccount", "ray-operator-serviceaccount", "--ignore-not-found")


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
        return [node["raylet"]["state"] for node in summary] == ["ALIVE"] * 3

    eventually(alive)


def test_ray_is_the_containers_own_process_and_pods_get_no_api_token(environment: Mapping[str, str]) -> None:
    """Every Ray pod: Ray in the foreground, started by the container itself, without a service account's token."""
    kube = Kube(environment, "ray")
    pods = kube.list("pods", "ray-cluster-name=example-cluster")
    assert len(pods) == 3
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


def test_nothing_but_the_crd_is_left(environment: Mapping[str, str]) -> None:
    """After the page's clean-up."""
    kube = Kube(environment)
    kinds = "pods,services,deployments,serviceaccounts,rayclusters,jobs,configmaps,clusterroles,clusterrolebindings"
    left = kube.run("get", kinds, "-A", "-o", "name")
    assert not [line for line in left.splitlines() if "ray" in line.split("/", 1)[-1].split(".")[0]]
    assert "rayclusters.cluster.ray.io" in kube.run("get", "crd", "-o", "name")
