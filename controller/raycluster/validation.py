"""What can be wrong with a RayCluster that its CRD schema let through, each with a remedy."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

from .commands_size import commands_size_problems
from .depth import MAX_DEPTH, too_deep
from .gang_problems import gang_problems
from .head_recovery import recovery_problems
from .hosts import hosts_problems
from .idle_termination import idle_problems
from .label_syntax import label_problems
from .model import DEFAULT_MAX_WORKERS, ClusterSpec, Json, parse_spec
from .problem import Problem
from .quantities import QuantityError, parse_quantity
from .ray_resources import MAX_RESOURCE, detect_resources, node_resources
from .resource_names import wrong_resource_name
from .service_ports import DEFAULT_SERVICE_PORTS, merge_service_ports
from .set_aside import problems_besides
from .shape import SHAPE_ERRORS, mistyped, shape_problems
from .size import MESSAGE, TOO_MANY, has_too_many_values
from .spelling import plain, quoted
from .start_problems import start_problems

T = TypeVar("T", bound=Hashable)

# Paths in messages are cut: names in them come from anybody.
MAX_PATH = 200

MAX_LABEL = 63
# Of a RayCluster: with "ray-" and "-worker" around it, it is a label of its pods.
MAX_NAME = MAX_LABEL - len("ray--worker")
LABEL_VALUE = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
SERVICE_NAME = re.compile(r"[a-z][-a-z0-9]*")
PORT_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
# https://www.rfc-editor.org/rfc/rfc6335#section-5.1, which names of container ports follow.
TARGET_PORT_NAME = re.compile(r"(?=.{1,15}$)[-a-z0-9]*[a-z][-a-z0-9]*")
POD_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
MAX_GENERATE_NAME = 190
# Also in the CRD. Ray has been run with some thousands of nodes; a year of idling is as good as no end.
MAX_WORKERS = 100_000
MAX_IDLE_MINUTES = 525_600
# Ray numbers its nodes and placement groups with resources of such names.
RESERVED_RESOURCES = ("node:", "bundle_group")


def problems(name: str, spec: Json) -> tuple[Problem, ...]:
    """Everything wrong with the spec of the RayCluster called ``name``; empty when it can be run.

    Never raises: a spec of any shape is either fine or described.
    """
    if spec == TOO_MANY or has_too_many_values(spec):
        return (Problem("spec", MESSAGE),)
    if where := too_deep(spec, "spec"):
        return (Problem(where[:MAX_PATH], f"is nested deeper than {MAX_DEPTH} levels; no pod template needs that"),)
    try:
        found = (*_name(name), *_problems(spec), *gang_problems(spec.get("gang"), name))
        if found:
            return found
        read = parse_spec(spec)
        if any(mistyped(part) for part in (read, *read.pod_types)):
            return shape_problems(spec)
        return (*start_problems(read, name), *_gcs_port(read))
    except SHAPE_ERRORS:
        return problems_besides(
            spec, lambda rest: (*_name(name), *_problems(rest), *gang_problems(rest.get("gang"), name))
        )


def _name(name: str) -> Iterator[Problem]:
    if len(name) > MAX_NAME:
        yield Problem("metadata.name", f"{name!r} has {len(name)} characters; at most {MAX_NAME} fit the pods' labels")
    if not SERVICE_NAME.fullmatch(name):
        yield Problem(
            "metadata.name",
            f"{name!r} cannot be the name of a Service, which it is; start with a letter, go on with a-z, 0-9 and '-'",
        )


def _problems(spec: Json) -> Iterator[Problem]:
    types = spec.get("podTypes")
    if not types:
        yield Problem(
            "spec.podTypes", f"is {'missing' if types is None else 'empty'}; at least the head's pod type is needed"
        )
        return
    names = [t["name"] for t in types]
    yield from _names(names, spec.get("headPodType"))
    for index, pod_type in enumerate(types):
        yield from _pod_type(f"spec.podTypes[{index}]", pod_type)
        yield from hosts_problems(f"spec.podTypes[{index}]", pod_type, pod_type["name"] == spec.get("headPodType"))
    yield from _bounds(spec, types)
    _truth(spec.get("suspend"))
    yield from _ports(spec.get("headServicePorts") or ())
    yield from commands_size_problems(spec)
    yield from _commands(spec)
    yield from recovery_problems(spec.get("headRecovery"))
    yield from idle_problems(spec.get("idleTermination"))


def _names(names: list[str], head: object) -> Iterator[Problem]:
    choices = ", ".join(dict.fromkeys(names))
    if head is None:
        yield Problem("spec.headPodType", f"is missing; use one of {choices}")
    elif head not in names:
        message = f"{quoted(head)} is not the name of a pod type; use one of {choices}"
        yield Problem("spec.headPodType", message)
    for duplicate in _repeated(names):
        yield Problem("spec.podTypes", f"the name {quoted(duplicate)} is used more than once; give each type its own")
    for index, type_name in enumerate(names):
        if not LABEL_VALUE.fullmatch(type_name):
            yield Problem(
                f"spec.podTypes[{index}].name",
                f"{quoted(type_name)} cannot be a label value; use at most 63 letters, digits, '-', '_' or '.'",
            )


def _pod_type(path: str, raw: Json) -> Iterator[Problem]:
    for field, message in label_problems(raw):
        yield Problem(f"{path}.{field}", message)
    overrides = raw.get("rayResources") or {}
    yield from _pod_config(f"{path}.podConfig", raw["podConfig"], overrides)
    for resource, value in overrides.items():
        yield from _ray_resource(f"{path}.rayResources.{resource}", resource, value)


def _pod_config(path: str, config: Json, overrides: Json) -> Iterator[Problem]:
    prefix = (config.get("metadata") or {}).get("generateName") or ""
    # Five letters follow it, and the cluster's name comes before it.
    if len(prefix) > MAX_GENERATE_NAME or not POD_NAME.fullmatch(f"a-{prefix}a"):
        yield Problem(
            f"{path}.metadata.generateName",
            f"{prefix!r} cannot be part of a pod's name; use a-z, 0-9 and '-', at most {MAX_GENERATE_NAME} characters",
        )
    containers = (config.get("spec") or {}).get("containers") or []
    if not containers:
        yield Problem(f"{path}.spec.containers", "is empty; the first container runs Ray")
        return
    where = f"{path}.spec.containers[0].resources"
    malformed = list(quantity_problems(where, containers[0].get("resources") or {}))
    yield from malformed
    for message in () if malformed else _resources(config["spec"], overrides):
        yield Problem(where, message)


def quantity_problems(path: str, resources: Json, *, of_pod: bool = False) -> Iterator[Problem]:
    """The requests and limits of a container that Kubernetes does not know, or that are no quantities, or negative."""
    for part in ("requests", "limits"):
        for name, value in (resources.get(part) or {}).items():
            if wrong := wrong_resource_name(name, of_pod=of_pod):
                yield Problem(f"{path}.{part}.{name}", wrong)
                continue
            try:
                if parse_quantity(value) < 0:
                    yield Problem(f"{path}.{part}.{name}", f"{plain(value)} is negative; use 0 or more")
            except QuantityError as error:
                yield Problem(f"{path}.{part}.{name}", str(error))


def _resources(pod_spec: Json, overrides: Json) -> Iterator[str]:
    """What is wrong with those of the first container, which Ray counts unless ``overrides`` say otherwise."""
    try:
        detected = detect_resources(node_resources(pod_spec), overrides)
    except QuantityError as error:
        yield str(error)
        return
    for name, amount in detected.items():
        if amount > MAX_RESOURCE:
            yield f"come to {amount} {name}; Ray takes at most {MAX_RESOURCE}; set rayResources.{name}"


def _ray_resource(path: str, name: str, value: object) -> Iterator[Problem]:
    """``ray start`` ends at once with any other value."""
    if not name or name.startswith(RESERVED_RESOURCES):
        yield Problem(path, f"{quoted(name)} is a name that Ray keeps for itself; choose another")
    whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    if isinstance(value, bool) or not whole or not 0 <= value <= MAX_RESOURCE:  # type: ignore[operator]
        yield Problem(path, f"{quoted(value)} is not a whole number from 0 to {MAX_RESOURCE}; {_number_for(value)}")


def _number_for(value: object) -> str:
    """The remedy for a quantity where Ray takes a number, and for nothing at all."""
    if value is None:
        return "write one, or remove the name"
    try:
        number = parse_quantity(value) if isinstance(value, str) else None
    except QuantityError:
        number = None
    return f"write {number:f}" if number is not None and number == number.to_integral() else "Ray takes no other"


def _bounds(spec: Json, types: list[Json]) -> Iterator[Problem]:
    maximum = _count(spec.get("maxWorkers"))
    maximum = DEFAULT_MAX_WORKERS if maximum is None else maximum
    yield from _at_most("spec.maxWorkers", maximum, MAX_WORKERS)
    yield from _at_most("spec.idleTimeoutMinutes", spec.get("idleTimeoutMinutes"), MAX_IDLE_MINUTES)
    for index, raw in enumerate(types):
        yield from _at_most(
            f"spec.podTypes[{index}].idleTimeoutMinutes", raw.get("idleTimeoutMinutes"), MAX_IDLE_MINUTES
        )
        low, high = _count(raw.get("minWorkers")) or 0, _count(raw.get("maxWorkers"))
        for field, bound in (("minWorkers", low), ("maxWorkers", high)):
            path = f"spec.podTypes[{index}].{field}"
            yield from _at_most(path, bound, MAX_WORKERS)
            if bound is not None and bound < 0:
                yield Problem(path, f"{bound} is negative; use 0 or more")
        if high is not None and 0 <= high < low:
            yield Problem(
                f"spec.podTypes[{index}].minWorkers",
                f"{low} is more than maxWorkers {high}; lower minWorkers or raise maxWorkers",
            )
    # Without maxWorkers of its own, the head's type has no workers.
    workers = (t for t in types if t["name"] != spec.get("headPodType") or t.get("maxWorkers"))
    needed = sum(t.get("minWorkers") or 0 for t in workers)
    if needed > maximum:
        yield Problem(
            "spec.maxWorkers",
            f"{maximum} is less than the minWorkers of the worker types, {needed} in all; raise it to {needed} or more",
        )


def _at_most(path: str, value: Any, limit: int) -> Iterator[Problem]:
    """A number that is too big for the field; None is absent."""
    if value is not None and not value <= limit:
        yield Problem(path, f"{quoted(value)} is more than {limit}; use {limit} or less")


def _count(value: Any) -> Any:
    """A number of workers. True and False are numbers to Python; here they are of a wrong type, as a string is.

    Raises:
        TypeError: it is true, false or a fraction.
    """
    if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
        raise TypeError(f"{quoted(value)} is not a whole number")
    return value


def _truth(value: Any) -> None:
    """Raises TypeError if a value is neither true, false nor absent."""
    if not (value is None or isinstance(value, bool)):
        raise TypeError(f"{quoted(value)} is neither true nor false")


def _ports(ports: Sequence[Json]) -> Iterator[Problem]:
    """The Service would be refused with any of these."""
    path = "spec.headServicePorts"
    for name in _repeated(p["name"] for p in ports):
        yield Problem(path, f"the name {quoted(name)} is used more than once; give each port its own")
    for index, port in enumerate(ports):
        if not PORT_NAME.fullmatch(port["name"]):
            message = f"{port['name']!r} cannot name a Service's port; use at most 63 of a-z, 0-9 and, inside, '-'"
            yield Problem(f"{path}[{index}].name", message)
        if not _is_port(port["port"]):
            yield Problem(f"{path}[{index}].port", f"{quoted(port['port'])} is not a number from 1 to 65535")
        target = port["targetPort"]
        if not (_is_port(target) or (isinstance(target, str) and TARGET_PORT_NAME.fullmatch(target))):
            message = f"{quoted(target)} is neither a number from 1 to 65535 nor the name of a container's port"
            yield Problem(f"{path}[{index}].targetPort", message)
    defaults = {p.port: p.name for p in DEFAULT_SERVICE_PORTS}
    for number in _repeated(p.port for p in merge_service_ports(ports)):
        remedy = f"{quoted(defaults[number])} has it by default" if number in defaults else "give each its own"
        yield Problem(path, f"two ports have the number {number}; {remedy}")


def _gcs_port(spec: ClusterSpec) -> Iterator[Problem]:
    """Workers that outlive their head reach the next one through the head Service."""
    wanted = spec.gcs_port
    if spec.recovery and (wanted, wanted) not in {(p.port, p.target_port) for p in spec.service_ports}:
        yield Problem(
            "spec.headServicePorts",
            f"the port {wanted} is not the head's port {wanted}, which headRecovery needs; give it another number",
        )


def _is_port(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 65535


def _repeated(values: Iterable[T]) -> list[T]:
    return [value for value, count in Counter(values).items() if count > 1]


def _commands(spec: Json) -> Iterator[Problem]:
    for index, command in enumerate(spec.get("headStartRayCommands") or ()):
        if "redis-password" in command:
            yield Problem(
                f"spec.headStartRayCommands[{index}]",
                "custom Redis passwords are not supported; remove the flag",
            )
