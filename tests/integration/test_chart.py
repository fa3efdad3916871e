"""The Helm chart: what it renders in each mode, and that every Kubernetes it is for takes it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from controller.raycluster.quantities import parse_quantity
from tests.support.account import as_service_account
from tests.support.chart import CHART, helm, one, pod_spec, pod_type, render
from tests.support.kube import Kube, eventually
from tests.support.operator import OperatorProcess
from tests.support.prerequisites import ROOT
from tests.support.raycluster import HEAD, running

OPERATOR = ["Deployment", "Role", "RoleBinding", "ServiceAccount"]
CLUSTER_SCOPED = [*OPERATOR, "ClusterRole", "ClusterRoleBinding"]
NAMESPACED = [*OPERATOR, "Role", "RoleBinding"]
# The oldest Kubernetes that Chart.yaml allows, and the newest whose schemas are at hand.
OLDEST, NEWEST = "1.28", "1.37"


def test_helm_finds_nothing_to_complain_about(environment: Mapping[str, str]) -> None:
    """helm lint --strict passes."""
    done = helm(environment, "lint", "--strict", str(CHART))
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("settings", "kinds"),
    [
        ([], [*CLUSTER_SCOPED, "RayCluster"]),
        (["operatorOnly=true"], CLUSTER_SCOPED),
        (["clusterOnly=true"], ["RayCluster"]),
        (["namespacedOperator=true"], [*NAMESPACED, "RayCluster"]),
        (["namespacedOperator=true", "operatorOnly=true"], NAMESPACED),
        (
            ["networkPolicy.enabled=true", "externalService.type=LoadBalancer"],
            [*CLUSTER_SCOPED, "RayCluster", "NetworkPolicy", "NetworkPolicy", "Service"],
        ),
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
            for version in (OLDEST, NEWEST):
                kubernetes_validate.validate(obj, version, strict=True)
        place = Kube(kube.environment, obj["metadata"].get("namespace", kube.namespace))
        place.run("apply", "--dry-run=server", "--validate=strict", "-f", "-", stdin=json.dumps(obj))


def test_the_namespaced_operator_has_no_right_beyond_its_namespaces(environment: Mapping[str, str]) -> None:
    """A role in each namespace that it watches, its lease in its own; nothing of the cluster's."""
    objects = render(environment, "ops", "namespacedOperator=true", "operatorOnly=true", "watchNamespaces={a,b}")
    assert not [o for o in objects if o["kind"].startswith("Cluster")]
    roles = {(o["metadata"]["namespace"], o["metadata"]["name"]) for o in objects if o["kind"] == "Role"}
    assert roles == {("a", "ray-operator-role"), ("b", "ray-operator-role"), ("ops", "ray-operator-lease")}
    subjects = [o["subjects"] for o in objects if o["kind"] == "RoleBinding"]
    account = {"kind": "ServiceAccount", "name": "ray-operator-serviceaccount", "namespace": "ops"}
    assert subjects == [[account]] * 3
    (container,) = one(objects, "Deployment")["spec"]["template"]["spec"]["containers"]
    assert container["env"] == [{"name": "RAY_OPERATOR_POD_NAMESPACE", "value": "a,b"}]


def test_an_operator_for_all_namespaces_sees_nodes_unless_it_is_told_not_to(environment: Mapping[str, str]) -> None:
    """And changes none."""

    def shown(*values: str) -> tuple[bool, bool]:
        objects = render(environment, "ray", "operatorOnly=true", *values)
        rules = [rule for o in objects if o["kind"] in ("ClusterRole", "Role") for rule in o["rules"]]
        verbs = [rule["verbs"] for rule in rules if "nodes" in rule["resources"]]
        assert verbs in ([], [["list", "watch"]])
        (container,) = one(objects, "Deployment")["spec"]["template"]["spec"]["containers"]
        return bool(verbs), "--watch-nodes=false" in container["args"]

    assert shown() == (True, False)
    assert shown("watchNodes=false") == (False, True)
    assert shown("namespacedOperator=true") == (False, False)


