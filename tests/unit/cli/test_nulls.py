"""Null at each key of a podConfig and as an entry of each of its lists: what commands and the planner make of it."""

from __future__ import annotations

import copy
import re
from dataclasses import replace
from typing import Any

import pytest

from controller.cli.checks import check, remarks, warnings
from controller.cli.manifests import cluster_of
from controller.cli.render import gang_example, objects_of
from controller.cli.scenario import scenario_of
from controller.cli.simulation import Simulation
from controller.objects.pod import build_pod
from controller.planning.node_types import as_node_type, declared_labels, declared_resources
from controller.raycluster.model import parse_spec
from controller.raycluster.nulls import PLAIN_LISTS
from controller.raycluster.pod_schema import schema_of
from controller.raycluster.validation import problems
from tests.support.builders import cluster, raw_cluster, raw_spec
from tests.support.nulls import null_places, optional_places, whole_pod_config

# Lists in which the API server takes null for an entry: of nothing, which it drops or makes an empty one of.
TAKEN = (
    ".nodeSelectorTerms",
    ".imagePullSecrets",
    ".sources",
    ".command",
    ".args",
    ".supplementalGroups",
    ".add",
    ".drop",
    "matchExpressions[0].values",
)
PLACES = null_places()
DEMAND = {
    "steps": [{"at": 0, "tasks": [{"resources": {"GPU": 1}, "labelSelector": {"ray.io/accelerator-type": "A100"}}]}]
}


def with_config(config: dict[str, Any]) -> dict[str, Any]:
    """A spec of which the head and the workers have this podConfig."""
    spec = raw_spec(gang={"labels": {"a": "b"}})
    for pod_type in spec["podTypes"]:
        pod_type["podConfig"] = copy.deepcopy(config)
    return spec


def test_the_whole_pod_config_is_fine() -> None:
    assert check(raw_cluster(with_config(whole_pod_config()))) == ()


@pytest.mark.parametrize("place", PLACES)
def test_a_null_is_taken_or_refused_in_plain_words(place: str) -> None:
    """By validate, render and simulate, and by the operator's planner, which sees what no validate has refused."""
    manifest = raw_cluster(with_config(PLACES[place]))
    before = copy.deepcopy(manifest)
    said = check(manifest)
    assert [p for p in said if re.search("None|object has no|Error", p.message)] == []
    if not said:
        found = cluster_of(manifest)
        assert (list(warnings(manifest)), objects_of(found)[0]["kind"]) == ([], "Service")
        remarks(manifest)
        gang_example(found)
        list(Simulation(found, parse_spec(found.spec), scenario_of(DEMAND)).run(600.0))
    if not problems("example", manifest["spec"]):
        spec = parse_spec(manifest["spec"])
        for pod_type in (spec.head, *spec.worker_types):
            as_node_type(spec, pod_type)
            declared_labels(spec, pod_type)
            declared_resources(spec, pod_type)
            build_pod(cluster(manifest["spec"]), spec, pod_type, "p")
    assert manifest == before


@pytest.mark.parametrize("place", [place for place in PLACES if not place.endswith("= null")])
def test_an_entry_that_is_null_is_named_where_the_api_server_refuses_it(place: str) -> None:
    taken = place.partition(" ")[0].endswith(TAKEN)
    found = [p for p in check(raw_cluster(with_config(PLACES[place]))) if p.path.endswith("]")]
    assert bool(found) is not taken


def test_the_lists_of_texts_and_numbers_are_those_of_pods() -> None:
    """A next release of Kubernetes may bring others."""
    found: set[str] = set()
    pending = [schema_of("V1PodSpec"), schema_of("V1ObjectMeta")]
    while pending:
        for name, inner in pending.pop().get("properties", {}).items():
            items = inner.get("items", {})
            if "items" in inner and "properties" not in items:
                found.add(name)
            pending.append(items or inner)
    assert found == PLAIN_LISTS


OPTIONAL = optional_places()


@pytest.mark.parametrize("place", OPTIONAL)
def test_an_optional_field_that_is_null_is_absent(place: str) -> None:
    """To validate, to the operator, and in what becomes of the cluster."""
    null, absent = OPTIONAL[place]
    assert check(null) == check(absent)
    assert problems("example", null["spec"]) == problems("example", absent["spec"])
    if not check(absent):
        assert parsed(null) == parsed(absent)
        made = [[obj["spec"] for obj in objects_of(cluster_of(manifest))] for manifest in (null, absent)]
        assert made[0] == made[1]


