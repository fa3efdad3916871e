"""What the commands of a shell's program do to its variables, as far as that is known without running them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from .shell import SimpleCommand
from .shell_words import ASSIGNMENT, UNKNOWN, Variables, Word, assignments, defaults, expand

_SETTERS = ("export", "declare", "typeset", "local", "readonly")
_EXPORTING = re.compile(r"-[a-z]*x[a-z]*")
# Each sets the variables whose names it is given to what only a running shell knows.
_READERS = ("unset", "read", "mapfile", "readarray", "getopts", "printf", "let")


def change(command: SimpleCommand, variables: Variables) -> None:
    """What the command does to the shell's variables."""
    for part in defaults(command.words):
        variables.set(part.name, part.value(variables))
    words = list(command.words)
    first = words[0].literal if words else ""
    own = list(assignments(words))
    exporting = first == "export"
    if first in _SETTERS:
        exporting = exporting or any(_EXPORTING.fullmatch(word.literal) for word in words[1:])
        own = [a for word in words[1:] for a in assignments([word])]
        variables.exported.update(word.literal for word in words[1:] if exporting and word.literal)
    elif first in _READERS or command.loop:
        _forget(words, variables)
        return
    elif len(own) < len(words):
        # For that command alone.
        return
    sure = command.depth == 0 and command.before not in ("||", "|") and command.after != "|"
    for name, word in own:
        text = _text(word, variables)
        variables.set(name, text if sure and UNKNOWN not in text else None)
        variables.exported.update({name} if exporting else ())


def at_start(own: Sequence[tuple[str, Word]], variables: Variables) -> Variables:
    """What a program sees that is started with assignments before it."""
    seen = variables.of_programs()
    for name, word in own:
        text = _text(word, variables)
        seen.export(name, text if UNKNOWN not in text else None)
    return seen


def _text(word: Word, variables: Variables) -> str:
    return " ".join(field.text for field in expand(word, variables))


def _forget(words: Sequence[Word], variables: Variables) -> None:
    for word in words:
        name = ASSIGNMENT.match(word.literal)
        variables.set(name.group(1) if name else word.literal, None)
