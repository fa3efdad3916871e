"""How many values an object may have.

Read, the smallest of values takes twenty times as much memory as its text, and a RayCluster may have a megabyte and a
half of text. What is held of each of them is bounded here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

# A hundred pod types of a hundred values have half as many.
MAX_VALUES = 20_000
# Text so short does not hold that many values: most objects need not be counted.
SMALL_BYTES = MAX_VALUES * 2
# What stands in place of a spec or a status with more.
TOO_MANY: Mapping[str, Any] = {"tooManyValues": True}
MESSAGE = f"has more than {MAX_VALUES} values; no cluster needs that"


def has_too_many_values(value: Any) -> bool:
    """Whether a decoded value has more parts than are held, however deeply it is nested."""
    pending, count = [value], 0
    while pending and count <= MAX_VALUES:
        found = pending.pop()
        if isinstance(found, Mapping):
            pending += found.values()
            count += len(found)
        elif isinstance(found, list):
            pending += found
            count += len(found)
    return count > MAX_VALUES


def bounded(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """The value, or what stands in its place."""
    try:
        if len(orjson.dumps(value)) <= SMALL_BYTES:
            return value
    except TypeError:
        # It is nested too deeply to be written, or has what JSON cannot say.
        pass
    return TOO_MANY if has_too_many_values(value) else value
