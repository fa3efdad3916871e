"""The CRD in a real API server: what it takes, what it refuses and in which words, and what it keeps."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import Any

import pytest
import yaml

from controller.cli.checks import check
from controller.cli.manifests import cluster_of
from controller.cli.render import objects_of
from tests.support.builders import raw_cluster
from tests.support.chart import one, render
from tests.support.kube import Kube, KubectlError, eventually
from tests.support.mistakes import MISTAKES
from tests.support.nulls import NULLS, with_fields
from tests.support.operator import OperatorProcess
from tests.support.pod_mistakes import POD_MISTAKES
from tests.support.prerequisites import ROOT

CRD = ROOT / "charts/ray/crds/raycluster.yaml"


def placed(kube: Kube, cluster: dict[str, Any]) -> dict[str, Any]:
    """The cluster in the test's namespace."""
    return {**cluster, "metadata": {**cluster["metadata"], "namespace": kube.namespace}}


@pytest.mark.parametrize("name", MISTAKES)
def test_the_api_server_and_the_offline_check_agree(kube: Kube, name: str) -> None:
    """Every mistake is found by both, or is one that the table says only pods tell of."""
    mistake = MISTAKES[name]
    bad = placed(kube, mistake.made_in(raw_cluster()))
    assert check(bad)
    if mistake.api_server:
        with pytest.raises(KubectlError) as refused:
            kube.apply(bad)
        field = mistake.path.partition("[")[0].rpartition(".")[2]
        assert field in str(refused.value)
    else:
        kube.apply(bad)


@pytest.mark.parametrize("name", POD_MISTAKES)
def test_the_api_server_refuses_the_pods_that_the_check_refuses(kube: Kube, name: str) -> None:
    """What is wrong with their metadata it finds in the RayCluster already, the rest in the pods of it."""
    bad = placed(kube, POD_MISTAKES[name].made_in(raw_cluster()))
    pod = objects_of(cluster_of(bad))[-1]
    if ".metadata." in POD_MISTAKES[name].path:
        with pytest.raises(KubectlError, match=r"is invalid:[^.]*spec\.podTypes\[1]\.podConfig\.metadata|Too long"):
            kube.apply(bad)
    else:
        kube.apply(bad)
        with pytest.raises(KubectlError, match=r'The Pod "[^"]*" is invalid'):
            kube.run("create", "--dry-run=server", "--validate=false", "-f", "-", stdin=json.dumps(pod))


def test_no_field_of_a_modern_pod_is_lost(kube: Kube) -> None:
    """A podConfig with the fields of ten years of pods comes back as it was."""
    modern = yaml.safe_load((ROOT / "tests/support/modern_pod.yaml").read_text())
    cluster = placed(kube, raw_cluster())
    cluster["spec"]["podTypes"][1]["podConfig"] = copy.deepcopy(modern)
    kube.apply(cluster)
    assert kube.get("raycluster", "example")["spec"]["podTypes"][1]["podConfig"] == modern


def test_manifests_of_the_legacy_operator_are_taken_unchanged(kube: Kube) -> None:
    """Fields, types and absences as its examples, its chart and its users had them."""
    for path in sorted((ROOT / "tests/support/legacy").glob("*.yaml")):
        legacy = yaml.safe_load(path.read_text())
        kube.apply(legacy)
        stored = kube.get("raycluster", legacy["metadata"]["name"])
        assert stored["spec"] == legacy["spec"], path.name
        assert check(legacy) == (), path.name


def test_the_chart_renders_what_the_schema_takes(kube: Kube) -> None:
    """With every kind of value set."""
    settings = ["podTypes.rayWorkerType.rayResources.a=1", "podTypes.rayHeadType.rayResources.CPU=0"]
    cluster = one(render(kube.environment, kube.namespace, *settings), "RayCluster")
    assert check(cluster) == ()
    kube.apply(cluster)


def test_kubectl_explains_every_field(kube: Kube) -> None:
    """Nothing in spec and status is without a description."""
    said = kube.run("explain", "raycluster.spec", "--recursive")
    assert "idleTimeoutMinutes" in said
    for field in ("spec.podTypes.rayResources", "spec.headServicePorts.targetPort", "status.blockedTypes.since"):
        assert "<empty>" not in kube.run("explain", f"raycluster.{field}")
    schema = yaml.safe_load(CRD.read_text())["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    assert undescribed("", schema) == ["spec.podTypes.podConfig.metadata"]


def undescribed(path: str, schema: Mapping[str, Any]) -> list[str]:
    """The fields that kubectl explain has nothing to say about. The metadata of a pod is Kubernetes' own."""
    found = []
    for name, inner in schema.get("properties", {}).items():
        here = f"{path}.{name}".strip(".")
        found += [here] if "description" not in inner else []
        found += undescribed(here, inner.get("items", inner)) if here != "spec.podTypes.podConfig.metadata" else []
    return found


def test_null_is_absent_to_the_api_server_and_to_the_operator(kube: Kube, operator: OperatorProcess) -> None:
    """``volumes:`` with nothing behind it, in the spec, its types and its pods."""
    nulls = placed(kube, raw_cluster(with_fields(NULLS)))
    assert check(nulls) == ()
    kube.run("create", "--validate=strict", "-f", "-", stdin=json.dumps(nulls))
    eventually(lambda: len(kube.list("pods")) == 3)
