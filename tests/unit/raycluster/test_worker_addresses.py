"""Addresses in the start commands of workers that cannot work."""

from __future__ import annotations

from typing import Any

import pytest

from controller.raycluster.model import parse_spec
from controller.raycluster.notes import notes
from controller.raycluster.validation import problems
from tests.support.builders import raw_spec

FIELD = "spec.workerStartRayCommands[0]"


def spec_of(address: str, port: int = 6380, **env: Any) -> dict[str, Any]:
    """``env``: of the workers; a string, or a source. ``more``: they have envFrom."""
    more = env.pop("more", None)
    spec = raw_spec(
        headStartRayCommands=[f"ray start --head --port={port}"],
        workerStartRayCommands=[f"ray start --address={address}"],
    )
    container = spec["podTypes"][1]["podConfig"]["spec"]["containers"][0]
    container["env"] = [
        {"name": name, "value": given} if isinstance(given, str) else {"name": name, "valueFrom": given}
        for name, given in env.items()
    ]
    container |= {"envFrom": [{"configMapRef": {"name": "more"}}]} if more else {}
    return spec


def notes_on(spec: dict[str, Any], field: str = FIELD) -> list[str]:
    """Of a spec in which nothing is wrong."""
    assert problems("c", spec) == ()
    return [note.message for note in notes(parse_spec(spec)) if note.path == field]


SOURCE = {"configMapKeyRef": {"name": "a", "key": "b"}}


@pytest.mark.parametrize(
    ("address", "env", "said"),
    [
        ("$RAY_HEAD_IP:$P", {}, "--address has $P, which neither the podConfig nor a command sets"),
        ("$FQ_RAY_IP:6379", {}, "--address has $FQ_RAY_IP, which neither the podConfig nor a command sets"),
        ("$RAY_IP:6380", {}, "--address has $RAY_IP, which"),
        ("${RAY_IP}:${RAY_PORT}", {}, "--address has $RAY_IP, $RAY_PORT, which"),
        ('"$RAY_IP:6380"', {}, "--address has $RAY_IP, which"),
        (" $RAY_IP:6380", {}, "--address= names no port"),
        ("auto", {}, "--address=auto is the worker itself"),
        ("localhost:6380", {}, "--address=localhost:6380 is the worker itself"),
        ("127.0.0.1:6380", {}, "--address=127.0.0.1:6380 is the worker itself"),
        ("[::1]:6380", {}, "is the worker itself"),
        ("$RAY_HEAD_IP", {}, "--address=$RAY_HEAD_IP names no port"),
        ("c-ray-head", {}, "--address=c-ray-head names no port"),
        ("'$RAY_HEAD_IP:6380'", {}, "--address=$RAY_HEAD_IP:6380: the shell replaces no variable in single quotes"),
        # Known, or not to be known.
        ("$RAY_HEAD_IP:6380", {}, ""),
        ("$RAY_HEAD_HOST:6380", {}, ""),
        ("$RAY_HEAD_IP:$P", {"P": "6380"}, ""),
        ("$RAY_HEAD_IP:$P", {"P": SOURCE}, ""),
        ("$RAY_HEAD_IP:$P", {"more": True}, ""),
        ("$RAY_HEAD_IP:${P:-6380}", {}, ""),
        ("$FQ_RAY_IP:6380", {"FQ_RAY_IP": "elsewhere.example"}, ""),
        ("$OTHER_RAY_HEAD_SERVICE_HOST:6380", {}, ""),
        ("$(cat /etc/head):6380", {}, ""),
        ("elsewhere.example:6379", {}, ""),
        ("auto", {"RAY_ADDRESS": "elsewhere.example:6379"}, ""),
    ],
)
def test_an_address_that_joins_no_head(address: str, env: dict[str, Any], said: str) -> None:
    found = notes_on(spec_of(address, **env))
    assert len(found) == bool(said)
    assert all(said in note and "write --address=$RAY_HEAD_IP:6380" in note for note in found)


@pytest.mark.parametrize("before", ["RAY_IP=10.0.0.1; ", ". /etc/ray.env; ", "read RAY_IP < /x; "])
def test_a_variable_that_a_command_may_set_is_not_named(before: str) -> None:
    spec = spec_of("")
    spec["workerStartRayCommands"] = [f"{before}ray start --address=$RAY_IP:6380"]
    assert notes_on(spec) == []


def said_of(spec: dict[str, Any]) -> list[str]:
    """What is wrong with it."""
    return [str(p) for p in problems("c", spec)]


@pytest.mark.parametrize("address", ["$RAY_HEAD_IP:6379", "c-ray-head:6379", "$HEAD:6379"])
def test_another_port_of_the_head_however_it_is_called(address: str) -> None:
    (problem,) = said_of(spec_of(address, HEAD="c-ray-head"))
    assert problem.startswith(f"{FIELD}: joins port 6379 of the head, and")
    assert problem.endswith("write --address=$RAY_HEAD_IP:6380")


def test_a_port_of_the_service_that_leads_to_the_heads() -> None:
    spec = spec_of("c-ray-head:6379")
    spec["headServicePorts"] = [{"name": "gcs", "port": 6379, "targetPort": 6380}]
    assert said_of(spec) == []
    assert said_of(spec_of("other-ray-head:6379")) == []


def test_the_commands_of_a_type_are_looked_at_too() -> None:
    spec = spec_of("$RAY_HEAD_IP:6380")
    spec["podTypes"][1]["startRayCommands"] = ["ray stop", "ray start --address=$RAY_HEAD_IP:6379"]
    (problem,) = said_of(spec)
    assert problem.startswith("spec.podTypes[1].startRayCommands[1]: joins port 6379 of the head, and")
    spec["podTypes"][1]["startRayCommands"] = ["ray start --address=$RAY_IP:6380"]
    (note,) = notes_on(spec, "spec.podTypes[1].startRayCommands[0]")
    assert "$RAY_IP" in note


def test_types_with_other_variables_are_named() -> None:
    spec = spec_of("$RAY_HEAD_IP:$P", P="6380")
    other = spec_of("", P="6379")["podTypes"][1]
    spec["podTypes"].append({**other, "name": "gpu"})
    (problem,) = said_of(spec)
    assert problem.startswith(f"{FIELD}: joins port 6379 of the head on pods of gpu, and")
    spec["podTypes"][1]["podConfig"] = other["podConfig"]
    (problem,) = said_of(spec)
    assert problem.startswith(f"{FIELD}: joins port 6379 of the head, and")
