"""What the options of ``ray start`` mean to the operator: the head's port, and the resources and labels of a node."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .shell_variables import HEAD_VARIABLES
from .shell_words import UNKNOWN, Field, Variables
from .start_commands import HEAD_ADDRESS, RayStart, candidates, lasting, options_of_programs, ray_starts

DEFAULT_GCS_PORT = 6379
# What Ray calls it that an option gives.
RESOURCE_OPTIONS = {
    "--num-cpus": "CPU",
    "--num-gpus": "GPU",
    "--memory": "memory",
    "--object-store-memory": "object_store_memory",
}
_REFERENCE = re.compile(r"\$\$|\$\(([-._a-zA-Z][-._a-zA-Z0-9]*)\)")
# More pairs, and a value that is no string.
_UNKNOWN_PAIRS = re.compile(rf",\s*{UNKNOWN}\s*(?=[,}}])")
_BARE_UNKNOWN = re.compile(rf"([:,\[]\s*)[^\s,:\[\"{{}}]*{UNKNOWN}[^,\"}}]*")


@dataclass(frozen=True)
class StartOptions:
    """What the commands that start the nodes of one pod type say, as far as it can be read.

    ``resources``: as Ray names them. ``unread``: options whose value only a running shell knows, all or a part of it.
    ``differing``: options whose value depends on which ``ray start`` runs.
    """

    resources: Mapping[str, Any] = field(default_factory=dict)
    unread: tuple[str, ...] = ()
    differing: tuple[str, ...] = ()


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
    if not variables.room.has(sum(len(variables.known[name]) for name in names)):
        return None
    return _REFERENCE.sub(
        lambda found: "$" if not found.group(1) else variables.known.get(found.group(1), found.group()), value
    )


def head_port(setup: Sequence[str], start: Sequence[str], pod_config: Mapping[str, Any]) -> int | None:
    """Where the head's GCS listens; None when only a running shell knows.

    Without a ``ray start`` to be seen, a program of the user's has a ``--port`` or starts Ray with its default.
    """
    texts = [*setup, *start]
    starts = ray_starts(texts, variables_of(pod_config))
    heads = candidates(texts, starts, head=True)
    if not any(s.is_head for s in heads):
        heads = [s for s in starts[-1:] if s.vague]
    ports = {port_of(s) for s in heads if s.is_head or s.get("--port")}
    if ports:
        return ports.pop() if len(ports) == 1 else None
    given = map(_port, options_of_programs(texts, "--port", variables_of(pod_config)))
    return next((port for port in given if port), DEFAULT_GCS_PORT)


def port_of(head: RayStart) -> int | None:
    """Where the GCS of a head listens that is started so; None when only a running shell knows."""
    given = head.get("--port")
    return _port(given) if given else DEFAULT_GCS_PORT


def _port(given: Field) -> int | None:
    port = whole(given)
    return port if port is not None and 0 < port < 65536 else None


def whole(given: Field) -> int | None:
    """The number that Ray reads; None where it is not known, or where Ray takes it for none and ends."""
    try:
        return int(given.text) if given.known else None
    except ValueError:
        return None


def start_options(
    setup: Sequence[str], start: Sequence[str], pod_config: Mapping[str, Any], *, head: bool = False
) -> StartOptions:
    """What a node of a pod type is started with."""
    texts = [*setup, *start]
    starts = ray_starts(texts, variables_of(pod_config))
    last = lasting(starts, head=head)
    if not last:
        return StartOptions()
    names, others = [*RESOURCE_OPTIONS, "--resources", "--labels"], candidates(texts, starts, head=head)
    differing = tuple(n for n in names if len({(given.text if (given := s.get(n)) else None) for s in others}) > 1)
    unread = [n for n in names if n not in differing and (given := last.get(n)) and not given.known]
    unread += ["--labels-file"] if last.get("--labels-file") else []
    return StartOptions(dict(_resources(last, differing)), tuple(unread), differing)


def _resources(start: RayStart, differing: Sequence[str]) -> Iterator[tuple[str, Any]]:
    given = None if "--resources" in differing else start.get("--resources")
    for name, amount in pairs_of_json(given.text if given else "").items():
        counts = isinstance(amount, (int, float)) and not isinstance(amount, bool) and amount >= 0
        if counts and UNKNOWN not in name and name not in RESOURCE_OPTIONS.values():
            yield name, amount
    for option, name in RESOURCE_OPTIONS.items():
        number = None if option in differing else whole(start.get(option) or Field(""))
        if number is not None and number >= 0:
            yield name, number


def pairs_of_json(text: str) -> dict[str, Any]:
    """A JSON mapping, UNKNOWN in what is not known of it; empty where it is none: Ray itself complains of that."""
    try:
        sure = _UNKNOWN_PAIRS.sub("", text)
        found = json.loads(_BARE_UNKNOWN.sub(rf'\1"{UNKNOWN}"', sure), strict=False)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
