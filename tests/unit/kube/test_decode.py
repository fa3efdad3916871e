"""JSON of any depth: one object that is nested too deeply costs that object alone."""

from __future__ import annotations

import json
import time

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.kube.decode import decode
from controller.raycluster.depth import MAX_DEPTH, TOO_DEEP, too_deep
from controller.raycluster.validation import problems
from tests.support.builders import raw_spec

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda parts: st.lists(parts, max_size=3) | st.dictionaries(st.text(), parts, max_size=3),
)


def nested(depth: int, opening: str = "[", closing: str = "]", middle: str = "") -> str:
    return opening * depth + middle + closing * depth


@pytest.mark.parametrize(
    "deep",
    [
        nested(2_000),
        nested(200_000),
        nested(2_000, '{"a":', "}", "1"),
        nested(1_500, '{"]}\\"[{":[', "]}", '"[[[\\\\"'),
    ],
    ids=["lists", "a lot", "maps", "brackets in strings"],
)
def test_what_stands_beside_an_object_that_is_nested_too_deeply_is_read(deep: str) -> None:
    page = (
        f'{{"metadata":{{"resourceVersion":"7"}},"items":[{{"name":"a"}},{{"deep":{deep},"name":"b"}},{{"name":"c"}}]}}'
    )
    with pytest.raises(orjson.JSONDecodeError):
        orjson.loads(page)
    read = decode(page.encode())
    assert [item["name"] for item in read["items"]] == ["a", "b", "c"]
    assert TOO_DEEP in json.dumps(read["items"][1])
    assert too_deep(read["items"][1], "spec").startswith("spec.deep")
    assert too_deep(read["items"][0], "spec") == ""


@pytest.mark.parametrize("garbage", [b"", b"{", b"[[[", b'"', b"]" * 3_000, b"[" * 3_000, b'{"a"' * 2_000])
def test_what_is_not_json_is_still_an_error(garbage: bytes) -> None:
    with pytest.raises(orjson.JSONDecodeError):
        decode(garbage)


@given(JSON)
def test_all_else_is_read_as_it_is(value: object) -> None:
    assert decode(orjson.dumps(value)) == value


def test_reading_costs_time_in_proportion_to_the_length() -> None:
    started = time.thread_time()
    decode(b'{"a":' + b"[" * 700_000 + b"]" * 700_000 + b"}")
    assert time.thread_time() - started < 5.0


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 900])
def test_a_cluster_that_is_nested_too_deeply_is_told_where(depth: int) -> None:
    spec = raw_spec()
    spec["podTypes"][1]["podConfig"]["metadata"]["annotations"] = json.loads(nested(depth, '{"a":', "}", "1"))
    (problem,) = problems("example", spec)
    assert str(problem).startswith("spec.podTypes[1].podConfig.metadata.annotations.a")
    assert "nested deeper than 100 levels" in str(problem)
    assert len(str(problem)) < 400