def parsed(manifest: dict[str, Any]) -> list[Any]:
    """What the operator reads, but for podConfigs, which it keeps as they are."""
    spec = parse_spec(manifest["spec"])
    return [replace(spec, pod_types=()), *(replace(t, pod_config={}) for t in spec.pod_types)]


TYPE = ("podTypes", 1)
WORDS: list[tuple[tuple[str | int, ...], Any, str]] = [
    ((*TYPE, "labels"), {"a": None}, 'labels.a: null is not a string; write "" for an empty value, or remove the key'),
    ((*TYPE, "labels"), {"a": True}, 'labels.a: true is not a string; put it in quotes: "true"'),
    ((*TYPE, "labels"), {"a": 1.5}, 'labels.a: 1.5 is not a string; put it in quotes: "1.5"'),
    ((*TYPE, "labels"), {"a": {"b": 1}}, 'labels.a: {"b": 1} is not a string; a label has one value'),
    (
        (*TYPE, "rayResources"),
        {"a": None},
        "rayResources.a: null is not a whole number from 0 to 100000000000000; write",
    ),
    ((*TYPE, "rayResources"), {"a": {"v": 1}}, 'rayResources.a: {"v": 1} is not a whole number'),
    ((*TYPE, "rayResources"), {"a": float("inf")}, "rayResources.a: .inf is not a whole number"),
    ((*TYPE, "minWorkers"), [], "podTypes[1].minWorkers: [] is not a whole number"),
    ((*TYPE, "hosts"), True, "podTypes[1].hosts: true is not a whole number"),
    ((*TYPE, "name"), None, "podTypes[1].name: is missing"),
    ((*TYPE, "podConfig"), None, "podTypes[1].podConfig: is missing"),
    (("idleTimeoutMinutes",), float("nan"), "spec.idleTimeoutMinutes: .nan is"),
    (("upscalingSpeed",), float("nan"), "spec.upscalingSpeed: .nan is no number to Kubernetes; write one with digits"),
    (("upscalingSpeed",), float("inf"), "spec.upscalingSpeed: .inf is no number to Kubernetes"),
    (("idleTermination",), {"minutes": float("nan")}, "spec.idleTermination.minutes: .nan is not a number from 0.1"),
    (("idleTermination",), {"minutes": 1, "action": True}, "spec.idleTermination.action: true is not"),
    (("headRecovery",), {"storage": {"size": True}}, "storage.size: true is not a quantity"),
    (("headRecovery",), {"storage": {"size": {"value": 1}}}, 'storage.size: {"value": 1} is not a quantity'),
    (("headRecovery",), {"redis": {"address": None}}, "redis.address: is missing; write for example redis"),
    (("headServicePorts",), [{"name": "a", "port": None, "targetPort": 1}], "headServicePorts[0].port: null is not a"),
    (("headServicePorts",), [{"name": "a", "port": 1, "targetPort": True}], "[0].targetPort: true is neither a number"),
    (("headPodType",), True, "spec.headPodType: true is not"),
    (("gang",), {"labels": {"a": None}}, "spec.gang.labels.a: null is not a string"),
    (("gang",), {"objects": [{"apiVersion": None, "kind": "PodGroup"}]}, "apiVersion: null is not a group"),
]


@pytest.mark.parametrize(("path", "value", "words"), WORDS, ids=[words for _, _, words in WORDS])
def test_values_are_written_as_a_manifest_has_them(path: tuple[str | int, ...], value: Any, words: str) -> None:
    manifest = raw_cluster()
    holder: Any = manifest["spec"]
    for part in path[:-1]:
        holder = holder[part]
    holder[path[-1]] = value
    (said,) = map(str, check(manifest))
    assert words in said


@pytest.mark.parametrize(("value", "word"), [(True, "true"), ({"value": 1}, '{"value": 1}'), ([], "[]")])
def test_an_amount_that_is_none_is_written_as_a_manifest_has_it(value: Any, word: str) -> None:
    manifest = raw_cluster()
    container = manifest["spec"]["podTypes"][1]["podConfig"]["spec"]["containers"][0]
    container["resources"] = {"limits": {"cpu": value}}
    (said,) = map(str, check(manifest))
    assert f"limits.cpu: {word} is not a" in said
