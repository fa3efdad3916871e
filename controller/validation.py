"""What can be wrong with a RayCluster that its CRD schema let through, each with a remedy."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from .model import DEFAULT_MAX_WORKERS, Json, parse_spec
from .resources import QuantityError, detect_resources

LABEL_VALUE = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
HEAD_COMPONENT_SUFFIX = "-ray-head"
MAX_LABEL = 63


@dataclass(frozen=True)
class Problem:
    """One thing wrong: where, what, and what to do about it."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


def problems(name: str, spec: Json) -> tuple[Problem, ...]:
    """Everything wrong with the spec of the RayCluster called ``name``; empty when it can be run.

    Never raises: a spec of any shape is either fine or described.
    """
    try:
        found = tuple(_problems(name, spec))
        if not found:
            parse_spec(spec)
        return found
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        return (Problem("spec", f"does not have the shape of a RayCluster ({error!r}); compare with the examples"),)


def _problems(name: str, spec: Json) -> Iterator[Problem]:
    if len(name) + len(HEAD_COMPONENT_SUFFIX) > MAX_LABEL:
        limit = MAX_LABEL - len(HEAD_COMPONENT_SUFFIX)
        yield Problem("metadata.name", f"{name!r} has {len(name)} characters; at most {limit} fit the head's label")
    types = spec.get("podTypes") or []
    if not types:
        yield Problem("spec.podTypes", "is empty; at least the head's pod type is needed")
        return
    names = [t["name"] for t in types]
    yield from _names(names, spec.get("headPodType"))
    for index, pod_type in enumerate(types):
        yield from _pod_type(f"spec.podTypes[{index}]", pod_type)
    yield from _bounds(spec, types)
    yield from _commands(spec)


def _names(names: list[str], head: object) -> Iterator[Problem]:
    if head not in names:
        yield Problem("spec.headPodType", f"{head!r} is not the name of a pod type; use one of {', '.join(names)}")
    for duplicate in (n for n, count in Counter(names).items() if count > 1):
        yield Problem("spec.podTypes", f"the name {duplicate!r} is used more than once; give each type its own")
    for index, type_name in enumerate(names):
        if not LABEL_VALUE.fullmatch(type_name):
            yield Problem(
                f"spec.podTypes[{index}].name",
                f"{type_name!r} cannot be a label value; use at most 63 letters, digits, '-', '_' or '.'",
            )


def _pod_type(path: str, raw: Json) -> Iterator[Problem]:
    containers = (raw["podConfig"].get("spec") or {}).get("containers") or []
    if not containers:
        yield Problem(f"{path}.podConfig.spec.containers", "is empty; the first container runs Ray")
        return
    try:
        detect_resources(containers[0].get("resources") or {})
    except QuantityError as error:
        yield Problem(f"{path}.podConfig.spec.containers[0].resources", str(error))
    for resource, value in (raw.get("rayResources") or {}).items():
        if isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0:
            yield Problem(f"{path}.rayResources.{resource}", f"{value!r} is not a number of at least 0")


def _bounds(spec: Json, types: list[Json]) -> Iterator[Problem]:
    maximum = spec.get("maxWorkers", DEFAULT_MAX_WORKERS)
    for index, raw in enumerate(types):
        low, high = raw.get("minWorkers", 0), raw.get("maxWorkers")
        if low < 0:
            yield Problem(f"spec.podTypes[{index}].minWorkers", f"{low} is negative; use 0 or more")
        if high is not None and low > high:
            yield Problem(
                f"spec.podTypes[{index}].minWorkers",
                f"{low} is more than maxWorkers {high}; lower minWorkers or raise maxWorkers",
            )
    needed = sum(t.get("minWorkers", 0) for t in types if t["name"] != spec.get("headPodType"))
    if needed > maximum:
        yield Problem(
            "spec.maxWorkers",
            f"{maximum} is less than the {needed} workers that the pod types' minWorkers add up to; "
            f"raise it to {needed} or more",
        )


def _commands(spec: Json) -> Iterator[Problem]:
    for index, command in enumerate(spec.get("headStartRayCommands") or ()):
        if "redis-password" in command:
            yield Problem(
                f"spec.headStartRayCommands[{index}]",
                "custom Redis passwords are not supported; remove the flag",
            )
