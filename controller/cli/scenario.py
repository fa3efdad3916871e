"""Demand files: what waits in Ray, from when and for how long, for ``ray-operator simulate``."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import starmap
from typing import Any

from jsonschema import Draft202012Validator

from autoscaler.model import Demand, Gang, Shape, Strategy
from controller.raycluster.model import Json
from controller.raycluster.problem import Problem
from controller.raycluster.schema import problems_by

from .demand_rules import refused, unknown_types
from .selectors import PATTERN, selector_of, selectors_of

DEFAULT_POD_SECONDS = 10.0

# Mappings from names of the user's own, and lists of such mappings.
_FREE, _FREE_LISTS = ("resources", "labelSelector"), ("bundles", "bundleLabelSelector")
_SECONDS = {"type": "number", "minimum": 0, "maximum": 31_536_000}
_COUNT = {"type": "integer", "minimum": 1, "maximum": 100_000}
_RESOURCES = {"type": "object", "additionalProperties": {"type": "number", "minimum": 0, "maximum": 1e14}}
_SELECTOR = {"type": "string", "pattern": PATTERN, "title": "selector; write VALUE, !VALUE, in(A, B) or !in(A, B)"}
_LABELS = {"type": "object", "additionalProperties": _SELECTOR}


def _mapping(required: tuple[str, ...] = (), **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


def _list(items: Mapping[str, Any], least: int = 0) -> dict[str, Any]:
    return {"type": "array", "items": items, "minItems": least}


SCHEMA = _mapping(
    ("steps",),
    podSeconds=_SECONDS,
    steps=_list(
        _mapping(
            ("at",),
            at=_SECONDS,
            tasks=_list(
                _mapping(
                    ("resources",),
                    resources=_RESOURCES,
                    count=_COUNT,
                    seconds=_SECONDS,
                    labelSelector=_LABELS,
                    fallbackStrategy=_list(_mapping(("labelSelector",), labelSelector=_LABELS)),
                )
            ),
            placementGroups=_list(
                _mapping(
                    ("strategy", "bundles"),
                    strategy={"enum": [s.value for s in Strategy]},
                    bundles={**_list(_RESOURCES, least=1), "maxItems": 1_000},
                    bundleLabelSelector=_list(_LABELS),
                    count={**_COUNT, "maximum": 1_000},
                    seconds=_SECONDS,
                )
            ),
            requestResources=_list(_mapping(("resources",), resources=_RESOURCES, count=_COUNT, labelSelector=_LABELS)),
            blockedTypes=_list({"type": "string"}),
            gatedTypes=_list({"type": "string"}),
        ),
        least=1,
    ),
)


@dataclass(frozen=True)
class Work:
    """Equal tasks, or actors. ``seconds``: how long each runs once it has begun; None: it does not end."""

    demand: Demand
    seconds: float | None


@dataclass(frozen=True)
class GangWork:
    """A placement group. ``seconds``: for how long it is kept once it is placed; None: it stays."""

    gang: Gang
    seconds: float | None


@dataclass(frozen=True)
class Step:
    """What a program asks for at a moment. ``requested``: request_resources(); None leaves it as it is.

    ``blocked``: types that cannot be launched from then on; None leaves them as they are. ``gated``: types whose new
    pods wait for a scheduling gate from then on; None leaves them as they are.
    """

    at: float
    tasks: tuple[Work, ...] = ()
    gangs: tuple[GangWork, ...] = ()
    requested: tuple[Demand, ...] | None = None
    blocked: tuple[str, ...] | None = None
    gated: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Scenario:
    """Steps in the order of time. ``pod_seconds``: from a pod's creation until its Ray node has joined."""

    steps: tuple[Step, ...]
    pod_seconds: float = DEFAULT_POD_SECONDS


def scenario_problems(document: object, types: Collection[str] | None = None) -> tuple[Problem, ...]:
    """Everything wrong with a demand file's content; empty when ``scenario_of`` can read it.

    ``types``: the names of the pod types; None where they are not known.
    """
    found = problems_by(Draft202012Validator(SCHEMA), document)
    return found or (*refused(document), *(unknown_types(document, types) if types is not None else ()))


def without_absent(value: Any) -> Any:
    """A copy without the fields that are null. Names of resources and of labels are no fields."""
    if isinstance(value, dict):
        return {
            name: dict(inner)
            if name in _FREE and isinstance(inner, dict)
            else _free(name, without_absent(inner), inner)
            for name, inner in value.items()
            if inner is not None
        }
    return [without_absent(item) for item in value] if isinstance(value, list) else value


def _free(name: str, read: Any, given: Any) -> Any:
    """Lists of such mappings stay as they are."""
    return list(given) if name in _FREE_LISTS and isinstance(given, list) else read


def scenario_of(document: Json) -> Scenario:
    """Call only with what ``scenario_problems`` found nothing wrong with."""
    steps = sorted(starmap(_step, enumerate(document["steps"])), key=lambda step: step.at)
    return Scenario(tuple(steps), float(document.get("podSeconds", DEFAULT_POD_SECONDS)))


def _step(number: int, raw: Json) -> Step:
    wanted, blocked, gated = raw.get("requestResources"), raw.get("blockedTypes"), raw.get("gatedTypes")
    return Step(
        at=float(raw["at"]),
        tasks=tuple(Work(_demand(task), task.get("seconds")) for task in raw.get("tasks", ())),
        gangs=tuple(_gangs(number, raw.get("placementGroups", ()))),
        requested=None if wanted is None else tuple(map(_demand, wanted)),
        blocked=None if blocked is None else tuple(blocked),
        gated=None if gated is None else tuple(gated),
    )


def _demand(raw: Json) -> Demand:
    fallbacks = (fallback["labelSelector"] for fallback in raw.get("fallbackStrategy", ()))
    selectors = selectors_of(raw.get("labelSelector"), fallbacks)
    return Demand(Shape.of(raw["resources"], selectors), raw.get("count", 1))


def _gangs(step: int, raw: Sequence[Json]) -> Iterator[GangWork]:
    """Each with a name of its own, as Ray's have."""
    for index, group in enumerate(raw):
        labels = group.get("bundleLabelSelector") or [{}] * len(group["bundles"])
        shapes = (Shape.of(bundle, [selector_of(labels[n])]) for n, bundle in enumerate(group["bundles"]))
        bundles = tuple(Demand(shape, 1) for shape in shapes)
        for copy in range(group.get("count", 1)):
            name = f"{step}/{index}/{copy}"
            yield GangWork(Gang(bundles, Strategy(group["strategy"]), name), group.get("seconds"))
