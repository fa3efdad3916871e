"""The programs of a shell that its commands write out: where they stand, and whether a shell runs them at once."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Sequence
from contextlib import suppress
from typing import NamedTuple

from .shell import SimpleCommand, commands
from .shell_scan import UnreadableError, decoded
from .shell_words import Word, assignments

_SHELL = re.compile(r"(?:.*/)?(?:ba|da|z|k|a)?sh")
_RUNNERS = re.compile(r"(?:.*/)?(?:(?:ba|da|z|k|a)?sh|source|\.|exec|nohup|sudo|env|setsid|timeout|time|eval|python3?)")
# These print or test; what they are given is no command.
_PRINTERS = ("echo", "printf", "logger", ":", "true", "[", "[[", "test", "grep", "cat", "alias")
_PIPES = ("|", "|&")
# Of a pipe, what is looked at.
_LONGEST = 16
_NAMES = re.compile(r"[^\s;|&<>(){}\"'`$]+")


class Program(NamedTuple):
    """``places``: of its characters in the text. ``quoted``: the shell that writes it replaces nothing in it.

    ``elsewhere``: it goes to a file or to another program than a shell. ``printed``: by echo or printf; then ``files``
    are those that it may be in.
    """

    text: str
    places: Sequence[int]
    quoted: bool
    elsewhere: bool = False
    printed: bool = False
    files: tuple[str, ...] = ()


def prints(command: SimpleCommand) -> bool:
    """What a command is given it does not run."""
    words = _own(command)
    return bool(words) and words[0].literal in _PRINTERS


def programs(text: str, every: Sequence[SimpleCommand], index: int) -> Iterator[Program]:
    """Those that one of the commands is given, by <<, by <<< or to print."""
    command = every[index]
    runs, pipe = is_shell(command), list(_pipe(every, index))
    piped = any(map(is_shell, pipe))
    kept = command.writes or bool(pipe)
    for document in command.documents if runs or kept or not prints(command) else ():
        places = range(document.start, document.end + 1)
        yield Program(text[document.start : document.end], places, document.quoted, not (runs or piped))
    for word in command.strings if runs or kept else ():
        yield _of_word(text, word, not (runs or piped))
    words = _own(command)
    if kept and words and words[0].literal in ("echo", "printf"):
        targets = (command.target, *(c.target for c in pipe), *(w.literal for c in pipe for w in c.words[1:]))
        for word in words[1:]:
            found = _of_word(text, word, not piped)
            # Of the same length, so that places stay true.
            lines = found.text.replace("\\n", " \n")
            yield found._replace(text=lines, printed=not piped, files=tuple(filter(None, targets)))


def _of_word(text: str, word: Word, elsewhere: bool) -> Program:
    inner, places = decoded(text, word.start, word.end)
    return Program(inner, places, not any(part.name for part in word.parts), elsewhere)


def _own(command: SimpleCommand) -> Sequence[Word]:
    """Its words without the assignments before them."""
    return command.words[len(list(assignments(command.words))) :]


def is_shell(command: SimpleCommand) -> bool:
    """It runs another shell."""
    return any(_SHELL.fullmatch(word.literal) for word in _own(command))


def _pipe(every: Sequence[SimpleCommand], index: int) -> Iterator[SimpleCommand]:
    """The commands to which that one's output goes."""
    for at in range(index, min(index + _LONGEST, len(every) - 1)):
        if every[at].after not in _PIPES:
            return
        yield every[at + 1]


def files_run(texts: Sequence[str]) -> set[str]:
    """The names of the files that these texts may run, and other words beside those."""
    names: set[str] = set()
    for text in texts:
        with suppress(UnreadableError):
            for command in commands(text):
                words = _own(command)
                called = words if words and _RUNNERS.fullmatch(words[0].literal) else words[:1]
                names.update(word.literal.rpartition("/")[2] for word in called)
    return names


def named(text: str, command: SimpleCommand, functions: Container[str]) -> list[str]:
    """The functions that a command calls, or has in a program that it is given."""
    if not functions or prints(command):
        return []
    words = " ".join(decoded(text, word.start, word.end)[0] for word in command.words)
    return [name for name in dict.fromkeys(_NAMES.findall(words)) if name in functions]
