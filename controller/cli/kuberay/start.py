"""What becomes of a group's ``rayStartParams``, ``resources`` and ``labels``: flags, rayResources, comments.

KubeRay writes each parameter into a shell command as ``--name=value``, unquoted. So it is written here: what a shell
makes of the value stays what it was.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from typing import Any

from controller.raycluster.model import Json
from controller.raycluster.quantities import QuantityError, parse_quantity
from controller.raycluster.ray_resources import MAX_RESOURCE, detect_resources, node_resources

from . import table
from .source import MAX_PORT, Fields, short
from .texts import json_amounts, shell_words
from .written import Comment

HEAD_DEFAULTS = {"dashboard-host": "0.0.0.0", "metrics-export-port": "8080"}
GCS_PORT = "6379"
WORKER_DEFAULTS = {"metrics-export-port": "8080"}
# Flags of "ray start" that take true or false as their value; any other is given or left out.
_VALUED = ("log-color", "include-dashboard", "include-log-monitor")
_AMOUNTS = {"num-cpus": "CPU", "num-gpus": "GPU", "memory": "memory", "object-store-memory": "object_store_memory"}
# What only a shell knows.
_SHELL = re.compile(r"[$`]")
_LIMITS = {"cpu": "CPU", "memory": "memory"}


@dataclass(frozen=True)
class Start:
    """How Ray starts on the nodes of a group. ``flags`` are those after "ray start" and what is always there."""

    flags: str
    port: str
    resources: Mapping[str, int]
    labels: Mapping[str, str]
    comments: tuple[Comment, ...]


def read_start(group: Fields, is_head: bool) -> Start:
    """What the group says about its Ray processes."""
    given = group.mapping("rayStartParams")
    params = {name: given.text(name) for name in given.values if name in given}
    comments = given.notes(table.HEAD_START if is_head else table.WORKER_START)
    comments += given.notes(table.START)
    labels = {**_labels(params.get("labels", "")), **group.strings("labels")}
    resources: dict[str, int] = {}
    for name, ray in _AMOUNTS.items():
        if name in params:
            comments += _amount(given, name, ray, params[name], resources)
    if params.get("resources"):
        comments += _custom(given, resources)
    comments += _group_resources(group.mapping("resources"), resources)
    flags = _flags(params, is_head)
    for name in (name for name in flags if name == "port" or name.endswith("-port")):
        _check_port(given, name, flags[name])
    port = "".join(shell_words(flags.pop("port", GCS_PORT))) if is_head else ""
    return Start(_written(flags), port, resources, labels, tuple(comments))


def _flags(params: Mapping[str, str], is_head: bool) -> dict[str, str]:
    """The parameters that stay flags, and KubeRay's defaults."""
    own, defaults = (table.HEAD_START, HEAD_DEFAULTS) if is_head else (table.WORKER_START, WORKER_DEFAULTS)
    left_out = {*_AMOUNTS, "resources", "labels", *table.START, *own}
    return {**defaults, **{name: value for name, value in params.items() if name not in left_out}}


def label_flag(labels: Mapping[str, str]) -> str:
    """The labels as a flag of "ray start"."""
    return f"--labels={shlex.quote(','.join(f'{k}={v}' for k, v in sorted(labels.items())))}" if labels else ""


def default_resources(pod_spec: Json) -> dict[str, int]:
    """What KubeRay declares for a node of this pod: the limits of its first container; of the CPU, else the request.

    Raises:
        QuantityError: one of them is not a quantity.
    """
    resources = pod_spec["containers"][0].get("resources") or {}
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    amounts = {"cpu": limits.get("cpu", requests.get("cpu")), "memory": limits.get("memory")}
    found = {_LIMITS[name]: _whole(amount) for name, amount in amounts.items() if amount is not None}
    return {name: amount for name, amount in found.items() if amount}


def ray_resources(start: Start, pod_spec: Json) -> dict[str, int]:
    """The rayResources with which Ray sees of a node what it sees under KubeRay; none that are detected anyway."""
    try:
        wanted = {**default_resources(pod_spec), **start.resources}
        detected = detect_resources(node_resources(pod_spec))
    except (QuantityError, AttributeError, TypeError):
        # Said of the finished RayCluster, at its place.
        return dict(start.resources)
    return {name: amount for name, amount in wanted.items() if detected.get(name) != amount}


def _written(flags: Mapping[str, str]) -> str:
    parts = []
    for name, value in sorted(flags.items()):
        if value.lower() in ("true", "false") and name not in _VALUED:
            parts += [f"--{name}"] if value.lower() == "true" else []
        else:
            parts.append(f"--{name}={value}")
    return " ".join(parts)


def _labels(text: str) -> dict[str, str]:
    """Labels as the flag has them: ``a=b,c=d``, in quotes or not."""
    pairs = (part.split("=", 1) for part in " ".join(shell_words(text)).split(",") if "=" in part)
    return {key.strip(): value.strip() for key, value in pairs}


def _check_port(given: Fields, name: str, value: str) -> None:
    """A variable is left to the shell. 0 is any port; that of the GCS, workers have to know."""
    text, least = "".join(shell_words(value)), 1 if name == "port" else 0
    if not _SHELL.search(text) and not (re.fullmatch("[0-9]{1,5}", text) and least <= int(text) <= MAX_PORT):
        example = f"{GCS_PORT} for example" if name == "port" else "8080 for example"
        given.problem(name, f"{short(value)} is not a number from {least} to {MAX_PORT}; write one, {example}")


def _amount(given: Fields, name: str, ray: str, value: str, into: dict[str, int]) -> list[Comment]:
    text = "".join(shell_words(value))
    if _SHELL.search(text):
        return [given.note(name, f"not carried over, only a shell knows it; set rayResources.{ray} of the pod type.")]
    try:
        amount = parse_quantity(text)
    except QuantityError:
        amount = Decimal(-1)
    if not 0 <= amount <= MAX_RESOURCE or amount != amount.to_integral_value():
        given.problem(name, f"{short(value)} is not a whole number from 0 to {MAX_RESOURCE}; write one")
        return []
    into[ray] = int(amount)
    return []


def _custom(given: Fields, into: dict[str, int]) -> list[Comment]:
    """The amounts of the flag --resources."""
    comments = []
    for resource, amount in json_amounts(given, "resources", MAX_RESOURCE).items():
        if amount != int(amount):
            comments.append(Comment(f"{given.where('resources')}.{resource} ({amount}): {table.FRACTION}"))
        else:
            into[resource] = int(amount)
    return comments


def _group_resources(given: Fields, into: dict[str, int]) -> list[Comment]:
    """The group's field ``resources``: quantities by Kubernetes' names or Ray's."""
    comments: list[Comment] = []
    for name, text in {n: given.text(n) for n in given.values if n in given}.items():
        ray = {"cpu": "CPU", "memory": "memory"}.get(name.lower()) or ("GPU" if name.lower().endswith("gpu") else name)
        try:
            amount = parse_quantity(text)
        except QuantityError as error:
            given.problem(name, str(error))
            continue
        if not 0 <= amount <= MAX_RESOURCE:
            given.problem(name, f"{text} is not an amount from 0 to {MAX_RESOURCE}; write one")
        elif ray == name and amount != int(amount):
            comments.append(given.note(name, table.FRACTION))
        else:
            into[ray] = _whole(text)
    return comments


def _whole(amount: Any) -> int:
    """A quantity, rounded up."""
    return int(parse_quantity(amount).to_integral_value(rounding=ROUND_CEILING))
