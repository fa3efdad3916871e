"""The Helm chart: what it renders, that the API server takes it, and that its role is enough for the operator."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tests.integration.test_lifecycle import HEAD, running
from tests.support.kube import Kube, eventually
from tests.support.operator import OperatorProcess
from tests.support.prerequisites import ROOT

CHART = ROOT / "charts/ray"
CLUSTER_SCOPED = ["ClusterRole", "ClusterRoleBinding", "Deployment", "Role", "RoleBinding", "ServiceAccount"]
NAMESPACED = ["Deployment", "Role", "RoleBinding", "ServiceAccount"]


def render(environment: Mapping[str, str], namespace: str, *settings: str) -> list[dict[str, Any]]:
    """The objects of a release called example-cluster."""
    options = [word for setting in settings for word in ("--set", setting)]
    command = ["helm", "template", "example-cluster", str(CHART), "-n", namespace, *options]
    done = subprocess.run(command, env=dict(environment), capture_output=True, text=True, check=True)
    return [obj for obj in yaml.safe_load_all(done.stdout) if obj]


def one(objects: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    """The only object of a kind."""
    (found,) = (o for o in objects if o["kind"] == kind)
    return found


def test_helm_finds_nothing_to_complain_about(environment: Mapping[str, str]) -> None:
    """helm lint --strict passes."""
    command = ["helm", "lint", "--strict", str(CHART)]
    done = subprocess.run(command, env=dict(environment), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("settings", "kinds"),
    [
        ([], [*CLUSTER_SCOPED, "RayCluster"]),
        (["operatorOnly=true"], CLUSTER_SCOPED),
        (["clusterOnly=true"], ["RayCluster"]),
        (["namespacedOperator=true"], [*NAMESPACED, "RayCluster"]),
        (["namespacedOperator=true", "operatorOnly=true"], NAMESPACED),
        (["operatorOnly=true", "clusterOnly=true"], []),
    ],
)
def test_each_mode_renders_its_objects_and_the_api_server_takes_them(
    kube: Kube, settings: list[str], kinds: list[str]
) -> None:
    """Which objects come with which switches; each is valid for the oldest and newest Kubernetes and for this one."""
    objects = render(kube.environment, kube.namespace, *settings)
    assert sorted(o["kind"] for o in objects) == sorted(kinds)
    for obj in objects:
        if obj["kind"] != "RayCluster":
            for version in ("1.25", "1.36"):
                kubernetes_validate.validate(obj, version, strict=True)
        place = Kube(kube.environment, obj["metadata"].get("namespace", kube.namespace))
        place.run("apply", "--dry-run=server", "-f", "-", stdin=json.dumps(obj))


def test_the_default_release_asks_for_four_cpus_and_two_and_a_half_gi(environment: Mapping[str, str]) -> None:
    """The guide's promise about room: operator, head and two workers together."""
    objects = render(environment, "ray")
    operator = one(objects, "Deployment")["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"]
    types = {t["name"]: t for t in one(objects, "RayCluster")["spec"]["podTypes"]}
    asked = [operator]
    for name, count in (("rayHeadType", 1), ("rayWorkerType", types["rayWorkerType"]["minWorkers"])):
        asked += [types[name]["podConfig"]["spec"]["containers"][0]["resources"]["requests"]] * count
    assert sum(int(a["memory"].removesuffix("Mi")) for a in asked) <= 2560
    millis = [int(c[:-1]) if (c := str(a["cpu"])).endswith("m") else 1000 * int(c) for a in asked]
    assert sum(millis) <= 4000


def test_the_clusters_max_workers_is_the_sum_of_its_types(environment: Mapping[str, str]) -> None:
    """Two more worker types count."""
    objects = render(environment, "ray", "podTypes.big.maxWorkers=4", "podTypes.big.CPU=8", "podTypes.big.memory=1Gi")
    assert one(objects, "RayCluster")["spec"]["maxWorkers"] == 7


def test_the_namespaced_role_is_enough_and_gives_no_more_than_is_used(
    kube: Kube, example: dict[str, Any], tmp_path: Path
) -> None:
    """The operator, as its own service account with the chart's role alone, runs a cluster through a head loss."""
    objects = render(kube.environment, kube.namespace, "namespacedOperator=true", "operatorOnly=true")
    kube.apply(*(o for o in objects if o["kind"] != "Deployment"))
    environment = as_service_account(kube, "ray-operator-serviceaccount", tmp_path)
    operator = OperatorProcess(kube.environment, kube.namespace)
    operator.start(environment, "--leader-elect", "--lease-namespace", kube.namespace)
    try:
        kube.apply(example)
        before = {p["metadata"]["uid"] for p in running(kube)}
        kube.run("delete", "pod", kube.list("pods", HEAD)[0]["metadata"]["name"], "--now")
        eventually(lambda: not before & {p["metadata"]["uid"] for p in running(kube)})
        assert "CreatedPods" in kube.run("get", "events", "-o", "yaml")
        assert "forbidden" not in operator.log()
    finally:
        operator.stop()
    assert kube.get("lease", "ray-operator")["spec"].get("holderIdentity", "") == ""
    used = {(r, v) for rule in one(objects, "Role")["rules"] for r in rule["resources"] for v in rule["verbs"]}
    assert not {r for r, _ in used} & {"secrets", "configmaps", "pods/exec", "nodes"}


def as_service_account(kube: Kube, account: str, directory: Path) -> dict[str, str]:
    """An environment whose kubeconfig holds nothing but a service account's token."""
    config = json.loads(kube.run("config", "view", "--raw", "-o", "json"))
    token = kube.run("create", "token", account).strip()
    config["users"] = [{"name": "account", "user": {"token": token}}]
    for context in config["contexts"]:
        context["context"]["user"] = "account"
    path = directory / "kubeconfig"
    path.write_text(json.dumps(config))
    return {**os.environ, **kube.environment, "KUBECONFIG": str(path)}
