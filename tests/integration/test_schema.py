"""The CRD in a real API server: what it takes, what it refuses and in which words, and what it keeps."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any
from uuid import uuid4

import pytest
import yaml

from controller.cli.checks import check
from controller.cli.manifests import cluster_of
from controller.cli.render import objects_of
from controller.objects.pod import build_pod
from controller.raycluster.model import parse_spec
from controller.raycluster.validation import problems
from tests.support.apiserver import ApiServer, Request
from tests.support.builders import cluster as built_cluster
from tests.support.builders import raw_cluster, raw_spec
from tests.support.chart import one, render
from tests.support.kube import Kube, eventually
from tests.support.mistakes import MISTAKES
from tests.support.nulls import NULLS, null_places, optional_places, with_fields
from tests.support.operator import OperatorProcess
from tests.support.pod_mistakes import POD_MISTAKES
from tests.support.prerequisites import ROOT

CRD = ROOT / "charts/ray/crds/raycluster.yaml"


def placed(kube: Kube | Tried, cluster: dict[str, Any]) -> dict[str, Any]:
    """The cluster in the test's namespace."""
    return {**cluster, "metadata": {**cluster["metadata"], "namespace": kube.namespace}}


class Tried:
    """A namespace in which objects are tried, of which none is kept: one request each, and no kubectl."""

    def __init__(self, environment: Mapping[str, str], namespace: str) -> None:
        self.server = ApiServer(environment["KUBECONFIG"])
        self.namespace = namespace

    def refusal(self, obj: Mapping[str, Any], *, strict: bool = True) -> str:
        """What the API server says; empty when it takes the object. ``strict``: unknown fields are refused."""
        of = "/api/v1" if obj["apiVersion"] == "v1" else f"/apis/{obj['apiVersion']}"
        query = f"dryRun=All&fieldValidation={'Strict' if strict else 'Ignore'}"
        target = f"{of}/namespaces/{self.namespace}/{obj['kind'].lower()}s?{query}"
        answer = self.server.send(Request.parse("POST", target, json.dumps(obj).encode()))
        return "" if answer.done else str(json.loads(answer.body)["message"])


@pytest.fixture(scope="module")
def tried(environment: Mapping[str, str]) -> Iterator[Tried]:
    tried = Tried(environment, f"test-{uuid4().hex[:8]}")
    path, metadata = "/api/v1/namespaces", {"name": tried.namespace}
    tried.server.ask("POST", path, {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    yield tried
    tried.server.ask("DELETE", f"{path}/{tried.namespace}")


@pytest.mark.parametrize("name", MISTAKES)
def test_the_api_server_and_the_offline_check_agree(tried: Tried, name: str) -> None:
    """Every mistake is found by both, or is one that the table says only pods tell of."""
    mistake = MISTAKES[name]
    bad = placed(tried, mistake.made_in(raw_cluster()))
    assert check(bad)
    refusal = tried.refusal(bad)
    assert bool(refusal) is bool(mistake.api_server), refusal
    if mistake.api_server:
        assert mistake.path.partition("[")[0].rpartition(".")[2] in refusal


@pytest.mark.parametrize("name", POD_MISTAKES)
def test_the_api_server_refuses_the_pods_that_the_check_refuses(tried: Tried, name: str) -> None:
    """What is wrong with their metadata it finds in the RayCluster already, the rest in the pods of it."""
    bad = placed(tried, POD_MISTAKES[name].made_in(raw_cluster()))
    refusal = tried.refusal(bad)
    if ".metadata." in POD_MISTAKES[name].path:
        assert re.search(r"is invalid:[^.]*spec\.podTypes\[1]\.podConfig\.metadata|Too long", refusal)
    else:
        assert refusal == ""
        pod = objects_of(cluster_of(bad))[-1]
        assert re.match(r'Pod "[^"]*" is invalid', tried.refusal(pod, strict=False))


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


# What depends on other fields, or on a sum of all containers; and of a podConfig, what the CRD asks of any object.
UNCHECKED = (
    "podAffinityTerm.labelSelector",
    "topologySpreadConstraints[0].labelSelector",
    "initContainers[0].restartPolicy",
    "spec.resources.requests.cpu",
    "spec.resources.requests.memory",
    "spec.resources.limits.cpu",
    "requests.storage",
    "resourceFieldRef.containerName",
    "volumeMounts[1].readOnly",
    "apiVersion",
    "kind",
)


def test_the_api_server_refuses_the_nulls_that_the_check_refuses(kube: Kube) -> None:
    """In a pod with all fields: null at each key, and as an entry of each list."""
    server = ApiServer(kube.environment["KUBECONFIG"])
    target = f"/api/v1/namespaces/{kube.namespace}/pods?dryRun=All"
    different = []
    for place, config in null_places().items():
        spec = raw_spec()
        spec["podTypes"][1]["podConfig"] = config
        found = check(raw_cluster(spec))
        if problems("example", spec):
            continue
        read = parse_spec(spec)
        pod = build_pod(built_cluster(spec, uid="u"), read, read.worker_types[0], "w")
        pod["metadata"]["namespace"] = kube.namespace
        answer = server.send(Request.parse("POST", target, json.dumps(pod).encode()))
        if answer.done is bool(found) and not place.partition(" ")[0].endswith(UNCHECKED):
            different.append((place, answer.code, list(map(str, found))))
    assert different == []


def test_an_optional_field_that_is_null_is_absent_to_the_api_server(kube: Kube) -> None:
    """Whether or not the schema calls it nullable: such a null is left out before the rest is looked at."""
    server = ApiServer(kube.environment["KUBECONFIG"])
    path = f"/apis/cluster.ray.io/v1/namespaces/{kube.namespace}/rayclusters?dryRun=All&fieldValidation=Strict"
    for place, manifests in optional_places().items():
        bodies = [json.dumps(placed(kube, manifest)).encode() for manifest in manifests]
        null, absent = (server.send(Request.parse("POST", path, body)) for body in bodies)
        assert null.code == absent.code, place


@pytest.mark.parametrize("size", [1, "1", "1Gi", "+1.5Gi", ".5Ti", "1.", "0.001k", "1e9", "2E", "2E+3", "10e-1"])
def test_a_size_of_a_volume_is_any_quantity_above_0(tried: Tried, size: Any) -> None:
    assert tried.refusal(sized(tried, size)) == ""
    assert check(sized(tried, size)) == ()


@pytest.mark.parametrize(
    "size", [0, -1, "0", "0.0Gi", ".0", "-1Gi", "Gi", ".", "1 Gi", "1GB", "1ki", "1e", "0e9", "1Gi2", ""]
)
def test_a_size_that_is_none_is_refused(tried: Tried, size: Any) -> None:
    """By the API server, and by the check that needs none."""
    assert "is not a quantity of more than 0" in tried.refusal(sized(tried, size))
    assert check(sized(tried, size)) != ()


def sized(tried: Tried, size: Any) -> dict[str, Any]:
    """A cluster whose head has a volume of this size."""
    cluster = placed(tried, raw_cluster())
    cluster["spec"]["headRecovery"] = {"storage": {"size": size}}
    return cluster
