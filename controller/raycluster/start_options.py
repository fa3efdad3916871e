"""What the options of ``ray start`` mean to the operator: the head's port, and the resources and labels of a node."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .shell_words import Field, Variables
from .start_commands import HEAD_ADDRESS, HEAD_IP_VARIABLE, RayStart, ray_starts

DEFAULT_GCS_PORT = 6379
_RESOURCES = {
    "--num-cpus": "CPU",
    "--num-gpus": "GPU",
    "--memory": "memory",
    "--object-store-memory": "object_store_memory",
}
# What Ray makes labels of, see _get_default_labels() in ray/_private/resource_and_label_spec.py.
_LABEL_VARIABLES = {
    "RAY_NODE_MARKET_TYPE": "ray.io/market-type",
    "RAY_NODE_REGION": "ray.io/availability-region",
    "RAY_NODE_ZONE": "ray.io/availability-zone",
}
_LABELS_VARIABLE = "RAY_OVERRIDE_LABELS"
_REFERENCE = re.compile(r"\$\$|\$\(([-._a-zA-Z][-._a-zA-Z0-9]*)\)")
_PLAIN_PORT = re.compile(r"(?:^|\s)--port[=\s]\s*(\d+)")


@dataclass(frozen=True)
class StartOptions:
    """What the commands that start the nodes of one pod type say, as far as it can be read.

    ``resources``: as Ray names them. ``unread``: options whose value only a running shell knows.
    """

    resources: Mapping[str, Any] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    unread: tuple[str, ...] = ()


def variables_of(pod_config: Mapping[str, Any]) -> Variables:
    """The variables that the podConfig gives Ray's container, with those references that Kubernetes resolves."""
    container = pod_config["spec"]["containers"][0]
    variables = Variables(open=bool(container.get("envFrom")))
    for entry in filter(None, container.get("env") or ()):
        value = None if entry.get("valueFrom") else _resolved(str(entry.get("value") or ""), variables)
        variables.set(str(entry.get("name")), value)
    variables.set(HEAD_IP_VARIABLE, HEAD_ADDRESS)
    return variables


def _resolved(value: str, variables: Variables) -> str | None:
    """https://kubernetes.io/docs/tasks/inject-data-application/define-interdependent-environment-variables/"""
    names = [name for name in _REFERENCE.findall(value) if name]
    if any(name in variables.hidden or (variables.open and name not in variables.known) for name in names):
        return None
    return _REFERENCE.sub(
        lambda found: "$" if not found.group(1) else variables.known.get(found.group(1), found.group()), value
    )


def head_port(starts: Sequence[RayStart], commands: Sequence[str]) -> int | None:
    """Where the head's GCS listens; None when only a running shell knows.

    Without a ``ray start`` to be seen, a program of the user's has a ``--port`` or starts Ray with its default.
    """
    heads = [s for s in starts if s.is_head] or [s for s in starts[-1:] if s.vague]
    if heads:
        given = heads[-1].get("--port")
        if given is None and heads[-1].vague and not heads[-1].is_head:
            return _plain_port(commands)
        return DEFAULT_GCS_PORT if given is None else _port(given)
    return _plain_port(commands)


def _plain_port(commands: Sequence[str]) -> int:
    found = (match for match in map(_PLAIN_PORT.search, commands) if match)
    return next((int(match.group(1)) for match in found), DEFAULT_GCS_PORT)


def _port(given: Field) -> int | None:
    text = given.text.strip()
    return int(text) if given.known and text.isdecimal() and 0 < int(text) < 65536 else None


def start_options(setup: Sequence[str], start: Sequence[str], pod_config: Mapping[str, Any]) -> StartOptions:
    """What a node of a pod type is started with."""
    variables = variables_of(pod_config)
    environment = dict(variables.known)
    starts = ray_starts([*setup, *start], variables)
    if not starts:
        return StartOptions(labels=_environment_labels(environment))
    last = starts[-1]
    names = [*_RESOURCES, "--resources", "--labels"]
    unread = [n for n in names if (given := last.get(n)) and not given.known]
    unread += ["--labels-file"] if last.get("--labels-file") else []
    return StartOptions(
        resources=dict(_resources(last)),
        labels={**_environment_labels(environment), **_labels(last), **_json(environment.get(_LABELS_VARIABLE), str)},
        unread=tuple(unread),
    )


def _known(start: RayStart, option: str) -> str | None:
    given = start.get(option)
    return given.text if given and given.known else None


def _resources(start: RayStart) -> Iterator[tuple[str, Any]]:
    for name, amount in _json(_known(start, "--resources"), int, float).items():
        if amount >= 0 and name not in _RESOURCES.values():
            yield name, amount
    for option, name in _RESOURCES.items():
        text = _known(start, option)
        if text and text.isdecimal():
            yield name, int(text)


def _labels(start: RayStart) -> dict[str, str]:
    """``a=b,c=d``; in Ray before 2.44, JSON."""
    text = _known(start, "--labels") or ""
    if text.startswith("{"):
        return _json(text, str)
    pairs = (pair.split("=") for pair in text.strip('"').split(","))
    return {pair[0].strip(): pair[1].strip() for pair in pairs if len(pair) == 2}


def _environment_labels(environment: Mapping[str, str]) -> dict[str, str]:
    return {label: environment[name] for name, label in _LABEL_VARIABLES.items() if environment.get(name)}


def _json(text: str | None, *types: type) -> dict[str, Any]:
    """The values of these types in a JSON mapping; Ray itself complains of what is malformed."""
    try:
        found = json.loads(text or "{}")
    except ValueError:
        return {}
    if not isinstance(found, dict):
        return {}
    return {k: v for k, v in found.items() if isinstance(v, types) and not isinstance(v, bool)}


def joined_port(start: RayStart) -> int | None:
    """The port of the head's that a worker's ``ray start`` names; None where it names another address, or none."""
    given = start.get("--address")
    if not given or not given.known:
        return None
    host, _, port = given.text.rpartition(":")
    return int(port) if host == HEAD_ADDRESS and port.isdecimal() else None
