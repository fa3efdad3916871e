"""Values of ``ray start``'s options about resources that Ray does not take."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from .node_commands import NodeCommands
from .problem import Problem
from .quantities import QuantityError, parse_quantity
from .shell_words import Field
from .start_options import RESOURCE_OPTIONS, whole

# Of a value in a message.
MAX_VALUE = 80
_EXAMPLE = """--resources='{"name": 1}'"""
_BYTES = ("--memory", "--object-store-memory")


def refused_values(node: NodeCommands) -> Iterator[Problem]:
    """One for each option, with what to write."""
    start = node.lasting
    if start is None:
        return
    for option in (*RESOURCE_OPTIONS, "--resources"):
        given = start.get(option)
        if given is None or not given.known:
            continue
        said = _of_mapping(given.text, node.pod_type.ray_resources) if option == "--resources" else _of(option, given)
        if said:
            shown = f"{option}={given.text}"[:MAX_VALUE]
            yield Problem(node.path(start.command), f"{shown!r}: {said}")


def _of(option: str, given: Field) -> str:
    """What to say of a number; empty where Ray takes it."""
    number = whole(given)
    if number is not None and number >= 0:
        return ""
    takes = f"Ray takes a whole number{' of bytes' if option in _BYTES else ''}"
    try:
        meant = parse_quantity(given.text)
    except QuantityError:
        return f"{takes}; write {option}=1 for example"
    if meant < 0 or meant != int(meant):
        return f"{takes}, not less than 0; write {option}=1 for example, or leave it out"
    return f"{takes}; write {option}={int(meant)}"


def _of_mapping(text: str, decided: Any) -> str:
    """What to say of --resources; empty where Ray takes it. ``decided``: what wins over it, by name."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return f"Ray takes JSON, and the shell takes away quotes that stand alone; write {_EXAMPLE}"
    if not isinstance(found, dict):
        return f"Ray takes names and numbers as JSON; write {_EXAMPLE}"
    for name, amount in found.items():
        option = next((o for o, n in RESOURCE_OPTIONS.items() if n == name), "")
        if option:
            return f"{name} in it has no effect; write {option}"
        if name not in decided and not (isinstance(amount, (int, float)) and amount >= 0 and amount % 1 == 0):
            shown = f"{name}: {json.dumps(amount)}"[:MAX_VALUE]
            return f"Ray takes whole numbers, not less than 0, and {shown} is none; write {_EXAMPLE}"
    return ""
