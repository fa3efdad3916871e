"""Inputs that are nearly right, and what must hold whatever is put in.

``make fuzz`` looks for new ones; without it each run tries the same. What is found becomes a case of its own beside the
code that it was found in.
"""

from __future__ import annotations

import copy
import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st

# What an exception says, which is of no use to anyone who reads a status or an Event.
EXCEPTIONS = re.compile(
    r"Traceback|NoneType|object has no attribute|object is not|unhashable|not subscriptable|not iterable|"
    r"(Key|Type|Value|Attribute|Index|Recursion|Overflow|Assertion|Unicode\w*)Error|must be (str|int|float)|"
    r"positional argument|'(str|int|dict|list|float)'"
)
# No input takes more of this thread's CPU. What there is takes a tenth of it at most.
LIMIT_SECONDS = 4.0
seeds = st.integers(0, 2**63)
# Each input is a whole pass or more: a seventh of what the profile asks for.
few = settings(max_examples=settings().max_examples // 7)


def nested(depth: int) -> Any:
    """A value of so many levels."""
    value: Any = 1
    for level in range(depth):
        value = {"a": value} if level % 2 else [value]
    return value


ODD: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    1.5,
    1e308,
    10**9,
    2**63,
    "",
    " ",
    "x" * 5_000,
    "1" * 5_000 + "x",
    "eyJ" * 3_000,
    "ray stop" + " " * 5_000 + "&&",
    "ray start --head " + "--resources='{" * 300,
    "$(" * 2_000,
    "${a:-" * 2_000,
    "'" * 2_001,
    "\u202e\x00\x1b[31m",
    "名前" * 200,
    "..",
    "-",
    "9" * 400,
    "1e999999999",
    "2020-01-01T00:00:00Z",
    "0000-00-00",
    [],
    {},
    [None],
    [[]],
    [{}],
    {"": None},
    {"name": None},
    ["x"] * 2_000,
    nested(60),
    nested(300),
)


def mutated(value: Any, random: Random, times: int) -> Any:
    """The value with so many of its parts replaced, left out, doubled, moved or made odd."""
    whole = {"": copy.deepcopy(value)}
    for _ in range(times):
        places = list(_places(whole))
        holder, key = random.choice(places)
        found = holder[key]
        kind = random.randrange(6)
        if kind == 0 and holder is not whole:
            del holder[key]
        elif kind == 1 and isinstance(found, str) and found:
            at = random.randrange(len(found))
            holder[key] = found[:at] + found[at:] * random.choice((1, 2, 50)) + random.choice("{}'\"$\\;&|é ")
        elif kind == 2 and isinstance(found, list):
            found += copy.deepcopy(found) * random.choice((1, 3))
        elif kind == 3:
            other, name = random.choice(places)
            holder[key] = copy.deepcopy(other[name])
        elif kind == 4 and isinstance(found, dict):
            found["unheardOf"] = copy.deepcopy(random.choice(ODD))
        else:
            holder[key] = copy.deepcopy(random.choice(ODD))
    return whole.get("")


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    pending = [value]
    while pending:
        found = pending.pop()
        keys = list(found) if isinstance(found, dict) else range(len(found)) if isinstance(found, list) else ()
        for key in keys:
            yield found, key
            pending.append(found[key])


def as_sent(value: Any) -> Any:
    """The value after it has gone over the wire as JSON."""
    return json.loads(json.dumps(value))


@contextmanager
def bounded(kind: str) -> Iterator[None]:
    """What happens in here takes a bounded part of the CPU, and raises nothing."""
    began = time.thread_time()
    yield
    spent = time.thread_time() - began
    assert spent < LIMIT_SECONDS, f"{kind}: {spent:.1f} s of CPU for one input"


def assert_no_exception_in(texts: Any) -> None:
    """Nothing that a user reads is the text of an exception."""
    found = EXCEPTIONS.search(json.dumps(texts, ensure_ascii=False, default=str))
    assert found is None, found
