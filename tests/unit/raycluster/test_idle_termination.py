"""spec.idleTermination: what is wrong with one is told with its place and a remedy, and both checks agree about it."""

from __future__ import annotations

from typing import Any

import pytest

from controller.raycluster.idle_termination import RESUMED_ANNOTATION, IdleTermination
from controller.raycluster.model import RayCluster, parse_spec
from controller.raycluster.schema import schema_problems
from controller.raycluster.validation import problems
from tests.support.builders import raw_cluster, raw_spec

ROOT = "spec.idleTermination"
WRONG: dict[str, tuple[Any, str]] = {
    "no minutes": ({"action": "Suspend"}, f"{ROOT}.minutes: is missing; write after how many minutes"),
    "nothing": ({}, f"{ROOT}.minutes: is missing"),
    "at once": ({"minutes": 0}, f"{ROOT}.minutes: 0 is not a number from 0.1 to 525600"),
    "no number": ({"minutes": float("nan")}, f"{ROOT}.minutes: .nan is not a number from"),
    "more than a year": ({"minutes": 525_601}, f"{ROOT}.minutes: 525601 is not"),
    "a text": ({"minutes": "60"}, f'{ROOT}.minutes: "60" is not a number; take the quotes away: 60'),
    "a truth": ({"minutes": True}, f"{ROOT}.minutes: true is not a number"),
    "another action": ({"minutes": 1, "action": "Stop"}, f"{ROOT}.action: 'Stop' is not an action; use Suspend or"),
    "no action": ({"minutes": 1, "action": ""}, f"{ROOT}.action: '' is not"),
    "a list of actions": ({"minutes": 1, "action": ["Delete"]}, f'{ROOT}.action: ["Delete"] is not an action'),
    "a number": (60, f"{ROOT}: 60 is not a mapping"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_told_with_its_place(name: str) -> None:
    wanted, expected = WRONG[name]
    told = [str(p) for p in problems("a", raw_spec(idleTermination=wanted))]
    assert [t for t in told if t.startswith(expected)] == told != []


@pytest.mark.parametrize(
    ("wanted", "read"),
    [
        ({"minutes": 60}, IdleTermination(60.0, "Suspend")),
        ({"minutes": 0.1, "action": "Suspend"}, IdleTermination(0.1, "Suspend")),
        ({"minutes": 525_600, "action": "Delete"}, IdleTermination(525_600.0, "Delete")),
    ],
)
def test_what_is_right_is_taken(wanted: dict[str, Any], read: IdleTermination) -> None:
    spec = raw_spec(idleTermination=wanted)
    assert (problems("a", spec), schema_problems(raw_cluster(spec))) == ((), ())
    assert parse_spec(spec).idle == read


def test_absent_is_none() -> None:
    assert parse_spec(raw_spec()).idle is None
    assert (problems("a", raw_spec(idleTermination=None)), parse_spec(raw_spec(idleTermination=None)).idle) == (
        (),
        None,
    )


@pytest.mark.parametrize("annotations", [{}, {"annotations": None}, {"annotations": {"a": "b"}}])
def test_a_cluster_that_was_never_resumed_says_nothing_of_it(annotations: dict[str, Any]) -> None:
    made = raw_cluster(uid="u", resourceVersion="1", **annotations)
    assert RayCluster.from_object(made).resumed == ""
    made["metadata"]["annotations"] = {RESUMED_ANNOTATION: "now"}
    assert RayCluster.from_object(made).resumed == "now"
