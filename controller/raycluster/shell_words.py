"""Words of a shell's program, and what they expand to as far as that is known without running it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(\+?)=")
# Stands in an expanded text for what only a running shell knows.
UNKNOWN = "\0"


@dataclass
class Variables:
    """What is known of a shell's variables. ``hidden``: those that are set to what only a running shell can say.

    ``open``: others may be set as well, by a ConfigMap for example. ``exported``: those that programs see.
    """

    known: dict[str, str] = field(default_factory=dict)
    hidden: set[str] = field(default_factory=set)
    open: bool = False
    exported: set[str] = field(default_factory=set)

    def set(self, name: str, value: str | None) -> None:
        """``None``: to something that is not known."""
        self.known.pop(name, None)
        self.hidden.discard(name)
        if value is None:
            self.hidden.add(name)
        else:
            self.known[name] = value

    def export(self, name: str, value: str | None) -> None:
        """Set a variable that programs see."""
        self.set(name, value)
        self.exported.add(name)

    def of_programs(self) -> Variables:
        """What a program sees that this shell starts."""
        known = {name: value for name, value in self.known.items() if name in self.exported}
        return Variables(known, self.hidden & self.exported, self.open, set(self.exported))


@dataclass(frozen=True)
class Part:
    """A piece of a word. ``unknown``: only a running shell knows it.

    ``name``: it stands for a variable; ``operator``, ``operand``: what is between its name and the closing brace, such
    as ``:-`` and a default.
    """

    text: str = ""
    quoted: bool = False
    name: str = ""
    operator: str = ""
    operand: tuple[Part, ...] = ()
    unknown: bool = False

    def value(self, variables: Variables) -> str | None:
        """What it expands to, None when that is not known; UNKNOWN in it where a piece is not."""
        if not self.name:
            return None if self.unknown else self.text
        if self.name in variables.hidden:
            return None
        found = variables.known.get(self.name)
        if found is None and (variables.open or not self.operator):
            return None
        given = bool(found) if self.operator.startswith(":") else found is not None
        if self.operator.endswith("?"):
            return found if given else None
        if given == self.operator.endswith("+"):
            return text_of(self.operand, variables)
        return found if given else ""


@dataclass(frozen=True)
class Word:
    """One word, at text[start:end]."""

    start: int
    end: int
    parts: tuple[Part, ...]

    @property
    def literal(self) -> str:
        """Its text when nothing in it is expanded; else empty."""
        return "".join(p.text for p in self.parts) if all(not p.name and not p.unknown for p in self.parts) else ""

    @property
    def bare(self) -> str:
        """Its text when it is written without quotes and variables, as a keyword of the shell has to be; else empty."""
        return self.literal if not any(p.quoted for p in self.parts) else ""


@dataclass(frozen=True)
class Field:
    """A word after expansion. UNKNOWN stands in its text for each piece that only a running shell knows."""

    text: str

    @property
    def known(self) -> bool:
        """All of it is."""
        return UNKNOWN not in self.text


def text_of(parts: Sequence[Part], variables: Variables) -> str:
    """What they expand to inside quotes, UNKNOWN for what is not known."""
    values = (part.value(variables) for part in parts)
    return "".join(UNKNOWN if value is None else value for value in values)


def expand(word: Word, variables: Variables) -> list[Field]:
    """The fields that a word becomes: several where a variable without quotes holds spaces, none where it is empty."""
    fields: list[str] = [""]
    quoted = False
    for part in word.parts:
        value = part.value(variables)
        quoted = quoted or part.quoted or (not part.name and bool(value))
        if value is not None and part.name and not part.quoted:
            first, *others = re.split(r"[ \t\n]+", value)
            fields[-1] += first
            fields += others
        else:
            fields[-1] += UNKNOWN if value is None else value
    return [Field(f) for f in fields if f or quoted]


def assignments(words: Sequence[Word]) -> Iterator[tuple[str, Word]]:
    """The variables that words at a command's beginning set, each with its value as a word."""
    for word in words:
        first = word.parts[0] if word.parts else Part()
        found = None if first.quoted or first.name else ASSIGNMENT.match(first.text)
        if not found:
            return
        old = Part(name=found.group(1), operator="-", quoted=True)
        rest = replace(first, text=first.text[found.end() :])
        parts = (*([old] if found.group(2) else []), rest, *word.parts[1:])
        yield found.group(1), Word(word.start + found.end(), word.end, parts)


def defaults(words: Sequence[Word]) -> Iterator[Part]:
    """The variables that are set where they are used: ``${NAME:=value}``."""
    yield from (part for word in words for part in word.parts if part.operator.endswith("="))
