"""Commands of which a shell makes something else than their author meant, or nothing at all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import pairwise

from .node_commands import NodeCommands
from .problem import Problem
from .shell import SimpleCommand, commands
from .shell_programs import is_shell
from .shell_scan import UnreadableError, decoded
from .start_words import OPTION

# Of a command in a message.
MAX_SHOWN = 60
UNREADABLE = "cannot be read"
_JOINING = ("&&", "||", "|", "|&")


def unreadable(node: NodeCommands) -> Iterator[Problem]:
    """One for each thing that is wrong with one of the commands."""
    for number, text in enumerate(node.texts):
        try:
            every = commands(text)
        except UnreadableError as error:
            yield Problem(node.path(number), f"{UNREADABLE}: {error}; {error.remedy}")
            continue
        if words := _unfinished(text, every[-1]):
            yield Problem(node.path(number), f"{UNREADABLE}: {words}")
        yield from (Problem(node.path(number), said) for said in dict.fromkeys(_cut_off(text, every)))


def _cut_off(text: str, every: Sequence[SimpleCommand]) -> Iterator[str]:
    """Options that have become commands, also in a program that another shell is given."""
    for before, command in pairwise(every):
        if OPTION.match(command.words[0].literal if command.words else ""):
            yield _own_program(text, before, command)
    for command in every:
        for word in command.words if is_shell(command) else ():
            inner, _ = decoded(text, word.start, word.end)
            with suppress(UnreadableError):
                # Whatever has no line's end is no program that a comment cuts.
                yield from _cut_off(inner, commands(inner)) if "\n" in inner else ()


def _unfinished(text: str, last: SimpleCommand) -> str:
    """What is missing at a program's end."""
    if last.depth:
        return "a bracket, an if, a case or a loop does not close; close it"
    empty = not (last.words or last.documents or text[last.start :].strip())
    if empty and last.before in _JOINING:
        return f"it ends with {last.before}, and no command follows; write one, or take it out"
    return ""


def _own_program(text: str, before: SimpleCommand, command: SimpleCommand) -> str:
    """Options that have become a command."""
    shown = text[command.start : command.end].split("\n", maxsplit=1)[0][:MAX_SHOWN]
    between = text[before.words[-1].end if before.words else before.end : command.start]
    if "#" in between:
        return f"a comment ends the command, and {shown!r} is run as a program; write the comment before the command"
    return f"{shown!r} is run as a program; end the line before it with \\ and nothing behind that"
