"""Reads JSON from the API server, however deeply one object in it is nested.

A parser gives up on the whole answer when a single object in a list is nested beyond its limit (1,024 levels for
orjson), and anybody who may create an object can nest it so. What is nested too deeply is replaced by a marker then,
and all else is read.
"""

from __future__ import annotations

import re
from typing import Any

import orjson

from controller.raycluster.depth import MAX_DEPTH, TOO_DEEP

# Strings, in which brackets mean nothing, and brackets. Each alternative takes time in proportion to its length.
_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{}]', re.DOTALL)


def decode(data: bytes) -> Any:
    """The value, with a marker in place of what is nested deeper than the parser can read.

    Raises:
        orjson.JSONDecodeError: this is not JSON.
    """
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return orjson.loads(_pruned(data))


def _pruned(data: bytes) -> bytes:
    kept: list[bytes] = []
    marker = orjson.dumps(TOO_DEEP)
    depth = start = 0
    for token in _TOKEN.finditer(data):
        bracket = data[token.start()]
        if bracket in b"[{":
            depth += 1
            if depth == MAX_DEPTH + 1:
                kept += [data[start : token.start()], marker]
        elif bracket in b"]}":
            if depth == MAX_DEPTH + 1:
                start = token.end()
            depth -= 1
    return b"".join([*kept, data[start:]])
