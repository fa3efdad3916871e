"""podConfigs of any shape: null is absent, and nothing that goes wrong is said in a programming language's words."""

from __future__ import annotations

import copy
import re
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controller.cli.checks import check
from controller.objects.pod import build_pod, unbuildable
from controller.planning.node_types import as_node_type
from controller.raycluster.model import parse_spec
from controller.raycluster.pod_schema import schema_of
from controller.raycluster.validation import problems
from tests.support.builders import cluster, raw_cluster, raw_spec
from tests.support.nulls import NULLS, with_fields

# What an exception's text looks like.
_PYTHON = re.compile(
    r"Error\b|Traceback|object has no|NoneType|not iterable|\bdict\b|\bstr\b|\bint\b|indices|subscript"
)
_ODD: st.SearchStrategy[Any] = st.sampled_from(
    [None, "text", 7, True, [], {}, [None], [7], ["text"], {"odd": 1}, {"name": None}, [{}]]
)


def of_schema(schema: dict[str, Any], depth: int) -> st.SearchStrategy[Any]:
    """Values for a part of a pod: of its schema mostly, null at times, of a wrong shape or with a strange field."""
    if depth == 0:
        return _ODD
    types = schema.get("type", [])
    if "object" in types and "properties" in schema:
        names = st.lists(st.sampled_from(sorted(schema["properties"])), max_size=3, unique=True)
        made = names.flatmap(
            lambda chosen: st.fixed_dictionaries({n: of_schema(schema["properties"][n], depth - 1) for n in chosen})
        )
        return st.one_of(made, made.map(lambda value: {**value, "unheardOf": 1}), st.none(), _ODD)
    if "object" in types:
        return st.one_of(st.dictionaries(st.sampled_from("ab"), st.sampled_from(["x", None, 1])), _ODD)
    if "array" in types:
        return st.one_of(st.lists(of_schema(schema.get("items", {}), depth - 1), max_size=2), _ODD)
    return st.one_of(st.sampled_from(["text", 1, 1.5, True, None]), _ODD)


def container() -> st.SearchStrategy[Any]:
    fields = (
        "env",
        "envFrom",
        "volumeMounts",
        "resources",
        "ports",
        "startupProbe",
        "readinessProbe",
        "lifecycle",
        "args",
    )
    schema = schema_of("V1Container")["properties"]
    made = st.lists(st.sampled_from(fields), max_size=4, unique=True).flatmap(
        lambda chosen: st.fixed_dictionaries({n: of_schema(schema[n], 3) for n in chosen})
    )
    return st.one_of(made.map(lambda value: {"name": "ray", **value}), _ODD)


def pod_config() -> st.SearchStrategy[Any]:
    spec = of_schema(schema_of("V1PodSpec"), 3).map(lambda value: value if isinstance(value, dict) else {})
    containers = st.one_of(st.lists(container(), min_size=1, max_size=2), _ODD)
    whole = st.builds(
        lambda spec, containers, metadata: {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": metadata,
            "spec": {**spec, "containers": containers},
        },
        spec,
        containers,
        of_schema(schema_of("V1ObjectMeta"), 3),
    )
    return st.one_of(whole, whole.map(lambda value: {**value, "spec": None}), _ODD)


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(pod_config())
def test_a_pod_config_of_any_shape_is_built_or_refused_in_plain_words(config: Any) -> None:
    """By the operator, and by validate."""
    spec = raw_spec()
    spec["podTypes"][1]["podConfig"] = config
    before = copy.deepcopy(spec)
    found = problems("example", spec)
    if not found:
        parsed = parse_spec(spec)
        found = unbuildable(cluster(spec), parsed)
        if not found:
            build_pod(cluster(spec), parsed, parsed.worker_types[0], "w")
    said = [*found, *check(raw_cluster(spec))]
    assert [str(p) for p in said if _PYTHON.search(p.message)] == []
    assert spec == before


def affinity() -> st.SearchStrategy[Any]:
    """The terms by which a pod asks for nodes, mostly where code looks for them."""
    whole = of_schema(schema_of("V1Affinity"), 7)
    terms = of_schema({"type": ["array"], "items": schema_of("V1NodeSelectorTerm")}, 5)
    required = terms.map(
        lambda found: {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": found}}}
    )
    return st.one_of(required, whole)


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(affinity(), st.one_of(st.dictionaries(st.just("nvidia.com/gpu.product"), st.none()), _ODD))
def test_the_planner_reads_an_affinity_of_any_shape(asked: Any, selector: Any) -> None:
    """The CRD leaves it open, and the planner looks at it before the API server has refused a pod."""
    raw = raw_spec()
    pod = raw["podTypes"][1]["podConfig"]["spec"]
    pod |= {"affinity": asked, "nodeSelector": selector}
    pod["containers"][0]["resources"] = {"limits": {"nvidia.com/gpu": 1}}
    assert problems("example", raw) == ()
    spec = parse_spec(raw)
    assert as_node_type(spec, spec.worker_types[0]).resources["GPU"] > 0
    assert [str(p) for p in check(raw_cluster(raw)) if _PYTHON.search(p.message)] == []


FIELDS = st.sampled_from(
    [(), ("maxWorkers",), ("headServicePorts",), ("headStartRayCommands",), ("workerStartRayCommands",), ("podTypes",)]
    + [("podTypes", 1), ("headPodType",)]
    + [("podTypes", 1, n) for n in ("name", "minWorkers", "maxWorkers", "rayResources", "setupCommands", "podConfig")]
    + [("podTypes", 1, "workerSetupCommands"), ("upscalingSpeed",), ("idleTimeoutMinutes",)]
)


@settings(max_examples=200, deadline=None)
@given(FIELDS, _ODD)
def test_a_spec_of_any_shape_is_fine_or_refused_in_plain_words(place: tuple[str | int, ...], value: Any) -> None:
    spec: Any = {"spec": raw_spec()}
    where = spec
    *parents, last = ("spec", *place)
    for part in parents:
        where = where[part]
    where[last] = value
    said = [*problems("example", spec["spec"]), *check({**raw_cluster(), "spec": spec["spec"]})]
    assert [str(p) for p in said if _PYTHON.search(p.message)] == []


@pytest.mark.parametrize("index", [0, 1])
def test_null_is_absent_everywhere(index: int) -> None:
    """The pods are those of a spec without the fields; only their hash differs, as their spec does."""
    nulls, absent = with_fields(NULLS), with_fields({part: {} for part in NULLS})
    assert (problems("example", nulls), check(raw_cluster(nulls))) == ((), ())
    pods = []
    for raw in (nulls, absent):
        spec = parse_spec(raw)
        pod = build_pod(cluster(raw), spec, (spec.head, *spec.worker_types)[index], "p")
        del pod["metadata"]["annotations"]["cluster.ray.io/config-hash"]
        pods.append(pod)
    assert pods[0] == pods[1]
