"""What is wrong with a spec, said so that its author can put it right."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.raycluster.model import parse_spec
from controller.raycluster.validation import problems
from tests.support.builders import raw_spec, raw_type


def said(spec: dict[str, Any], name: str = "example") -> list[str]:
    return [str(p) for p in problems(name, spec)]


def changed(index: int, **fields: Any) -> dict[str, Any]:
    spec = raw_spec()
    spec["podTypes"][index] |= fields
    return spec


def test_the_legacy_examples_are_fine() -> None:
    assert said(raw_spec()) == []
    assert said({"headPodType": "h", "podTypes": [raw_type("h", minWorkers=0, maxWorkers=0)]}) == []
    assert said(changed(1, rayResources={"CPU": 0, "custom": 3, "memory": 2.0**31})) == []
    assert said(raw_spec(), "x" * 52) == []
    assert said(raw_spec(workers=10)) == []


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (float("nan"), ".nan"),
        (float("inf"), ".inf"),
        (None, "null"),
        ([], "[]"),
        ("", "''"),
        ("-1", "'-1'"),
        ("1.5", "'1.5'"),
    ],
)
def test_a_resource_that_is_no_whole_number_is_refused(value: object, written: str) -> None:
    (found,) = said(changed(1, rayResources={"a": value}))
    assert found.startswith(f"spec.podTypes[1].rayResources.a: {written} is not a whole number")


def test_more_than_ray_takes_is_fine_where_rayresources_say_something_else() -> None:
    endless = {"limits": {"memory": "8Ei"}}
    spec = raw_spec()
    spec["podTypes"][1]["podConfig"]["spec"]["containers"][0]["resources"] = endless
    (found,) = said(spec)
    assert "Ray takes at most 100000000000000; set rayResources.memory" in found
    spec["podTypes"][1]["rayResources"] = {"memory": 10**9}
    assert said(spec) == []


def test_a_name_too_long_for_the_heads_label_is_refused() -> None:
    (found,) = said(raw_spec(), "x" * 55)
    assert "at most 52 fit" in found


def test_every_mistake_is_named_at_once() -> None:
    assert len(said(changed(1, minWorkers=-1, rayResources={"a": -1}))) == 2


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({"maxWorkers": 100_001}, "spec.maxWorkers: 100001 is more than 100000; use 100000 or less"),
        (
            {"idleTimeoutMinutes": 1_000_000_000},
            "spec.idleTimeoutMinutes: 1000000000 is more than 525600; use 525600 or less",
        ),
        ({"maxWorkers": 100_000, "idleTimeoutMinutes": 525_600.0}, None),
    ],
)
def test_numbers_of_older_objects_beyond_the_bounds_are_named(fields: dict[str, Any], found: str | None) -> None:
    assert said(raw_spec(**fields)) == ([found] if found else [])


@pytest.mark.parametrize("field", ["minWorkers", "maxWorkers"])
def test_a_pod_type_has_no_more_workers_than_a_cluster(field: str) -> None:
    worker: dict[str, Any] = {field: 100_001}
    spec = raw_spec(maxWorkers=100_000, podTypes=[raw_type("head-node"), raw_type("w", **worker)])
    assert f"spec.podTypes[1].{field}: 100001 is more than 100000; use 100000 or less" in said(spec)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text("ab0", max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=3),
    max_leaves=6,
)
PATHS = st.sampled_from(
    [
        ("maxWorkers",),
        ("idleTimeoutMinutes",),
        ("upscalingSpeed",),
        ("headPodType",),
        ("podTypes",),
        ("headServicePorts",),
        ("headStartRayCommands",),
        ("podTypes", 1),
        ("podTypes", 1, "name"),
        ("podTypes", 1, "minWorkers"),
        ("podTypes", 1, "maxWorkers"),
        ("podTypes", 1, "rayResources"),
        ("podTypes", 1, "setupCommands"),
        ("podTypes", 1, "podConfig"),
        ("podTypes", 1, "podConfig", "spec"),
        ("podTypes", 1, "podConfig", "spec", "containers"),
        ("podTypes", 1, "podConfig", "spec", "containers", 0),
        ("podTypes", 1, "podConfig", "spec", "containers", 0, "resources"),
    ]
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(PATHS, JSON), min_size=1, max_size=3))
def test_any_shape_of_spec_is_either_described_or_can_be_read(edits: list[tuple[tuple[Any, ...], Any]]) -> None:
    """Nothing that a user writes may make the operator fall over."""
    spec = json.loads(json.dumps(raw_spec()))
    for (*parents, last), value in edits:
        target = spec
        for part in parents:
            try:
                target = target[part]
            except (KeyError, IndexError, TypeError):
                break
        if isinstance(target, dict) or (isinstance(target, list) and isinstance(last, int) and last < len(target)):
            target[last] = value
    if not problems("example", spec):
        parse_spec(spec)
