"""Reads the fields of a KubeRay object, and knows which were not read.

The reader of a field says what becomes of it. A field that nothing reads is one that this version does not know.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from controller.raycluster.problem import Problem

from .written import Comment

_SHORT = 160
# How alike two names have to be: rayClusterSpec and rayClusterConfig are, headGroupSpec and workerGroupSpecs are not.
_NEAR = 0.7
# The largest that KubeRay's fields of numbers hold.
LARGEST = 2**31 - 1
MAX_PORT = 65535


class UnusableError(ValueError):
    """The object has a shape of which nothing can be made. ``problem`` says where and why."""

    def __init__(self, path: str, message: str) -> None:
        self.problem = Problem(path, message)
        super().__init__(str(self.problem))


@dataclass
class Fields:
    """A mapping of the object: ``path`` is where it is; problems are collected in the list that all parts share.

    null stands for an absent field, as it does to the API server.
    """

    path: str
    values: Mapping[str, Any]
    problems: list[Problem]
    taken: set[str] = field(default_factory=set)

    def __contains__(self, name: str) -> bool:
        return self.values.get(name) is not None

    def where(self, name: str) -> str:
        """The path of a field."""
        return f"{self.path}.{name}" if self.path else name

    def problem(self, name: str, message: str) -> None:
        """Say what is wrong with a field."""
        self.problems.append(Problem(self.where(name), message))

    def missing(self, name: str, remedy: str) -> UnusableError:
        """What to say of a field that is not there; where there is one of nearly its name, it is meant."""
        lower = {given.lower(): given for given in self.values}
        near = difflib.get_close_matches(name.lower(), lower, n=1, cutoff=_NEAR)
        if near:
            return UnusableError(self.where(lower[near[0]]), f"is no field; did you mean {name}?")
        return UnusableError(self.where(name), f"is missing; {remedy}")

    def raw(self, name: str) -> Any:
        """The value of a field, without nulls inside; None where it is absent."""
        self.taken.add(name)
        return without_nulls(self.values.get(name))

    def text(self, name: str) -> str:
        """A string; empty where it is absent. A number is taken for its text."""
        value = self.raw(name)
        if isinstance(value, Mapping | list):
            self.problem(name, f"{short(value)} is not a string; write one")
            return ""
        return "" if value is None else scalar(value)

    def number(self, name: str, least: int = 0, most: int = LARGEST) -> int | None:
        """A whole number from ``least`` to ``most``, or None."""
        value = self.raw(name)
        if value is None:
            return None
        if isinstance(value, str) and re.fullmatch("[0-9]{1,10}", value.strip()):
            value = int(value)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            self.problem(name, f"{short(value)} is not a whole number of {least} or more; write one, 3 for example")
            return None
        if value > most:
            self.problem(name, f"{short(value)} is more than {most}; write a smaller number")
            return None
        return value

    def truth(self, name: str) -> bool | None:
        """true or false, or None."""
        value = self.raw(name)
        if value in ("true", "false"):
            return bool(value == "true")
        if value is not None and not isinstance(value, bool):
            self.problem(name, f"{short(value)} is neither true nor false; write one of them")
            return None
        return value

    def choice(self, name: str, allowed: tuple[str, ...]) -> str:
        """One of the allowed strings; empty where it is absent."""
        value = self.text(name)
        if value and value not in allowed:
            self.problem(name, f"{short(value)} is none of {', '.join(allowed)}; use one of them")
            return ""
        return value

    def strings(self, name: str) -> dict[str, str]:
        """A mapping of strings; numbers and truths are taken for their text."""
        value = self.raw(name)
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            self.problem(name, f"{short(value)} is not a mapping; write key: value")
            return {}
        for key in [key for key, inner in value.items() if isinstance(inner, Mapping | list)]:
            self.problem(f"{name}.{key}", f"{short(value[key])} is not a string; write one")
        return {str(key): scalar(inner) for key, inner in value.items()}

    def mapping(self, name: str) -> Fields:
        """A mapping below this one; empty where it is absent."""
        value = self.raw(name)
        if value is not None and not isinstance(value, Mapping):
            self.problem(name, f"{short(value)} is not a mapping; write key: value")
            value = None
        return Fields(self.where(name), value or {}, self.problems)

    def each(self, name: str) -> Iterator[Fields]:
        """The mappings of a list."""
        value = self.raw(name)
        if value is not None and not isinstance(value, list):
            self.problem(name, f"{short(value)} is not a list; begin each entry with '-'")
            value = None
        for index, item in enumerate(value or []):
            if isinstance(item, Mapping):
                yield Fields(f"{self.where(name)}[{index}]", item, self.problems)
            else:
                self.problem(f"{name}[{index}]", f"{short(item)} is not a mapping; write key: value")

    def note(self, name: str, text: str) -> Comment:
        """A comment about a field: its path, its value, and what becomes of it."""
        value = self.raw(name)
        shown = "" if value is None else f" ({short(value)})"
        return Comment(f"{self.where(name)}{shown}: {text}")

    def notes(self, table: Mapping[str, str]) -> list[Comment]:
        """A comment about each field of the table that is there."""
        present = [(name, text) for name, text in table.items() if name in self]
        said: set[str] = set()
        comments = []
        for name, text in present:
            # What was said of the field before it is not said in full again.
            comments.append(self.note(name, f"{text.split(';')[0].rstrip('.')}, as above." if text in said else text))
            said.add(text)
        return comments

    def unknown(self) -> list[Comment]:
        """A comment about each field that nothing has read."""
        rest = [name for name in self.values if name not in self.taken and name in self]
        return [self.note(name, "not carried over; this version does not know the field.") for name in rest]


def without_nulls(value: Any) -> Any:
    """The value without fields that are null, which the API server treats as absent."""
    if isinstance(value, Mapping):
        return {str(k): without_nulls(v) for k, v in value.items() if v is not None}
    if isinstance(value, list):
        # An entry that is null is none that the API server takes; the others keep their numbers.
        return [without_nulls(v) for v in value]
    return value


def scalar(value: Any) -> str:
    """A value as KubeRay's clients would have written it in a string."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else json.dumps(value)


def short(value: Any) -> str:
    """A value for a message, cut where it is long."""
    try:
        text = (
            value if isinstance(value, str) and value and "\n" not in value else json.dumps(value, ensure_ascii=False)
        )
    except (ValueError, RecursionError):
        # A number of thousands of digits, or lists in each other.
        return "a value that is too large to show"
    return text if len(text) <= _SHORT else text[: _SHORT - 3] + "..."
