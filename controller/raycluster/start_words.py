"""The words of a command that starts Ray: where "ray start" is among them, and its options."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from .shell_words import UNKNOWN, Field, Variables, Word, expand

_RAY = re.compile(r"(?:.*/)?ray|ray\.scripts\.scripts|(?:.*/)?ray/scripts/scripts\.py")
_LOGGING = ("--logging-level", "--logging-format")
# The name of no program.
OPTION = re.compile(r"--?[A-Za-z]")
_LONG = re.compile(r"--[a-z][-a-z]+")
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


def ray_start_in(words: Sequence[Word], variables: Variables) -> int:
    """The number of the word behind "ray start", whatever goes before it: exec, sudo, a path. 0: there is none."""
    for index, word in enumerate(words):
        at = index + 1
        while at < len(words) and words[at].literal.startswith(_LOGGING):
            at += 1 if "=" in words[at].literal else 2
        if at < len(words) and words[at].literal == "start" and _is_ray(word, words[at + 1 :], variables):
            return at + 1
    return 0


def _is_ray(word: Word, options: Sequence[Word], variables: Variables) -> bool:
    fields = expand(word, variables)
    if len(fields) != 1:
        return False
    # A program that only a running shell knows is Ray by what it is told.
    told = not fields[0].known and any(o.literal.startswith(("--head", "--address")) for o in options)
    return told or bool(_RAY.fullmatch(fields[0].text))


def options_of(words: Sequence[Word], variables: Variables) -> tuple[dict[str, Option], bool]:
    """By name, the last of each; and whether there may be others."""
    fields = [(f, w) for w in words for f in expand(w, variables)]
    found: dict[str, Option] = {}
    vague = False
    at = 0
    while at < len(fields):
        (given, word), at = fields[at], at + 1
        name, equals, value = given.text.partition("=")
        if not Field(name).known:
            vague = True
            found |= {n: Option(Field(UNKNOWN), word.start, word.end) for n in _conditional(word)}
        if not name.startswith("-"):
            continue
        end, content = word.end, Field(value, given.unset)
        if not equals and name not in _FLAGS and at < len(fields) and not fields[at][0].text.startswith("--"):
            content, end = fields[at][0], fields[at][1].end
            at += 1
        found[name] = Option(content, word.start, end)
    return found, vague


def _conditional(word: Word) -> set[str]:
    """The options with a value that a word may become: ${NAME:+--port=$NAME}."""
    text = " ".join(piece.text for part in word.parts for piece in part.operand)
    return set(_LONG.findall(text)).difference(_FLAGS)
