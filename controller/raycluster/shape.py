"""Values of a shape that no code expects, where no API server has checked them against the CRD."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from .model import Key
from .problem import Problem

_PLAIN: Mapping[Any, tuple[type, ...]] = {
    str: (str,),
    int: (int,),
    float: (float, int),
    bool: (bool,),
    type(None): (type(None),),
}

# What code raises that meets a value of a shape it did not expect.
SHAPE_ERRORS = (AttributeError, IndexError, KeyError, TypeError, ValueError)


def shape_problems(spec: object) -> tuple[Problem, ...]:
    """Which parts of a RayCluster's spec are of a wrong kind, a string where a list is needed say; never empty."""
    # With the schemas of Kubernetes come 30 MB, of which an operator of RayClusters in shape has no need.
    from .schema import wrong_kinds  # noqa: PLC0415

    return wrong_kinds(spec) or (Problem("spec", "is not the spec of a RayCluster; compare it with the examples"),)


def mistyped(obj: Any) -> str:
    """The first field of a dataclass that has another type than it should; empty where there is none."""
    cls: Any = type(obj)
    for name, kinds in _fields(cls):
        value = getattr(obj, name)
        texts = value if isinstance(value, Key) else ()
        if not isinstance(value, kinds) or not all(isinstance(part, str) for part in texts):
            return name
    return ""


@cache
def _fields(cls: Any) -> tuple[tuple[str, tuple[type, ...]], ...]:
    return tuple((name, kinds) for name, hint in get_type_hints(cls).items() if (kinds := _kinds(hint)))


def _kinds(hint: Any) -> tuple[type, ...]:
    """The types that a field may have; empty for those that are not looked at."""
    if hint is Key:
        return (Key,)
    if isinstance(hint, UnionType):
        inner = [_kinds(part) for part in get_args(hint)]
        return sum(inner, ()) if all(inner) else ()
    return (Mapping,) if get_origin(hint) is Mapping else _PLAIN.get(hint, ())
