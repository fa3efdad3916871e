"""What becomes of a group's ``rayStartParams``, ``resources`` and ``labels``: flags, rayResources, comments.

KubeRay writes each parameter into a shell command as ``--name=value``, unquoted. So it is written here: what a shell
makes of the value stays what it was.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING
from typing import Any

from controller.raycluster.model import Json
from controller.raycluster.quantities import QuantityError, parse_quantity
from controller.raycluster.ray_resources import detect_resources, node_resources

from . import table
from .source import Fields, short
from .written import Comment

HEAD_DEFAULTS = {"dashboard-host": "0.0.0.0", "metrics-export-port": "8080"}
GCS_PORT = "6379"
WORKER_DEFAULTS = {"metrics-export-port": "8080"}
# Flags of "ray start" that take true or false as their value; any other is given or left out.
_VALUED = ("log-color", "include-dashboard", "include-log-monitor")
_AMOUNTS = {"num-cpus": "CPU", "num-gpus": "GPU", "memory": "memory", "object-store-memory": "object_store_memory"}
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
    comments += _custom(given, params.get("resources", ""), resources)
    comments += _group_resources(group.mapping("resources"), resources)
    flags = _flags(params, is_head)
    port = flags.pop("port", GCS_PORT) if is_head else ""
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
    pairs = (part.split("=", 1) for part in " ".join(_words(text)).split(",") if "=" in part)
    return {key.strip(): value.strip() for key, value in pairs}


def _words(text: str) -> list[str]:
    """The words that a shell makes of it."""
    try:
        return shlex.split(text)
    except ValueError:
        return [text]


def _amount(given: Fields, name: str, ray: str, value: str, into: dict[str, int]) -> list[Comment]:
    text = "".join(_words(value))
    try:
        into[ray] = _whole(text)
    except QuantityError:
        return [given.note(name, f"not carried over, it is not a number; set rayResources.{ray} of the pod type.")]
    return []


def _custom(given: Fields, text: str, into: dict[str, int]) -> list[Comment]:
    """The JSON of the flag --resources, in the quotes of a shell or without."""
    if not text:
        return []
    for candidate in ("".join(_words(text)), text, text.strip("\"'").replace('\\"', '"')):
        try:
            found = json.loads(candidate)
        except ValueError:
            continue
        if isinstance(found, str):
            # Quoted twice.
            found = _json_or_none(found)
        if isinstance(found, dict):
            return _whole_ones(given, "resources", found, into)
    given.problem("resources", f'{short(text)} is not a JSON object; write for example \'"{{\\"name\\": 1}}"\'')
    return []


def _json_or_none(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


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
        if ray == name and amount != int(amount):
            comments.append(given.note(name, table.FRACTION))
        else:
            into[ray] = _whole(text)
    return comments


def _whole_ones(given: Fields, name: str, found: Mapping[str, Any], into: dict[str, int]) -> list[Comment]:
    comments = []
    for resource, amount in found.items():
        if isinstance(amount, bool) or not isinstance(amount, int | float):
            given.problem(f"{name}.{resource}", f"{short(amount)} is not a number; write one")
        elif amount != int(amount):
            comments.append(Comment(f"{given.where(name)}.{resource} ({amount}): {table.FRACTION}"))
        else:
            into[resource] = int(amount)
    return comments


def _whole(amount: Any) -> int:
    """A quantity, rounded up."""
    return int(parse_quantity(amount).to_integral_value(rounding=ROUND_CEILING))
