"""Fields of another type than they should be, which a CustomResourceDefinition of before does not know."""

from __future__ import annotations

from typing import Any

import pytest

from controller.raycluster.validation import problems
from tests.support.builders import raw_spec, raw_type


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("priority", " ", 'spec.podTypes[1].priority: " " is not a whole number'),
        ("priority", {"a": 1}, "is not a whole number"),
        ("idleTimeoutMinutes", "soon", "spec.podTypes[1].idleTimeoutMinutes"),
        ("labels", "zone=a", "spec.podTypes[1].labels"),
        ("hosts", "two", "spec.podTypes[1].hosts"),
    ],
)
def test_a_field_of_another_type_is_named(field: str, value: Any, said: str) -> None:
    found = problems(
        "example", raw_spec(podTypes=[raw_type("head-node", "ray-head-"), raw_type("a", **{field: value})])
    )
    assert said in "; ".join(map(str, found))
