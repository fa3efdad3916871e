"""The files under manifests/: valid for every Kubernetes that the chart is for, and of one Ray version."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from controller.cli.manifests import cluster_of
from controller.cli.render import objects_of

ROOT = Path(__file__).resolve().parents[2]
MANIFESTS = [p for p in sorted((ROOT / "manifests").rglob("*.yaml")) if p.parent.name != "crd"]
OLDEST, NEWEST = "1.28", "1.37"


# Kinds of the Prometheus operator, Argo CD and Flux have no schema in Kubernetes itself.
OTHERS = ("monitoring.coreos.com", "argoproj.io", "fluxcd.io")


def objects(path: Path) -> list[dict[str, Any]]:
    """What kubectl apply would send of a file, and what the operator makes of the RayClusters in it."""
    found = [o for o in yaml.safe_load_all(path.read_text()) if o and "kind" in o and o["kind"] != "Kustomization"]
    plain = [o for o in found if o["kind"] != "RayCluster" and not o["apiVersion"].partition("/")[0].endswith(OTHERS)]
    return plain + [made for o in found if o["kind"] == "RayCluster" for made in objects_of(cluster_of(o))]


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
@pytest.mark.parametrize("path", MANIFESTS, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_every_object_is_valid_for_the_oldest_and_the_newest_kubernetes(path: Path, version: str) -> None:
    """Strictly: no unknown field. Pods and Services that the operator makes of a RayCluster are among them."""
    for obj in objects(path):
        kubernetes_validate.validate(obj, version, strict=True)


def test_the_crd_needs_the_oldest_kubernetes_and_no_newer_one() -> None:
    """Its rules name fields, since 1.28: the release before does not know all of it."""
    crd = yaml.safe_load((ROOT / "manifests/crd/raycluster.yaml").read_text())
    for version in (OLDEST, NEWEST):
        kubernetes_validate.validate(crd, version, strict=True)
    with pytest.raises(kubernetes_validate.ValidationError, match="fieldPath"):
        kubernetes_validate.validate(crd, "1.27", strict=True)


def test_the_oldest_kubernetes_is_the_one_that_the_chart_names() -> None:
    """What is tested is what is promised."""
    chart = yaml.safe_load((ROOT / "charts/ray/Chart.yaml").read_text())
    assert chart["kubeVersion"] == f">={OLDEST}.0-0"


def test_the_operators_test_imports_what_there_is() -> None:
    """The program of the pod of helm test is in no module that a type checker sees."""
    template = (ROOT / "charts/ray/templates/tests/operator.yaml").read_text()
    imports = [line.strip() for line in template.splitlines() if line.strip().startswith("from controller")]
    assert imports
    for line in imports:
        exec(line, {})


def test_manifests_chart_and_docs_name_one_ray() -> None:
    """Client programs of one page must match the cluster of another."""
    setup = re.search(r"ray\[client,default\]==(\S+)", (ROOT / "setup.cfg").read_text())
    assert setup
    # One page is about mistakes.
    pages = [p for p in (ROOT / "docs").glob("*.md") if p.stem != "when-a-raycluster-is-wrong"]
    files = [*MANIFESTS, *pages, *(ROOT / "charts/ray").rglob("*.yaml")]
    named = {v for f in files for v in re.findall(r"rayproject/ray:(\d+\.\d+\.\d+)", f.read_text())}
    # The legacy operator's last version is told of as such.
    assert named - {"1.13.0"} == {setup.group(1)}
