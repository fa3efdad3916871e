"""What start commands say about Ray: which of them start it, with which options, and what follows.

The commands are the user's shell programs. They are read as the shell would, see ``shell``; what only a running shell
knows stays unknown.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from .shell import SimpleCommand, UnreadableError, commands
from .shell_words import Field, Variables, Word, assignments, expand

RAY_START = re.compile(r"\bray\s+start\b")
HEAD_IP_VARIABLE = "RAY_HEAD_IP"
# Stands for the head's address, which no podConfig knows.
HEAD_ADDRESS = "<head>"
# These print or test; what they are given is no command.
_PRINTERS = ("echo", "printf", "logger", ":", "true", "[", "[[", "test", "grep", "cat", "alias")
_SETTERS = ("export", "declare", "typeset", "local", "readonly")
_FLAGS = (
    "--head",
    "--block",
    "--no-monitor",
    "--disable-usage-stats",
    "--no-redirect-output",
    "--ray-debugger-external",
    "--enable-resource-isolation",
    "--enable-object-reconstruction",
    "--verbose",
    "-v",
    "--help",
)


@dataclass(frozen=True)
class Option:
    """An option of ``ray start``. ``start``, ``end``: its place in the command's text, its value's with it."""

    value: Field
    start: int
    end: int


@dataclass(frozen=True)
class RayStart:
    """One ``ray start``. Offsets are in the text of the command that has it, number ``command`` of the list.

    ``begin``: where the simple command starts that it is part of. ``behind``: the end of "ray start" itself.
    ``tail``: where that begins which the shell runs after it; None where nothing follows, or inside brackets.
    ``background``: it is started with & behind it. ``vague``: some of its options are not known.
    """

    command: int
    begin: int
    behind: int
    tail: int | None = None
    options: Mapping[str, Option] = field(default_factory=dict)
    background: bool = False
    vague: bool = False

    @property
    def is_head(self) -> bool:
        """It starts a head."""
        return "--head" in self.options

    def get(self, name: str) -> Field | None:
        """The value of an option; None where it is not given."""
        found = self.options.get(name)
        return found.value if found else None


def ray_starts(texts: Sequence[str], variables: Variables) -> tuple[RayStart, ...]:
    """Every ``ray start`` of these commands, in order. ``variables`` changes as the commands change them."""
    return tuple(start for number, text in enumerate(texts) for start in _in_text(text, number, variables))


def _in_text(text: str, number: int, variables: Variables) -> Iterator[RayStart]:
    try:
        yield from _read(text, number, variables)
    except UnreadableError:
        found = list(RAY_START.finditer(text))[-1:]
        yield from (RayStart(number, match.start(), match.end(), vague=True) for match in found)


def _read(text: str, number: int, variables: Variables) -> list[RayStart]:
    """One command's, all or none."""
    found = []
    every = commands(text)
    for index, command in enumerate(every):
        _assign(command, variables)
        for start in _started(text, command, number, variables):
            background = start.background or _in_background(every[index:])
            found.append(replace(start, tail=_tail(every[index:]), background=background))
    return found


def _assign(command: SimpleCommand, variables: Variables) -> None:
    """What the command does to the shell's variables."""
    words = list(command.words)
    first = words[0].literal
    own = list(assignments(words))
    if first in _SETTERS:
        own = [a for word in words[1:] for a in assignments([word])]
    elif first in ("unset", "read"):
        for word in words[1:]:
            variables.set(word.literal, None)
        return
    elif len(own) < len(words):
        # For that command alone.
        return
    sure = command.depth == 0 and command.before != "||"
    for name, word in own:
        value = expand(word, variables)
        known = sure and all(f.known for f in value)
        variables.set(name, "".join(f.text for f in value) if known else None)


def _started(text: str, command: SimpleCommand, number: int, variables: Variables) -> Iterator[RayStart]:
    words = command.words[len(list(assignments(command.words))) :]
    if not words or words[0].literal in _PRINTERS:
        return
    for index, word in enumerate(words[:-1]):
        if word.literal.rpartition("/")[2] == "ray" and words[index + 1].literal == "start":
            options, vague = _options(words[index + 2 :], variables)
            yield RayStart(number, command.start, words[index + 1].end, options=options, vague=vague)
            return
    for word in words:
        if RAY_START.search(text, word.start, word.end):
            yield from _quoted(text, command, word, number, variables)


def _quoted(text: str, command: SimpleCommand, word: Word, number: int, variables: Variables) -> Iterator[RayStart]:
    """In a program that another shell is given: bash -c 'ray start ...'."""
    quote, inner = text[word.start], text[word.start + 1 : word.end - 1]
    if quote not in "'\"" or text[word.end - 1] != quote or quote in inner or "\\" in inner:
        match = RAY_START.search(text, word.start, word.end)
        assert match
        yield RayStart(number, command.start, match.end(), vague=True)
        return
    offset = word.start + 1
    for start in _in_text(inner, number, variables):
        moved = {n: replace(o, start=o.start + offset, end=o.end + offset) for n, o in start.options.items()}
        yield replace(start, begin=command.start, behind=start.behind + offset, options=moved)


def _options(words: Sequence[Word], variables: Variables) -> tuple[dict[str, Option], bool]:
    """By name, the last of each; and whether there may be others."""
    fields = [(f, w) for w in words for f in expand(w, variables)]
    found: dict[str, Option] = {}
    vague = False
    at = 0
    while at < len(fields):
        (given, word), at = fields[at], at + 1
        name, equals, value = given.text.partition("=")
        if not given.known and not equals:
            vague = True
        if not name.startswith("-"):
            continue
        end, content = word.end, Field(value, given.known)
        if not equals and name not in _FLAGS and at < len(fields) and not fields[at][0].text.startswith("--"):
            content, end = fields[at][0], fields[at][1].end
            at += 1
        found[name] = Option(content, word.start, end)
    return found, vague


def _in_background(following: Sequence[SimpleCommand]) -> bool:
    """The pipeline that begins with the first of these commands ends with &."""
    return next((c.after for c in following if c.after not in ("|", "|&")), "") == "&"


def _tail(following: Sequence[SimpleCommand]) -> int | None:
    """Where that begins which runs when the first of these commands has succeeded."""
    if following[0].depth:
        return None
    for index, command in enumerate(following, start=1):
        if command.depth == 0 and command.after in ("&&", ";", "\n"):
            return command.end + len(command.after) if index < len(following) else None
        if command.after in ("&", "", ";;"):
            return None
    return None
