"""What ``ray-operator convert`` prints is taken by a real API server, and it reads KubeRay's objects from one."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.kube import Kube
from tests.support.prerequisites import ROOT

CORPUS = sorted((ROOT / "tests/kuberay").glob("*.yaml"))
KINDS = {"RayCluster": "rayclusters", "RayJob": "rayjobs", "RayService": "rayservices", "RayCronJob": "raycronjobs"}


def convert(environment: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command as users do."""
    command = [str(Path(sys.executable).with_name("ray-operator")), "convert", *arguments]
    return subprocess.run(command, env=dict(environment), capture_output=True, text=True, check=False)


@pytest.fixture
def kuberay_kinds(kube: Kube) -> Iterator[None]:
    """KubeRay's kinds, of any shape."""
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    kinds = [
        {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": f"{plural}.ray.io"},
            "spec": {
                "group": "ray.io",
                "scope": "Namespaced",
                "names": {"kind": kind, "plural": plural, "singular": kind.lower()},
                "versions": [
                    {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}},
                ],
            },
        }
        for kind, plural in KINDS.items()
    ]
    listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": kinds})
    kube.run("apply", "-f", "-", stdin=listed)
    kube.run("wait", "--for=condition=Established", "--timeout=30s", *(f"crd/{p}.ray.io" for p in KINDS.values()))
    yield
    kube.run("delete", "-f", "-", stdin=listed)


def kuberay_objects(path: Path) -> list[dict[str, Any]]:
    """The objects of a file that are KubeRay's, in no namespace of their own."""
    found = []
    for document in yaml.safe_load_all(path.read_text()):
        items = document.get("items", [document])
        own = {"apiVersion": document["apiVersion"], "kind": document["kind"].removesuffix("List")}
        found += [{**own, **item} if document["kind"] != "List" else item for item in items]
    objects = [obj for obj in found if obj["kind"] in KINDS and obj["apiVersion"] == "ray.io/v1"]
    for obj in objects:
        obj["metadata"].pop("namespace", None)
        obj["metadata"].pop("finalizers", None)
    return objects


@pytest.mark.parametrize("path", CORPUS, ids=lambda p: p.stem)
def test_the_api_server_takes_every_field_of_it(kube: Kube, path: Path) -> None:
    """A dry run of all that is printed: nothing is refused, nothing is unknown."""
    done = convert(kube.environment, str(path))
    assert done.returncode == 0, done.stderr
    printed = done.stdout.replace("namespace: research\n", f"namespace: {kube.namespace}\n")
    kube.run("create", "--dry-run=server", "--validate=strict", "-f", "-", stdin=printed)


def test_a_cluster_without_kuberay_and_a_wrong_context_are_named(kube: Kube) -> None:
    none = convert(kube.environment, "--from-cluster", "-n", kube.namespace)
    assert (none.returncode, none.stdout) == (1, "")
    assert "none of KubeRay's kinds; is this the right context?" in none.stderr
    wrong = convert(kube.environment, "--from-cluster", "--context", "elsewhere")
    assert wrong.returncode == 1
    assert "elsewhere" in wrong.stderr
    assert "Traceback" not in wrong.stderr


@pytest.mark.usefixtures("kuberay_kinds")
def test_what_the_cluster_has_is_converted_as_the_files_are(kube: Kube) -> None:
    objects = [obj for path in CORPUS for obj in kuberay_objects(path) if "name" in obj["metadata"]]
    listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
    kube.run("create", "-f", "-", stdin=listed)
    try:
        done = convert(kube.environment, "--from-cluster", "-n", kube.namespace)
        everywhere = convert(kube.environment, "--from-cluster", "-A")
    finally:
        kube.run("delete", "-f", "-", stdin=listed)
    assert (done.returncode, done.stderr) == (0, "")
    kube.run("create", "--dry-run=server", "--validate=strict", "-f", "-", stdin=done.stdout)
    clusters = [d for d in yaml.safe_load_all(done.stdout) if d and d["kind"] == "RayCluster"]
    assert len(clusters) == sum("clusterSelector" not in obj["spec"] for obj in objects)
    assert {d["metadata"]["namespace"] for d in clusters} == {kube.namespace}
    assert everywhere.returncode == 0
    empty = convert(kube.environment, "--from-cluster", "-n", kube.namespace)
    assert (empty.returncode, empty.stdout) == (1, "")
    none = "cluster: contains no RayCluster, RayJob, RayCronJob or RayService of ray.io/v1"
    assert empty.stderr == f"{none}; name another namespace, or -A for all\n"
