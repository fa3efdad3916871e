"""Words of a shell's program, and what they expand to as far as that is known without running it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(\+?)=")
# Stands in an expanded text for what only a running shell knows.
UNKNOWN = "\0"
# Characters that the variables of one container stand for, all together, wherever they are used: with each command a
# variable may have twice as many.
MAX_EXPANDED = 65_536
# How many programs may be inside of each other, each given to another shell.
MAX_SHELLS = 16


class State(NamedTuple):
    """What is known of a shell's variables at one time; see Variables."""

    known: frozenset[tuple[str, str]]
    hidden: frozenset[str]
    open: bool
    exported: frozenset[str]
    doubted: bool
    sure: frozenset[str]


@dataclass
class Room:
    """How much the variables may still stand for, in a shell and in those that it starts."""

    left: int = MAX_EXPANDED

    def has(self, characters: int) -> bool:
        """Whether there is room for so many more; then it is taken."""
        fits = characters <= self.left
        self.left -= characters if fits else 0
        return fits


@dataclass
class Variables:
    """What is known of a shell's variables. ``hidden``: those that are set to what only a running shell can say.

    ``open``: others may be set as well, by a ConfigMap for example. ``exported``: those that programs see. ``doubted``:
    a command may have set any of them, but not those that are ``sure``. ``functions``: what the shell's functions do.
    ``shells``: how many others the shell is inside of.
    """

    known: dict[str, str] = field(default_factory=dict)
    hidden: set[str] = field(default_factory=set)
    open: bool = False
    exported: set[str] = field(default_factory=set)
    doubted: bool = False
    sure: set[str] = field(default_factory=set)
    functions: dict[str, Any] = field(default_factory=dict)
    room: Room = field(default_factory=Room, compare=False)
    shells: int = field(default=0, compare=False)

    def hides(self, name: str) -> bool:
        """The variable may be set to something that is not known."""
        return name in self.hidden or (self.doubted and name not in self.sure)

    def leaves_unset(self, name: str) -> bool:
        """Nothing that is to be seen sets the variable, or may."""
        return not (name in self.known or self.open or self.hides(name))

    def doubt(self, *kept: str) -> None:
        """Any variable may have got another value, except those that are ``kept``."""
        self.doubted, self.sure = True, set(kept)

    def set(self, name: str, value: str | None) -> None:
        """``None``: to something that is not known."""
        self.known.pop(name, None)
        self.hidden.discard(name)
        self.sure.add(name)
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
        hidden, sure = self.hidden & self.exported, self.sure & self.exported
        return self._within(Variables(known, hidden, self.open, set(self.exported), self.doubted, sure))

    def copy(self) -> Variables:
        """The same, for a shell that is split off; without functions."""
        given = dict(self.known), set(self.hidden), self.open, set(self.exported), self.doubted, set(self.sure)
        return self._within(Variables(*given))

    def _within(self, inner: Variables) -> Variables:
        inner.room, inner.shells = self.room, self.shells + 1
        return inner

    @property
    def state(self) -> State:
        """What is known now, of all but functions."""
        known, hidden, exported = frozenset(self.known.items()), frozenset(self.hidden), frozenset(self.exported)
        return State(known, hidden, self.open, exported, self.doubted, frozenset(self.sure))

    def become(self, state: State) -> None:
        """Know what was known then."""
        self.known, self.hidden, self.open = dict(state.known), set(state.hidden), state.open
        self.exported, self.doubted, self.sure = set(state.exported), state.doubted, set(state.sure)

    @classmethod
    def of(cls, state: State) -> Variables:
        """What was known then."""
        made = cls()
        made.become(state)
        return made


@dataclass(frozen=True)
class Part:
    """A piece of a word. ``unknown``: only a running shell knows it; ``text`` is what it is written as, then.

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
        """What it expands to, None when that is not known or too much; UNKNOWN in it where a piece is not."""
        if not self.name:
            return None if self.unknown else self.text
        expanded = self._expanded(variables)
        return expanded if expanded is None or variables.room.has(len(expanded)) else None

    def _expanded(self, variables: Variables) -> str | None:
        if variables.hides(self.name):
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
    """A word after expansion. UNKNOWN stands in its text for each piece that only a running shell knows.

    ``unset``: variables in it that nothing sets which is to be seen.
    """

    text: str
    unset: tuple[str, ...] = ()

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
    unset = tuple(p.name for p in word.parts if p.name and not p.operator and variables.leaves_unset(p.name))
    return [Field(f, unset) for f in fields if f or quoted]


def assignments(words: Sequence[Word], *, quoted: bool = False) -> Iterator[tuple[str, Word]]:
    """The variables that words at a command's beginning set, each with its value as a word. ``quoted``: they may be in
    quotes as a whole, as export takes them.
    """
    for word in words:
        first = word.parts[0] if word.parts else Part()
        plain = not (first.name or first.unknown or (first.quoted and not quoted))
        found = ASSIGNMENT.match(first.text) if plain else None
        if not found:
            return
        old = Part(name=found.group(1), operator="-", quoted=True)
        rest = replace(first, text=first.text[found.end() :])
        parts = (*([old] if found.group(2) else []), rest, *word.parts[1:])
        yield found.group(1), Word(word.start + found.end(), word.end, parts)


def defaults(words: Sequence[Word]) -> Iterator[Part]:
    """The variables that are set where they are used: ``${NAME:=value}``."""
    yield from (part for word in words for part in word.parts if part.operator.endswith("="))
