"""How deeply an object may be nested."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

# Deeper than any pod template; Python's own recursion limit is not reached by code that walks such an object.
MAX_DEPTH = 100
# What stands in place of a part that is nested too deeply to be read.
TOO_DEEP = "[nested too deeply]"


def too_deep(value: Any, path: str) -> str:
    """The path of the first part of a decoded value that is nested too deeply; empty when there is none."""
    pending = [(value, path, 0)]
    while pending:
        found, where, depth = pending.pop()
        if found == TOO_DEEP or depth > MAX_DEPTH:
            return where
        pending += [(part, f"{where}{step}", depth + 1) for step, part in _parts(found)]
    return ""


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        yield from ((f".{name}", part) for name, part in value.items())
    elif isinstance(value, list):
        yield from ((f"[{index}]", part) for index, part in enumerate(value))
