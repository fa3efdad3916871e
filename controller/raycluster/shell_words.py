"""Words of a shell's program, and what they expand to as far as that is known without running it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=")


@dataclass
class Variables:
    """What is known of a shell's variables. ``hidden``: those that are set to what only a running shell can say.

    ``open``: others may be set as well, by a ConfigMap for example.
    """

    known: dict[str, str] = field(default_factory=dict)
    hidden: set[str] = field(default_factory=set)
    open: bool = False

    def set(self, name: str, value: str | None) -> None:
        """``None``: to something that is not known."""
        self.known.pop(name, None)
        self.hidden.discard(name)
        if value is None:
            self.hidden.add(name)
        else:
            self.known[name] = value


@dataclass(frozen=True)
class Part:
    """A piece of a word. ``name``: it stands for a variable, with ``default`` where that is unset, or empty too
    (``if_empty``). ``unknown``: only a running shell knows it.
    """

    text: str = ""
    quoted: bool = False
    name: str = ""
    default: str | None = None
    if_empty: bool = False
    unknown: bool = False

    def value(self, variables: Variables) -> str | None:
        """What it expands to, None when that is not known."""
        if not self.name:
            return None if self.unknown else self.text
        if self.name in variables.hidden:
            return None
        found = variables.known.get(self.name)
        if self.default is None:
            return found
        if found is None and variables.open:
            return None
        return self.default if found is None or (not found and self.if_empty) else found


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
    """A word after expansion. ``known``: ``text`` is all of it; else it is what comes before the unknown."""

    text: str
    known: bool = True


def expand(word: Word, variables: Variables) -> list[Field]:
    """The fields that a word becomes: several where a variable without quotes holds spaces, none where it is empty."""
    fields: list[str] = [""]
    quoted = False
    for part in word.parts:
        value = part.value(variables)
        if value is None:
            return [*(Field(f) for f in fields[:-1]), Field(fields[-1], known=False)]
        quoted = quoted or part.quoted or (not part.name and bool(value))
        if part.name and not part.quoted:
            first, *others = re.split(r"[ \t\n]+", value)
            fields[-1] += first
            fields += others
        else:
            fields[-1] += value
    return [Field(f) for f in fields if f or quoted]


def assignments(words: Sequence[Word]) -> Iterator[tuple[str, Word]]:
    """The variables that words at a command's beginning set, each with its value as a word."""
    for word in words:
        first = word.parts[0] if word.parts else Part()
        found = None if first.quoted or first.name else ASSIGNMENT.match(first.text)
        if not found:
            return
        rest = Part(first.text[found.end() :])
        yield found.group(1), Word(word.start + found.end(), word.end, (rest, *word.parts[1:]))
