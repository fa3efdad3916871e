"""Manifests for people without Helm, and those that people have from the legacy operator."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.account import as_service_account
from tests.support.kube import Kube, eventually
from tests.support.operator import OperatorProcess
from tests.support.prerequisites import ROOT
from tests.support.raycluster import HEAD, running

# Without the CRD itself: deleting it would delete every RayCluster, other tests' too. The kinds that monitoring and
# GitOps are made of are other operators', and not known here; a demand is no object at all.
APART = ("crd", "monitoring", "gitops")
MANIFESTS = [
    path
    for path in sorted((ROOT / "manifests").rglob("*.yaml"))
    if path.parent.name not in APART and path.stem != "kustomization" and not path.stem.endswith("_demand")
]
BASES = [p.parent for p in sorted((ROOT / "manifests").rglob("kustomization.yaml")) if p.parent.name != "monitoring"]
LEGACY = sorted((ROOT / "tests/legacy").glob("*.yaml"))


def objects(path: Path) -> list[dict[str, Any]]:
    """The objects of a file."""
    return list(yaml.safe_load_all(path.read_text()))


@pytest.mark.parametrize("path", [*MANIFESTS, *LEGACY], ids=lambda p: f"{p.parent.name}/{p.name}")
def test_the_api_server_takes_every_field_of_it(kube: Kube, path: Path) -> None:
    """Nothing is unknown, nothing is dropped."""
    text = path.read_text().replace("namespace: ray\n", f"namespace: {kube.namespace}\n")
    named = [o["metadata"]["namespace"] for o in yaml.safe_load_all(text) if "namespace" in o["metadata"]]
    place = Kube(kube.environment, named[0] if named else kube.namespace)
    place.run("apply", "--validate=strict", "-f", "-", stdin=text)
    place.run("delete", "-f", "-", "--now", stdin=text)


@pytest.mark.parametrize("base", BASES, ids=lambda p: p.name)
def test_kustomize_moves_a_base_to_a_namespace_and_an_image(kube: Kube, base: Path, tmp_path: Path) -> None:
    """What an overlay does: the API server takes the result, and nothing of the old names is in it."""
    kube.run("kustomize", str(base))
    overlay = {
        "resources": [os.path.relpath(base, tmp_path)],
        "namespace": kube.namespace,
        "images": [{"name": "ray-operator", "newName": "registry.example.com/mine", "newTag": "7"}],
    }
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
    made = kube.run("kustomize", "--load-restrictor=LoadRestrictionsNone", str(tmp_path))
    kube.run("apply", "--dry-run=server", "--validate=strict", "-f", "-", stdin=made)
    if base.name != "crd":
        assert "registry.example.com/mine:7" in made and "namespace: default" not in made


def test_make_deploy_says_what_it_changed_and_undeploy_what_stays(kube: Kube) -> None:
    """Created, changed with the lines that differ, unchanged, removed; twice is once."""

    def deploy(*arguments: str) -> list[str]:
        command = ["make", "-s", *arguments, f"NAMESPACE={kube.namespace}"]
        done = subprocess.run(
            command, env=dict(kube.environment), cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    # Nobody runs pods here, so none are asked for.
    try:
        first = deploy("deploy", "IMAGE=a:1", "HELM_OPTIONS=--set operatorReplicas=0")
        second = deploy("deploy", "IMAGE=b:2", "HELM_OPTIONS=--set operatorReplicas=0")
    finally:
        third = deploy("undeploy")
    deployment = f"Deployment {kube.namespace}/ray-operator"
    assert f"created    {deployment}" in first and "created    ClusterRole ray-operator-clusterrole" in first
    changed = second.index(f"changed    {deployment}")
    assert [line.split() for line in second[changed + 1 : changed + 3]] == [
        ["-", "image:", "a:1"],
        ["+", "image:", "b:2"],
    ]
    assert "unchanged  ClusterRole ray-operator-clusterrole" in second
    assert f"removed    {deployment}" in third and "RayClusters stay" in third[-1]
    assert deploy("undeploy")[-1] == third[-1]


def test_the_operators_manifests_say_what_the_chart_says(environment: Mapping[str, str]) -> None:
    """`make manifests` would change nothing."""
    command = [str(ROOT / "scripts/render-manifests"), "--check"]
    done = subprocess.run(command, env=dict(environment), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_second_example_differs_from_the_first_in_name_and_size_alone() -> None:
    """So that what is said about one goes for both."""
    (first,), (second,) = (objects(ROOT / f"manifests/{name}.yaml") for name in ("example_cluster", "example_cluster2"))
    first["metadata"]["name"] += "2"
    first["spec"]["podTypes"][1]["minWorkers"] = 1
    assert second == first


@pytest.mark.parametrize("name", ["operator-1.3", "operator_namespaced", "operator_cluster_scoped"])
def test_the_legacy_operators_rights_are_enough(kube: Kube, name: str, tmp_path: Path) -> None:
    """With its role, and not one right more, a legacy cluster starts, survives its head's loss and is told of."""
    rights = [o for o in objects(ROOT / f"tests/legacy/{name}.yaml") if o["kind"] not in ("Deployment", "Pod")]
    rights = json.loads(json.dumps(rights).replace('"namespace": "default"', f'"namespace": "{kube.namespace}"'))
    kube.apply(*rights)
    operator = OperatorProcess(kube.environment, kube.namespace)
    operator.start(as_service_account(kube, "ray-operator-serviceaccount", tmp_path))
    try:
        kube.run("apply", "-f", str(ROOT / "tests/legacy/example_cluster-1.5.yaml"))
        before = {p["metadata"]["uid"] for p in running(kube)}
        kube.run("delete", "pod", kube.list("pods", HEAD)[0]["metadata"]["name"], "--now")
        eventually(lambda: not before & {p["metadata"]["uid"] for p in running(kube)})
        eventually(lambda: kube.get("raycluster", "example-cluster")["status"]["autoscalerRetries"] == 1)
        refused = [line for line in operator.log().splitlines() if "forbidden" in line]
        # That of Ray 1.3 had no right to post Events, and none had one to count those that come again.
        assert all("could not post the event" in line for line in refused)
        assert any("cannot create" in line for line in refused) == (name == "operator-1.3")
    finally:
        operator.stop()
        for right in rights:
            kube.run("delete", right["kind"], right["metadata"]["name"])
