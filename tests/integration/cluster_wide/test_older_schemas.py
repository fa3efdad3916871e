"""An operator that meets the CRD of the legacy operator, or clusters that an older schema took."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
import yaml

from tests.support.builders import raw_cluster
from tests.support.kube import Kube, KubectlError, eventually
from tests.support.operator import OperatorProcess
from tests.support.prerequisites import ROOT
from tests.support.raycluster import WORKER, launched

CRD = ROOT / "charts/ray/crds/raycluster.yaml"


def test_a_spec_that_an_older_schema_took_still_gets_a_status(
    kube: Kube, operator: OperatorProcess, lax: None, example: dict[str, Any]
) -> None:
    """A cluster stored before the schema refused it gets its status: Error, with the reason."""
    bad = copy.deepcopy(example)
    bad["metadata"]["name"] = "has.a.dot"
    bad["spec"]["headPodType"] = "haed-node"
    bad["spec"]["podTypes"][1]["minWorkers"] = 99
    kube.apply(bad)
    eventually(lambda: kube.get("raycluster", "has.a.dot").get("status", {}).get("phase") == "Error")
    install(kube, CRD.read_text())
    # Without a status the API server would refuse this change for the name.
    kube.run("annotate", "raycluster", "has.a.dot", "looked=at")
    eventually(lambda: "spec.headPodType" in json.dumps(kube.get("raycluster", "has.a.dot")["status"]))


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
