"""Kubernetes quantities, and what a container's resources mean to Ray.

Quantity grammar: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
"""

from __future__ import annotations

import re
from decimal import ROUND_CEILING, Decimal
from typing import Any

from .model import Json

# Ray keeps 30 % of a node's memory for its object store by default; tasks may ask for the rest.
TASK_MEMORY_SHARE = Decimal("0.7")

_SUFFIXES: dict[str, Decimal] = {
    "": Decimal(1),
    **{s: Decimal(1000) ** n for n, s in enumerate(("k", "M", "G", "T", "P", "E"), start=1)},
    **{s: Decimal(1024) ** n for n, s in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), start=1)},
    **{s: Decimal(1000) ** -n for n, s in enumerate(("m", "u", "n"), start=1)},
}
_QUANTITY = re.compile(r"([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))(?:([eE][+-]?[0-9]+)|([KMGTPE]i|[kMGTPE]|[mun]))?")
# The API server's own limit. It keeps "1e999999999" from becoming a number with as many digits.
_LARGEST = 2**63 - 1


class QuantityError(ValueError):
    """A text that is no Kubernetes quantity, or resources that cannot be told to Ray."""


def parse_quantity(value: Any) -> Decimal:
    """The number a quantity stands for: ``500m`` is 0.5, ``1Gi`` is 1073741824.

    Raises:
        QuantityError: the value is not a quantity.
    """
    found = _QUANTITY.fullmatch(str(value).strip())
    if not found:
        raise QuantityError(f"{value!r} is not a quantity; write for example 500m, 2, 512Mi or 1.5Gi")
    number, exponent, suffix = found.groups()
    try:
        parsed = Decimal(number + (exponent or "")) * _SUFFIXES[suffix or ""]
    except ArithmeticError as error:
        raise QuantityError(f"{value!r} is out of range") from error
    if abs(parsed) > _LARGEST:
        raise QuantityError(f"{value!r} is out of range; a quantity is at most 2^63-1")
    return parsed


def detect_resources(resources: Json) -> dict[str, int]:
    """What Ray is told about a node, from its first container's ``resources``.

    CPU and GPU are the smaller of request and limit, rounded up; ``memory`` is 70 % of the smaller of
    request and limit, in bytes, and absent when the container names no memory.

    Raises:
        QuantityError: a quantity is malformed, or two kinds of GPU are asked for.
    """
    detected = {
        "CPU": _ceil(_smallest(resources, _matching(resources, "cpu"))),
        "GPU": _ceil(_smallest(resources, _matching(resources, "gpu"))),
    }
    memory = _smallest(resources, {"memory"} & _names(resources))
    if memory > 0:
        detected["memory"] = int(memory * TASK_MEMORY_SHARE)
    return detected


def _names(resources: Json) -> set[str]:
    return {*(resources.get("requests") or {}), *(resources.get("limits") or {})}


def _matching(resources: Json, word: str) -> set[str]:
    names = {name for name in _names(resources) if word in name.lower()}
    if len(names) > 1:
        raise QuantityError(f"asks for {' and '.join(sorted(names))}; a Ray node can have one kind of {word.upper()}")
    return names


def _smallest(resources: Json, names: set[str]) -> Decimal:
    found = [
        parse_quantity(part[name])
        for part in (resources.get("requests") or {}, resources.get("limits") or {})
        for name in names
        if name in part
    ]
    return min(found, default=Decimal(0))


def _ceil(value: Decimal) -> int:
    return int(value.to_integral_value(rounding=ROUND_CEILING))
