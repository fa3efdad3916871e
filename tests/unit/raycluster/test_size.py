"""What is held of a RayCluster is bounded, whatever its author has written."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import orjson
import pytest

from controller.raycluster.model import RayCluster
from controller.raycluster.size import MAX_VALUES, MESSAGE, TOO_MANY, has_too_many_values
from controller.raycluster.validation import problems
from tests.support.builders import raw_cluster, raw_spec

# etcd takes this much of an object.
LARGEST_BYTES = 1_500_000
# Of the memory of an operator with the chart's limit, which is for all clusters.
MOST_BYTES = 6 * 2**20


def spec_with(value: Any) -> dict[str, Any]:
    spec = raw_spec()
    spec["podTypes"][1]["podConfig"]["spec"]["containers"][0]["env"] = value
    return spec


def pieces(piece: Any) -> list[Any]:
    return [piece] * (LARGEST_BYTES // (len(json.dumps(piece)) + 2))


@pytest.mark.parametrize(
    "piece",
    [{}, [], 0, "", {"name": "a"}, {"a": {}}, "名" * 300, "x" * 60_000, [[[]]], {"name": "A", "value": "x" * 500}],
    ids=["{}", "[]", "0", "text", "names", "pairs", "wide", "long", "nested", "usual"],
)
def test_the_largest_objects_take_a_bounded_part_of_the_memory(piece: Any) -> None:
    data = orjson.dumps(raw_cluster(spec_with(pieces(piece)), uid="u", resourceVersion="1"))
    tracemalloc.start()
    try:
        kept = RayCluster.from_object(orjson.loads(data))
        assert tracemalloc.get_traced_memory()[0] < MOST_BYTES
    finally:
        tracemalloc.stop()
    assert (kept.spec is TOO_MANY) == has_too_many_values(json.loads(data)["spec"])


def test_a_spec_with_too_many_values_is_invalid_and_says_so() -> None:
    raw = raw_cluster(spec_with(pieces({})), uid="u", resourceVersion="1")
    for spec in (raw["spec"], RayCluster.from_object(raw).spec):
        assert [str(p) for p in problems("example", spec)] == [f"spec: {MESSAGE}"]


def test_as_many_values_as_fit_are_no_problem() -> None:
    spec = spec_with([{"name": f"V{number}", "value": "x"} for number in range(MAX_VALUES // 4)])
    assert problems("example", RayCluster.from_object(raw_cluster(spec, uid="u", resourceVersion="1")).spec) == ()


def test_a_status_with_too_many_values_is_none() -> None:
    raw = {**raw_cluster(uid="u", resourceVersion="1"), "status": {"conditions": pieces({})}}
    assert RayCluster.from_object(raw).status is TOO_MANY


def test_what_is_nested_too_deeply_to_be_written_is_counted_all_the_same() -> None:
    deep: Any = {}
    for _ in range(900):
        deep = {"a": deep}
    assert RayCluster.from_object(raw_cluster(spec_with(deep), uid="u", resourceVersion="1")).spec is not TOO_MANY
