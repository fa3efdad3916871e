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
from tests.integration.test_lifecycle import WORKER, launched
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


def test_what_an_older_schema_took_can_still_be_told_about(
    kube: Kube, operator: OperatorProcess, lax: None, example: dict[str, Any]
) -> None:
    """A cluster stored before the schema refused it gets its status: Error, with the reason."""
    bad = copy.deepcopy(example)
    bad["metadata"]["name"] = "has.a.dot"
    bad["spec"]["headPodType"] = "haed-node"
    bad["spec"]["podTypes"][1]["minWorkers"] = 99
    kube.apply(bad)
    install(kube, CRD.read_text())
    kube.run("annotate", "raycluster", "has.a.dot", "looked=at")
    eventually(lambda: kube.get("raycluster", "has.a.dot")["status"]["phase"] == "Error")
    assert "spec.headPodType" in kube.run("get", "raycluster", "has.a.dot", "-o", "yaml")


def test_under_the_legacy_crd_the_operator_works_and_is_quiet(
    kube: Kube, operator: OperatorProcess, lax: None, example: dict[str, Any]
) -> None:
    """Its status has two fields and keeps no other; a cluster runs all the same, and that is told once."""
    kube.apply(example)
    launched(kube, 2)
    kube.run_pods()
    eventually(lambda: kube.get("raycluster", "example-cluster")["status"]["phase"] == "Running")
    assert set(kube.get("raycluster", "example-cluster")["status"]) == {"phase", "autoscalerRetries"}
    kube.run("delete", "pod", kube.list("pods", WORKER)[0]["metadata"]["name"], "--now")
    launched(kube, 2)
    kube.run_pods()
    eventually(lambda: told(kube, "CreatedPods") == [1, 1])
    eventually(lambda: kube.get("raycluster", "example-cluster")["status"]["phase"] == "Running")
    # Once for the start, and once more at most for the new worker: the phase between may be seen by nobody.
    assert sum(told(kube, "Running")) <= 2
    assert operator.log().count("created 3 pods") == operator.log().count("created 1 pod:") == 1


def told(kube: Kube, reason: str) -> list[int]:
    """How often each thing was said that has this reason, as the Events' counts have it."""
    return [event["count"] for event in kube.list("events") if event["reason"] == reason]


@pytest.fixture
def lax(kube: Kube) -> Any:
    """The CRD as an installation of the legacy operator left it: fewer fields, hardly any bounds, no rules."""
    install(kube, json.dumps(legacy_crd()))
    yield
    kube.run("delete", "raycluster", "--all", "--wait=false")
    install(kube, CRD.read_text())


def legacy_crd() -> dict[str, Any]:
    """Today's CRD without what the legacy one did not have."""
    crd: dict[str, Any] = yaml.safe_load(CRD.read_text())
    schema = without_rules(crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"])
    schema["properties"]["status"] = {
        "type": "object",
        "properties": {"phase": {"type": "string"}, "autoscalerRetries": {"type": "integer"}},
    }
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"] = schema
    return crd


def without_rules(schema: Any) -> Any:
    """A schema without CEL rules and bounds."""
    lost = ("x-kubernetes-validations", "x-kubernetes-list-type", "x-kubernetes-list-map-keys", "pattern")
    if isinstance(schema, dict):
        kept = {k: v for k, v in schema.items() if (k not in lost and not k.startswith(("min", "max"))) or k in FIELDS}
        return {k: without_rules(v) for k, v in kept.items()}
    return [without_rules(item) for item in schema] if isinstance(schema, list) else schema


FIELDS = ("minWorkers", "maxWorkers")


def install(kube: Kube, crd: str) -> None:
    """Apply a CRD and wait until the API server goes by it."""
    kube.run("apply", "-f", "-", stdin=crd)
    rules = "x-kubernetes-validations" in crd
    trial = raw_cluster()
    trial["metadata"] = {"name": "a.b"}

    def refuses() -> bool:
        try:
            kube.run("apply", "--dry-run=server", "-f", "-", stdin=json.dumps(trial))
        except KubectlError:
            return True
        return False

    eventually(lambda: refuses() is rules)


def test_null_is_absent_to_the_api_server_and_to_the_operator(kube: Kube, operator: OperatorProcess) -> None:
    """``volumes:`` with nothing behind it, in the spec, its types and its pods."""
    nulls = placed(kube, raw_cluster(with_fields(NULLS)))
    assert check(nulls) == ()
    kube.run("create", "--validate=strict", "-f", "-", stdin=json.dumps(nulls))
    eventually(lambda: len(kube.list("pods")) == 3)