def test_the_operator_may_make_the_objects_of_gangs_that_are_listed_and_no_others(
    environment: Mapping[str, str],
) -> None:
    """For all namespaces or for some: the flag and the rights name the same kinds."""
    listed = ["podgroups.scheduling.volcano.sh", "podgroups.scheduling.x-k8s.io"]
    for more in ([], ["namespacedOperator=true"]):
        objects = render(environment, "ray", "operatorOnly=true", f"gangObjects={{{','.join(listed)}}}", *more)
        rules = [rule for o in objects if o["kind"] in ("ClusterRole", "Role") for rule in o["rules"]]
        given = {rule["apiGroups"][0]: rule for rule in rules if "podgroups" in rule["resources"]}
        assert {f"podgroups.{group}" for group in given} == set(listed)
        for rule in given.values():
            assert rule["resources"] == ["podgroups"]
            assert sorted(rule["verbs"]) == ["create", "delete", "get", "list"]
        (container,) = one(objects, "Deployment")["spec"]["template"]["spec"]["containers"]
        assert f"--gang-objects={','.join(listed)}" in container["args"]
    (container,) = one(render(environment, "ray"), "Deployment")["spec"]["template"]["spec"]["containers"]
    assert not [a for a in container["args"] if a.startswith("--gang-objects")]


@pytest.mark.parametrize(
    "resource", ["secrets", "deployments.apps", "roles.rbac.authorization.k8s.io", "rayjobs.ray.io"]
)
def test_a_kind_that_no_gang_may_have_gives_no_role(environment: Mapping[str, str], resource: str) -> None:
    done = helm(environment, "template", "x", str(CHART), "--set", f"gangObjects={{{resource}}}")
    assert done.returncode != 0
    assert resource in done.stderr and "gangObjects" in done.stderr


def test_nobody_gets_at_secrets_or_into_pods(environment: Mapping[str, str]) -> None:
    """No role of the chart's names more than the operator's own kinds."""
    roles = [o for o in render(environment, "ray") if o["kind"] in ("ClusterRole", "Role")]
    granted = {
        f"{g}/{r}" for role in roles for rule in role["rules"] for g in rule["apiGroups"] for r in rule["resources"]
    }
    assert granted == {
        "/events",
        "/nodes",
        "/persistentvolumeclaims",
        "/pods",
        "/services",
        "batch/jobs",
        "cluster.ray.io/rayclusters",
        "cluster.ray.io/rayclusters/finalizers",
        "cluster.ray.io/rayclusters/status",
        "coordination.k8s.io/leases",
    }


def test_the_guide_asks_for_the_room_that_its_release_and_its_job_take(environment: Mapping[str, str]) -> None:
    """Operator, head, as many workers as its programs bring, and the Job: no less, and hardly more."""
    objects = render(environment, "ray")
    job = list(yaml.safe_load_all((ROOT / "manifests/job-example.yaml").read_text()))[1]
    workers = pod_type(objects, "rayWorkerType")["maxWorkers"]
    pods = [one(objects, "Deployment")["spec"]["template"]["spec"], job["spec"]["template"]["spec"]]
    pods += [pod_spec(objects, "rayHeadType"), *[pod_spec(objects, "rayWorkerType")] * workers]
    asked = [c["resources"]["requests"] for pod in pods for c in pod["containers"]]
    page = (ROOT / "docs/deploying-on-kubernetes.md").read_text()
    told = re.search(r"room for ([\d.]+) CPUs and ([\d.]+Gi) of memory", page)
    assert told
    for resource, promised in (("cpu", told[1]), ("memory", told[2])):
        taken = sum(parse_quantity(a[resource]) for a in asked)
        assert taken <= parse_quantity(promised) <= taken * Decimal("1.1"), resource


def test_the_namespaced_role_is_enough(kube: Kube, example: dict[str, Any], tmp_path: Path) -> None:
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
