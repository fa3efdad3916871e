"""What a user's start commands tell Ray, as far as it stands there literally."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

# What ends a command of a shell, and what sends its input or output elsewhere.
_PUNCTUATION = ";&|()<>\n"
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")


def start_flags(commands: Sequence[str]) -> dict[str, str] | None:
    """The flags of the last ``ray start``: ``--labels=a=b`` and ``--labels a=b`` are both ``{"labels": "a=b"}``.

    A flag without a value is empty. Variables of the shell stay as they are written, see ``expanded``. None when no
    ``ray start`` can be seen: a program of the user's own starts Ray.
    """
    found = [words for command in commands for words in _ray_starts(command)]
    return dict(_flags(found[-1])) if found else None


def expanded(text: str, variables: Mapping[str, str]) -> str | None:
    """The text as the shell makes it of these variables; None where something else is to be replaced."""
    known = _VARIABLE.sub(lambda m: variables.get(m[1] or m[2], "\0"), text)
    return None if "\0" in known or "`" in known or "$" in known else known


def _ray_starts(command: str) -> Iterator[list[str]]:
    """What follows ``ray start`` in each command that has it, whatever goes before: exec, numactl, a path."""
    for words in _commands(command):
        for index, (first, second) in enumerate(pairwise(words)):
            if second == "start" and (first == "ray" or first.endswith("/ray")):
                yield words[index + 2 :]
                break


def _commands(command: str) -> Iterator[list[str]]:
    """The simple commands of a command line, word by word."""
    lexer = shlex.shlex(command, posix=True, punctuation_chars=_PUNCTUATION)
    lexer.whitespace = " \t\r"
    lexer.whitespace_split = True
    lexer.commenters = ""
    words: list[str] = []
    try:
        for word in (*lexer, ";"):
            if set(word) <= set(_PUNCTUATION):
                yield words
                words = []
            else:
                words.append(word)
    except ValueError:
        # Quotes that are never closed: the shell will say so.
        return


def _flags(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    name = ""
    for word in words:
        if word.startswith("--"):
            if name:
                yield name, ""
            name, given, value = word[2:].partition("=")
            if given:
                yield name, value
                name = ""
        elif name:
            yield name, word
            name = ""
    if name:
        yield name, ""
