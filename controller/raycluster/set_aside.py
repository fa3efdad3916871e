"""What else is wrong with a spec of which some parts are of a wrong kind: they are set aside, the rest is judged.

In their place stands what can be said nothing about, and nothing is said of it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from .model import Json
from .problem import Problem, covered
from .shape import SHAPE_ERRORS, shape_problems

Place = tuple[str | int, ...]

# More than the places of any mistake that people make; each costs a walk.
_MOST_PLACES = 1_000
_TYPES, _PORTS, _CONFIG = "podTypes", "headServicePorts", "podConfig"


def problems_besides(spec: Json, judge: Callable[[Json], Iterable[Problem]]) -> tuple[Problem, ...]:
    """What is of a wrong kind, and what ``judge`` finds in all else; never empty."""
    wrong = shape_problems(spec)
    # As in shape_problems: only for specs that are out of shape.
    from .schema import path_text, places_out_of_shape  # noqa: PLC0415

    places = [place for place in places_out_of_shape(spec) if not _is_judged(place)]
    if not places or len(places) > _MOST_PLACES:
        return wrong
    try:
        found = tuple(judge(_set_aside(spec, places)))
    except SHAPE_ERRORS:
        return wrong
    aside = {f"spec.{path_text(place)}" for place in places}
    found = tuple(p for p in found if p.path not in aside)
    better = {p.path for p in found}
    wrong = tuple(p for p in wrong if p.path not in better)
    told = [p.path for p in wrong]
    # Which types there are is known only where each has a name.
    unsure = {"spec.headPodType"} if any(_is_name(place) for place in places) else set()
    besides = [p for p in found if p.path not in unsure and p.path not in told and not covered(p.path, told)]
    return (*wrong, *besides)


def _set_aside(spec: Json, places: Sequence[Place]) -> Json:
    """A copy in which something fine, or nothing, is at these places."""
    made: Any = copy.deepcopy(spec)
    # What holds others goes first: below what is set aside there is nothing left.
    for place in sorted(places, key=len):
        _replace(made, place)
    return made  # type: ignore[no-any-return]


def _replace(spec: Any, place: Place) -> None:
    holder = spec
    for part in place[:-1]:
        listed = isinstance(holder, list) and isinstance(part, int) and part < len(holder)
        if not listed and not (isinstance(holder, dict) and part in holder):
            return
        holder = holder[part]
    stand_in, last = _stand_in(place), place[-1]
    if isinstance(holder, list) and isinstance(last, int):
        holder[last] = "" if stand_in is None else stand_in
    elif isinstance(holder, dict) and stand_in is None:
        holder.pop(last, None)
    elif isinstance(holder, dict):
        holder[last] = stand_in


def _stand_in(place: Place) -> Any:
    """What is needed at a place for the rest to be read; None where nothing is."""
    index = next((part for part in place if isinstance(part, int)), 0)
    containers: list[dict[str, Any]] = [{}]
    config = {"spec": {"containers": containers}}
    port = {"name": _name_of(index), "port": _port_of(index), "targetPort": 1}
    stand_ins: dict[Place, Any] = {
        (_TYPES,): {"name": _name_of(index), _CONFIG: config},
        (_TYPES, "name"): _name_of(index),
        (_TYPES, _CONFIG): config,
        (_TYPES, _CONFIG, "spec"): config["spec"],
        (_TYPES, _CONFIG, "spec", "containers"): containers,
        (_PORTS,): port,
        **{(_PORTS, name): value for name, value in port.items()},
    }
    if len(place) > 2 and isinstance(place[-1], int) and place[0] == _TYPES:
        # A container, or a command.
        return {} if _CONFIG in place else ""
    if place in ((_TYPES,), (_PORTS,)):
        return None
    return stand_ins.get(tuple(part for part in place if not isinstance(part, int)))


def _is_judged(place: Place) -> bool:
    """Whether it is under a name of the user's own: of these any value is judged, and told with a remedy."""
    return len(place) > 2 and place[-2] in ("labels", "annotations", "rayResources") and "podConfig" not in place


def _is_name(place: Place) -> bool:
    return place[0] == _TYPES and (len(place) == 2 or (len(place) == 3 and place[-1] == "name"))


def _name_of(index: int) -> str:
    return f"set-aside-{index}"


def _port_of(index: int) -> int:
    """One that nobody has given, most likely."""
    return 65_000 - index
