"""Demand files: what waits in Ray, from when and for how long, for ``ray-operator simulate``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from jsonschema import Draft202012Validator

from autoscaler.model import Demand, Gang, Shape, Strategy
from controller.raycluster.model import Json
from controller.raycluster.problem import Problem
from controller.raycluster.schema import problems_by

from .selectors import PATTERN, selector_of, selectors_of

DEFAULT_POD_SECONDS = 10.0

_SECONDS = {"type": "number", "minimum": 0, "maximum": 31_536_000}
_COUNT = {"type": "integer", "minimum": 1, "maximum": 100_000}
_RESOURCES = {"type": "object", "additionalProperties": {"type": "number", "minimum": 0, "maximum": 1e14}}
_LABELS = {"type": "object", "additionalProperties": {"type": "string", "pattern": PATTERN}}


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

    ``blocked``: types that cannot be launched from then on; None leaves them as they are.
    """

    at: float
    tasks: tuple[Work, ...] = ()
    gangs: tuple[GangWork, ...] = ()
    requested: tuple[Demand, ...] | None = None
    blocked: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Scenario:
    """Steps in the order of time. ``pod_seconds``: from a pod's creation until its Ray node has joined."""

    steps: tuple[Step, ...]
    pod_seconds: float = DEFAULT_POD_SECONDS


def scenario_problems(document: object) -> tuple[Problem, ...]:
    """Everything wrong with a demand file's content; empty when ``scenario_of`` can read it."""
    return problems_by(Draft202012Validator(SCHEMA), document)


def scenario_of(document: Json) -> Scenario:
    """Call only with what ``scenario_problems`` found nothing wrong with."""
    steps = sorted(map(_step, document["steps"]), key=lambda step: step.at)
    return Scenario(tuple(steps), float(document.get("podSeconds", DEFAULT_POD_SECONDS)))


def _step(raw: Json) -> Step:
    wanted, blocked = raw.get("requestResources"), raw.get("blockedTypes")
    return Step(
        at=float(raw["at"]),
        tasks=tuple(Work(_demand(task), task.get("seconds")) for task in raw.get("tasks", ())),
        gangs=tuple(_gangs(raw.get("placementGroups", ()))),
        requested=None if wanted is None else tuple(map(_demand, wanted)),
        blocked=None if blocked is None else tuple(blocked),
    )


def _demand(raw: Json) -> Demand:
    fallbacks = (fallback["labelSelector"] for fallback in raw.get("fallbackStrategy", ()))
    selectors = selectors_of(raw.get("labelSelector"), fallbacks)
    return Demand(Shape.of(raw["resources"], selectors), raw.get("count", 1))


def _gangs(raw: list[Json]) -> Iterator[GangWork]:
    for group in raw:
        labels = (*group.get("bundleLabelSelector", ()), *[{}] * len(group["bundles"]))
        shapes = (Shape.of(bundle, [selector_of(labels[n])]) for n, bundle in enumerate(group["bundles"]))
        bundles = tuple(Demand(shape, 1) for shape in shapes)
        for _ in range(group.get("count", 1)):
            yield GangWork(Gang(bundles, Strategy(group["strategy"])), group.get("seconds"))
