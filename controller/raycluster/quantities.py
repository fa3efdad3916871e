"""Kubernetes quantities: how they are read."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from .spelling import quoted

_SUFFIXES: dict[str, Decimal] = {
    "": Decimal(1),
    **{s: Decimal(1000) ** n for n, s in enumerate(("k", "M", "G", "T", "P", "E"), start=1)},
    **{s: Decimal(1024) ** n for n, s in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), start=1)},
    **{s: Decimal(1000) ** -n for n, s in enumerate(("m", "u", "n"), start=1)},
}
_QUANTITY = re.compile(r"([+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+))(?:([eE][+-]?[0-9]+)|([KMGTPE]i|[kMGTPE]|[mun]))?")

# The longest that makes sense has 20 digits on either side of the point. Longer ones are refused before they are looked
# at: a pattern that tries every way to split a run of digits takes time in proportion to the square of its length.
MAX_LENGTH = 64
# What is more counts as this much, as it does in Kubernetes.
_LARGEST = Decimal(2**63 - 1)


class QuantityError(ValueError):
    """A text that is no Kubernetes quantity, or resources that Ray cannot count."""


def parse_quantity(value: Any) -> Decimal:
    """The number a quantity stands for: ``500m`` is 0.5, ``1Gi`` is 1073741824.

    As in the API server spaces around it are nothing, and null is 0.

    Raises:
        QuantityError: the value is not a quantity.
    """
    text = "0" if value is None else str(value).strip(" ")
    if len(text) > MAX_LENGTH:
        raise QuantityError(f"'{text[:20]}…' is {len(text)} characters long; a quantity has at most {MAX_LENGTH}")
    found = _QUANTITY.fullmatch(text)
    if not found:
        raise QuantityError(f"{quoted(value)} is not a quantity; write for example 500m, 2, 512Mi or 1.5Gi")
    number, exponent, suffix = found.groups()
    try:
        parsed = Decimal(number + (exponent or "")) * _SUFFIXES[suffix or ""]
    except ArithmeticError as error:
        # A million digits are more than the API server gets done with in a minute.
        raise QuantityError(f"{quoted(value)} is out of range; a quantity is at most 2^63-1") from error
    return max(-_LARGEST, min(parsed, _LARGEST))
