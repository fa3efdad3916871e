"""A part of a wrong kind hides nothing else that is wrong, and nothing is said of what is not wrong."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from controller.cli.checks import check
from controller.raycluster.schema import path_text
from controller.raycluster.validation import problems
from tests.support.builders import raw_cluster, raw_spec, raw_type

Place = tuple[str | int, ...]


def whole() -> dict[str, Any]:
    """A spec with all that it may have."""
    types = [
        raw_type("head-node", maxWorkers=1, rayResources={"CPU": 0}, setupCommands=["true"]),
        raw_type(
            "w", minWorkers=1, maxWorkers=2, labels={"a": "b"}, hosts=1, priority=1, startRayCommands=["ray start"]
        ),
    ]
    return raw_spec(
        podTypes=types,
        suspend=False,
        upscalingSpeed=1,
        idleTimeoutMinutes=5,
        doNotDisrupt={"head": True},
        gang={"labels": {"a": "b"}},
        headRecovery={"storage": {"size": "1Gi", "accessModes": ["ReadWriteOnce"]}},
        idleTermination={"minutes": 5, "action": "Suspend"},
        headServicePorts=[{"name": "x", "port": 7, "targetPort": 7}],
        headStartRayCommands=["ray start --head --port=6379"],
        workerStartRayCommands=["ray start --address=$RAY_HEAD_IP:6379"],
    )


def places(value: Any, path: Place = ()) -> Iterator[Place]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for part, below in inner:
        yield (*path, part)
        yield from places(below, (*path, part))


PLACES = {path_text(place): place for place in places(whole()) if "resources" not in place}


def put(spec: dict[str, Any], place: Place, value: Any) -> None:
    holder: Any = spec
    for part in place[:-1]:
        holder = holder[part]
    holder[place[-1]] = value


def test_the_whole_is_fine() -> None:
    assert check(raw_cluster(whole())) == ()


@pytest.mark.parametrize("odd", [[[]], {"odd": 1}, 7, "odd text"], ids=["a list", "a mapping", "a number", "a text"])
@pytest.mark.parametrize("where", PLACES)
def test_of_one_part_of_a_wrong_kind_nothing_else_is_told(where: str, odd: Any) -> None:
    spec = whole()
    put(spec, PLACES[where], copy.deepcopy(odd))
    for told in (check(raw_cluster(spec)), problems("example", spec)):
        # Where it is a value that the place may have, it may contradict another.
        if any("is not a" in p.message or "is missing" in p.message for p in told):
            paths = [p.path.removeprefix("spec.") for p in told]
            assert [p for p in paths if not (p.startswith(where) or where.startswith(p))] == []


OTHERS = {
    "spec.headPodType",
    "spec.podTypes",
    "spec.podTypes[1].minWorkers",
    "spec.headServicePorts[0].name",
    "spec.headServicePorts[0].targetPort",
}
# Where something of a wrong kind is put, and which of the others cannot be told then.
WRONG: list[tuple[Place, Any, set[str]]] = [
    (("maxWorkers",), "3", set()),
    (("idleTimeoutMinutes",), "5", set()),
    (("headRecovery",), [], set()),
    (("idleTermination",), {"minutes": True}, set()),
    (("suspend",), "yes", set()),
    (("headStartRayCommands",), "ray start", set()),
    (("headStartRayCommands",), [7], set()),
    (("podTypes", 0, "podConfig"), "pod", set()),
    (("podTypes", 0, "podConfig", "spec"), [], set()),
    (("podTypes", 0, "podConfig", "spec", "containers"), {}, set()),
    (("podTypes", 0, "podConfig", "spec", "containers", 0), "c", set()),
    (("podTypes", 0, "podConfig", "spec", "containers", 0, "resources"), [], set()),
    (("podTypes", 0, "minWorkers"), "1", set()),
    (("podTypes", 0, "hosts"), "two", set()),
    (("podTypes", 0, "labels"), [], set()),
    (("podTypes", 0, "rayResources"), {"disk": "1Gi"}, set()),
    (("podTypes", 0, "setupCommands"), "true", set()),
    (("podTypes", 0, "name"), 7, {"spec.headPodType"}),
    (("podTypes", 0), "head", {"spec.headPodType"}),
    (("headServicePorts", 1), "port", set()),
    (("headServicePorts", 1), {"name": "y"}, set()),
    (("gang",), "volcano", set()),
]


@pytest.mark.parametrize(("place", "value", "hidden"), WRONG, ids=[f"{path_text(p)} {v}" for p, v, _ in WRONG])
def test_what_else_is_wrong_is_told_beside_it(place: Place, value: Any, hidden: set[str]) -> None:
    port = {"name": "X", "port": 7, "targetPort": "a b"}
    spec = raw_spec(headPodType="haed", headServicePorts=[port, {"name": "y", "port": 8, "targetPort": 8}])
    spec["podTypes"] += [raw_type("worker-node")]
    spec["podTypes"][1] |= {"minWorkers": 5, "maxWorkers": 2}
    put(spec, place, value)
    by_check, by_operator = check(raw_cluster(spec)), problems("example", spec)
    assert [p for p in by_check if p.path.startswith(f"spec.{path_text(place)}")]
    for told in (by_check, by_operator):
        paths = {p.path for p in told}
        assert OTHERS - hidden <= paths
        assert {p for p in paths if not p.startswith(f"spec.{path_text(place)}")} <= OTHERS


def test_remedies_are_the_same_beside_a_part_of_a_wrong_kind() -> None:
    spec = raw_spec(maxWorkers="3")
    spec["podTypes"][1]["rayResources"] = {"disk": "1Gi", "memory": "2Gi", "a": None, "b": float("nan")}
    spec["podTypes"][1]["labels"] = {"c": None, "d": 1}
    said = [str(p) for p in check(raw_cluster(spec))]
    assert said[0] == 'spec.maxWorkers: "3" is not a whole number; take the quotes away: 3'
    assert sorted(s.rpartition("; ")[2] for s in said[1:]) == [
        "Ray takes no other",
        'put it in quotes: "1"',
        'write "" for an empty value, or remove the key',
        "write 1073741824",
        "write 2147483648",
        "write one, or remove the name",
    ]


def test_two_types_of_one_name_do_not_hide_what_is_wrong_in_their_pods() -> None:
    spec = raw_spec()
    spec["podTypes"].append(copy.deepcopy(spec["podTypes"][1]))
    spec["podTypes"][1]["podConfig"]["spec"]["tolerations"] = [None]
    assert [p.path.rpartition(".")[2] for p in check(raw_cluster(spec))] == ["podTypes", "tolerations[0]"]
