"""What the options of ``ray start`` mean to the operator: the head's port, and the resources and labels of a node."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .shell_words import UNKNOWN, Field, Variables
from .start_commands import HEAD_ADDRESS, HEAD_VARIABLES, RayStart, lasting, options_of_programs, ray_starts

DEFAULT_GCS_PORT = 6379
_RESOURCES = {
    "--num-cpus": "CPU",
    "--num-gpus": "GPU",
    "--memory": "memory",
    "--object-store-memory": "object_store_memory",
}
_REFERENCE = re.compile(r"\$\$|\$\(([-._a-zA-Z][-._a-zA-Z0-9]*)\)")
# More pairs, and a value that is no string.
_UNKNOWN_PAIRS = re.compile(rf",\s*{UNKNOWN}\s*(?=[,}}])")
_BARE_UNKNOWN = re.compile(rf"([:,\[]\s*)[^\s,:\"{{}}]*{UNKNOWN}[^,\"}}]*")


@dataclass(frozen=True)
class StartOptions:
    """What the commands that start the nodes of one pod type say, as far as it can be read.

    ``resources``: as Ray names them. ``unread``: options whose value only a running shell knows, all or a part of it.
    """

    resources: Mapping[str, Any] = field(default_factory=dict)
    unread: tuple[str, ...] = ()


def variables_of(pod_config: Mapping[str, Any]) -> Variables:
    """The variables that the podConfig gives Ray's container, with those references that Kubernetes resolves."""
    container = pod_config["spec"]["containers"][0]
    variables = Variables(open=bool(container.get("envFrom")))
    for entry in filter(None, container.get("env") or ()):
        value = None if entry.get("valueFrom") else _resolved(str(entry.get("value") or ""), variables)
        variables.export(str(entry.get("name")), value)
    for name in HEAD_VARIABLES:
        variables.export(name, HEAD_ADDRESS)
    return variables


def _resolved(value: str, variables: Variables) -> str | None:
    """What https://kubernetes.io/docs/tasks/inject-data-application/define-interdependent-environment-variables/ makes
    of a value. None where it names a variable that is not known here: the operator adds some.
    """
    names = [name for name in _REFERENCE.findall(value) if name]
    if any(name not in variables.known for name in names):
        return None
    return _REFERENCE.sub(
        lambda found: "$" if not found.group(1) else variables.known.get(found.group(1), found.group()), value
    )


def head_port(setup: Sequence[str], start: Sequence[str], pod_config: Mapping[str, Any]) -> int | None:
    """Where the head's GCS listens; None when only a running shell knows.

    Without a ``ray start`` to be seen, a program of the user's has a ``--port`` or starts Ray with its default.
    """
    starts = ray_starts([*setup, *start], variables_of(pod_config))
    heads = [s for s in starts if s.is_head] or [s for s in starts[-1:] if s.vague]
    given = heads[-1].get("--port") if heads else None
    if given is not None:
        return _port(given)
    if heads and heads[-1].is_head:
        return DEFAULT_GCS_PORT
    ports = map(_port, options_of_programs([*setup, *start], "--port", variables_of(pod_config)))
    return next((port for port in ports if port), DEFAULT_GCS_PORT)


def _port(given: Field) -> int | None:
    text = given.text.strip()
    return int(text) if given.known and text.isdecimal() and 0 < int(text) < 65536 else None


def start_options(
    setup: Sequence[str], start: Sequence[str], pod_config: Mapping[str, Any], *, head: bool = False
) -> StartOptions:
    """What a node of a pod type is started with."""
    last = lasting(ray_starts([*setup, *start], variables_of(pod_config)), head=head)
    if not last:
        return StartOptions()
    names = [*_RESOURCES, "--resources", "--labels"]
    unread = [n for n in names if (given := last.get(n)) and not given.known]
    unread += ["--labels-file"] if last.get("--labels-file") else []
    return StartOptions(resources=dict(_resources(last)), unread=tuple(unread))


def _resources(start: RayStart) -> Iterator[tuple[str, Any]]:
    given = start.get("--resources")
    for name, amount in pairs_of_json(given.text if given else "").items():
        counts = isinstance(amount, (int, float)) and not isinstance(amount, bool) and amount >= 0
        if counts and UNKNOWN not in name and name not in _RESOURCES.values():
            yield name, amount
    for option, name in _RESOURCES.items():
        amount = start.get(option)
        if amount and amount.text.isdecimal():
            yield name, int(amount.text)


def pairs_of_json(text: str) -> dict[str, Any]:
    """A JSON mapping, UNKNOWN in what is not known of it; empty where it is none: Ray itself complains of that."""
    try:
        sure = _UNKNOWN_PAIRS.sub("", text)
        found = json.loads(_BARE_UNKNOWN.sub(rf'\1"{UNKNOWN}"', sure), strict=False)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def joined_port(start: RayStart) -> int | None:
    """The port of the head's that a worker's ``ray start`` names; None where it names another address, or none."""
    given = start.get("--address")
    if not given or not given.known:
        return None
    host, _, port = given.text.rpartition(":")
    return int(port) if host.strip("[]") == HEAD_ADDRESS and port.isdecimal() else None
