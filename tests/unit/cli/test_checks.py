"""What is said about a RayCluster before a Kubernetes sees it."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes.client import models

from controller.cli.checks import check
from controller.raycluster.schema import CRD_FILE
from controller.raycluster.validation import problems
from tests.support.builders import raw_cluster, raw_spec
from tests.support.mistakes import MISTAKES, Mistake
from tests.support.pod_mistakes import POD_MISTAKES

ROOT = Path(__file__).resolve().parents[3]


def test_good_clusters_are_fine() -> None:
    assert check(raw_cluster()) == ()
    assert check(yaml.safe_load((ROOT / "manifests/example_cluster.yaml").read_text())) == ()


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_reported_once_with_its_place_and_its_remedy(mistake: Mistake) -> None:
    (found,) = check(mistake.made_in(raw_cluster()))
    assert found.path == mistake.path
    assert mistake.words in found.message


@pytest.mark.parametrize("mistake", POD_MISTAKES.values(), ids=POD_MISTAKES)
def test_what_only_pods_would_be_refused_for_is_reported_too(mistake: Mistake) -> None:
    """Once, with its place, beside nothing else."""
    (found,) = check(mistake.made_in(raw_cluster()))
    assert found.path == mistake.path
    assert mistake.words in found.message


def test_every_bad_quantity_of_every_container_is_told() -> None:
    bad = raw_cluster()
    containers = bad["spec"]["podTypes"][1]["podConfig"]["spec"]["containers"]
    containers[0]["resources"] = {"requests": {"cpu": "one"}, "limits": {"memory": "1GB"}}
    containers.append({"name": "b", "image": "i", "resources": {"limits": {"cpu": "-1"}}})
    path = "spec.podTypes[1].podConfig.spec.containers"
    assert [p.path for p in check(bad)] == [
        f"{path}[0].resources.requests.cpu",
        f"{path}[0].resources.limits.memory",
        f"{path}[1].resources.limits.cpu",
    ]


@pytest.mark.parametrize("name", [name for name, mistake in MISTAKES.items() if mistake.operator])
def test_an_operator_whose_api_server_has_an_older_crd_finds_it_too(name: str) -> None:
    bad = MISTAKES[name].made_in(raw_cluster())
    assert problems(bad["metadata"]["name"], bad["spec"])


def test_the_crd_that_is_installed_is_the_one_that_is_checked_with() -> None:
    """After a change: cp charts/ray/crds/raycluster.yaml controller/raycluster/"""
    assert (ROOT / "charts/ray/crds" / CRD_FILE).read_text() == (ROOT / "controller/raycluster" / CRD_FILE).read_text()


def test_every_mistake_is_told_at_once() -> None:
    bad = raw_cluster(raw_spec(idleTimeoutMinutes="5", maxWorker=1))
    bad["spec"]["podTypes"][1] |= {"minWorkers": -1, "rayResources": {"a": -1}}
    assert {p.path for p in check(bad)} == {
        "spec.idleTimeoutMinutes",
        "spec.maxWorker",
        "spec.podTypes[1].rayResources.a",
        "spec.podTypes[1].minWorkers",
    }


MODERN_POD: dict[str, Any] = yaml.safe_load((ROOT / "tests/support/modern_pod.yaml").read_text())


def test_the_modern_pod_has_every_field_that_pods_have_today() -> None:
    """What a next release of Kubernetes brings has to be added to it."""
    spec = MODERN_POD["spec"]
    assert set(models.V1PodSpec.attribute_map.values()) - set(spec) == set()
    assert set(models.V1Container.attribute_map.values()) - set(spec["containers"][0]) == set()


def test_every_field_of_a_modern_pod_is_known() -> None:
    modern = raw_cluster()
    modern["spec"]["podTypes"][1]["podConfig"] = copy.deepcopy(MODERN_POD)
    assert check(modern) == ()


@pytest.mark.parametrize(
    ("manifest", "path"),
    [
        ({"apiVersion": "cluster.ray.io/v1", "kind": "RayCluster"}, "metadata"),
        ({**raw_cluster(), "metadata": {}}, "metadata.name"),
        ({**raw_cluster(), "metadata": None}, "metadata"),
        ({**raw_cluster(), "metadata": {"name": ["a"]}}, "metadata.name"),
        ({**raw_cluster(), "apiVersion": "cluster.ray.io/v2"}, "apiVersion"),
        ({**raw_cluster(), "spec": None}, "spec"),
        ({**raw_cluster(), "spec": []}, "spec"),
    ],
)
def test_an_object_out_of_shape_is_reported_not_raised(manifest: dict[str, Any], path: str) -> None:
    assert path in [p.path for p in check(manifest)]


def test_what_kubectl_prints_can_be_checked() -> None:
    """With uid, status and managed fields."""
    stored = raw_cluster(
        uid="u", resourceVersion="7", managedFields=[{"manager": "kubectl", "fieldsV1": {"f:spec": {}}}]
    )
    assert check({**stored, "status": {"phase": "Running"}}) == ()


GANG_FIELDS: list[tuple[dict[str, Any], str, str]] = [
    ({"schedulerNam": "x"}, "spec.gang.podSpec.schedulerNam", "did you mean schedulerName?"),
    ({"priority": "high"}, "spec.gang.podSpec.priority", '"high" is not a whole number'),
    ({"schedulingGroup": {"podGroup": "x"}}, "spec.gang.podSpec.schedulingGroup.podGroup", "is no field"),
]


@pytest.mark.parametrize(("fields", "path", "words"), GANG_FIELDS)
def test_a_field_that_pods_of_gangs_do_not_have_is_reported(fields: Any, path: str, words: str) -> None:
    (found,) = check(raw_cluster(raw_spec(gang={"podSpec": fields})))
    assert found.path == path and words in found.message


def test_fields_of_gangs_are_checked_as_they_will_be() -> None:
    fields = {"priority": "$(GANG_SIZE)", "nodeSelector": {"a": "$(GANG_SIZE)"}, "schedulerName": None}
    assert check(raw_cluster(raw_spec(gang={"podSpec": fields}))) == ()


@pytest.mark.parametrize(
    ("metadata", "path", "words"),
    [
        ({"namespace": "Bad_NS"}, "metadata.namespace", '"Bad_NS" cannot be the name of a namespace'),
        ({"labels": {"a": "has space"}}, "metadata.labels.a", '"has space" cannot be a label value'),
        ({"labels": {"bad key!": "x"}}, "metadata.labels", '"bad key!" cannot be a key'),
        ({"annotations": {"bad key!": "x"}}, "metadata.annotations", '"bad key!" cannot be a key'),
        ({"labels": {"a": 1}}, "metadata.labels.a", 'put it in quotes: "1"'),
        ({"finalizers": [None]}, "metadata.finalizers[0]", "is null"),
    ],
)
def test_metadata_of_the_ray_cluster_are_checked_too(metadata: dict[str, Any], path: str, words: str) -> None:
    (found,) = check(raw_cluster(**metadata))
    assert found.path == path and words in found.message


POD = ("podTypes", 1, "podConfig", "spec")
CLAIM = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1GB"}}}
ONE_LINE: list[tuple[tuple[str | int, ...], Any, str]] = [
    ((*POD, "foo"), 1, "spec.foo: is no field; kubectl explain pod.spec shows the"),
    (
        (*POD, "containers", 0, "foo"),
        1,
        "containers[0].foo: is no field; kubectl explain pod.spec.containers shows the",
    ),
    ((*POD, "volumes", 0, "foo"), {}, "volumes[0].foo: is no field; kubectl explain pod.spec.volumes shows the"),
    ((*POD, "containers", 0, "imagePullPolcy"), "Always", "did you mean imagePullPolicy?"),
    (("gang",), {"podSpec": {"foo": 1}}, "spec.gang.podSpec.foo: is no field; kubectl explain pod.spec shows the"),
    (("foo",), 1, "spec.foo: is no field; the fields here are doNotDisrupt, gang,"),
    ((*POD, "containers", 1), {"name": "ray-node", "image": "i"}, 'containers[1].name: "ray-node" is there twice'),
    ((*POD, "volumes", 0, "name"), None, "volumes[0].name: is missing"),
    ((*POD, "volumes", 0), None, "volumes[0]: is null"),
    ((*POD, "containers", 0, "volumeMounts", 0, "name"), None, "volumeMounts[0].name: is missing"),
    ((*POD, "volumes", 0, "emptyDir", "sizeLimit"), "10GB", "emptyDir.sizeLimit: '10GB' is not a quantity; write for"),
    (
        (*POD, "volumes", 0),
        {"name": "dshm", "ephemeral": {"volumeClaimTemplate": {"spec": CLAIM}}},
        "spec.resources.requests.storage: '1GB' is not a quantity; write for",
    ),
    (
        (*POD, "containers", 0, "livenessProbe"),
        {"exec": {"command": ["true"]}, "tcpSocket": {"port": 1}},
        "livenessProbe: has 2 of exec, grpc, httpGet, tcpSocket: exec, tcpSocket; keep one of them",
    ),
    ((*POD[:-1], "kind"), None, "podTypes[1].podConfig.kind: is missing; write Pod"),
    ((*POD, "containers", 0, "name"), None, "containers[0].name: is missing"),
    ((*POD, "containers", 0, "name"), "", "containers[0].name: is missing"),
    ((*POD, "containers", 0, "ports", 0, "containerPort"), None, "ports[0].containerPort: is missing"),
]


@pytest.mark.parametrize(("path", "value", "words"), ONE_LINE, ids=[words for _, _, words in ONE_LINE])
def test_a_mistake_is_one_short_line(path: tuple[str | int, ...], value: Any, words: str) -> None:
    bad = raw_cluster()
    holder: Any = bad["spec"]
    for part in path[:-1]:
        holder = holder[part]
    if path[-1] == 1:
        holder.append(value)
    else:
        holder[path[-1]] = value
    (said,) = map(str, check(bad))
    assert words in said and len(said) < 250
