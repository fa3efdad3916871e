"""Names and amounts of resources as a Ray head lists them, and to which nodes they belong."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from itertools import islice

from autoscaler.model import IMPLICIT, QUANTUM

MAX_AMOUNT = 1e18
# Resource names of one shape, labels of one node, constraints of one selector, values of one constraint.
MAX_ENTRIES = 256
MAX_TEXT = 512

_PLACE = "node:"
# What a placement group reserved, for example CPU_group_0_<36 hex digits>: room that exists nowhere else.
_RESERVED = re.compile(r"_group_(\d+_)?[0-9a-f]{36}$")


def room(resources: Mapping[str, float], places: Collection[str] = ()) -> dict[str, int]:
    """Amounts that anything may use: without what placement groups reserved, and of resources that only this node has
    with those ``places`` alone.
    """
    names = (name for name in resources if kept_text(name) and (name in places or not is_place(name)))
    amounts = ((name, amount_of(resources[name])) for name in names if not is_reserved(name))
    # Of an implicit resource a node has one where nothing is said: that none is left has to be kept.
    kept = ((name, amount) for name, amount in amounts if amount or (amount == 0 and name.startswith(IMPLICIT)))
    return dict(islice(kept, MAX_ENTRIES))


def is_place(resource: str) -> bool:
    """Whether only particular nodes have the resource, so that no new node can bring it."""
    return resource.startswith(_PLACE) and not resource.startswith(IMPLICIT)


def is_reserved(resource: str) -> bool:
    """Whether it is what a placement group holds."""
    return "_group_" in resource and bool(_RESERVED.search(resource))


def amount_of(value: float) -> int | None:
    """In units of 1/10000; None if it is no amount."""
    return round(value * QUANTUM) if 0 <= value <= MAX_AMOUNT else None


def kept_text(value: str) -> str | None:
    """The text, unless it is too long."""
    return value if len(value) <= MAX_TEXT else None
