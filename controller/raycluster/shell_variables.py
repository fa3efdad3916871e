"""What the commands of a shell's program do to its variables, as far as that is known without running them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from .shell import SimpleCommand, commands
from .shell_lists import Lists
from .shell_scan import UnreadableError
from .shell_words import ASSIGNMENT, UNKNOWN, Variables, Word, assignments, defaults, expand

# With the brackets that an address of IPv6 needs before a port, and without.
HEAD_VARIABLES = ("RAY_HEAD_IP", "RAY_HEAD_HOST")
_SETTERS = ("export", "declare", "typeset", "local", "readonly")
_EXPORTING = re.compile(r"-(?=[a-z]*x)[a-z]+")
# Each sets the variables whose names it is given to what only a running shell knows.
_READERS = ("unset", "read", "mapfile", "readarray", "getopts", "printf", "let")
# Files that set up a shell, which has read some of them before: they set none of the user's own variables.
_SHELL_FILES = re.compile(
    r"(?:.*/)?(?:activate|(?:conda|mamba|micromamba|nvm)\.sh|\.?profile|\.bash_profile|(?:\.|bash\.)bashrc)"
)
# And programs that print such set-up.
_SHELL_HOOKS = re.compile(r"\$\(\s*(?:\S*/)?(?:conda|mamba|micromamba|pyenv|ssh-agent|brew)\b")
# Of a text that eval is given, in programs inside of programs.
_DEEP = 8


def change(command: SimpleCommand, lists: Lists, depth: int = 0) -> None:
    """What the command does to the shell's variables. ``lists``: where the shell was before it."""
    words, variables = list(command.words), lists.variables
    first = words[0].literal if words else ""
    exporting = first == "export" or (first in _SETTERS and any(_EXPORTING.fullmatch(w.literal) for w in words[1:]))
    own = _assigned(words, first)
    lists.enter(command, [name for name, _ in own])
    if lists.runs is False:
        return
    for part in defaults(words):
        lists.set(command, part.name, part.value(variables))
    if exporting:
        variables.exported.update(word.literal for word in words[1:] if word.literal)
    if first in _READERS or command.loop:
        _forget(words, variables)
    elif first in (".", "source", "eval", *_SETTERS):
        _include(words, lists, depth)
    for name, word in own:
        text = _text(word, variables)
        lists.set(command, name, None if UNKNOWN in text else text)
        variables.exported.update({name} if exporting else ())


def _assigned(words: Sequence[Word], first: str) -> list[tuple[str, Word]]:
    """The variables that a command sets by name, and does not set for itself alone."""
    if first in _SETTERS:
        return [found for word in words[1:] for found in assignments([word], quoted=True)]
    own = list(assignments(words))
    return own if len(own) == len(words) else []


def _include(words: Sequence[Word], lists: Lists, depth: int) -> None:
    """Commands that are written elsewhere may set any variable."""
    first, given = words[0].literal, words[1:]
    if first in _SETTERS:
        unread = any(not word.literal and not list(assignments([word], quoted=True)) for word in given if word.parts)
    elif first == "eval":
        unread = not _evaluated(given, lists, depth)
    else:
        file = "".join(part.text for part in given[0].parts) if given else ""
        unread = not _SHELL_FILES.fullmatch(file)
    if unread:
        lists.variables.doubt(*HEAD_VARIABLES)


def _evaluated(given: Sequence[Word], lists: Lists, depth: int) -> bool:
    """Whether all that eval is given is known; then it is done."""
    if given and all(_is_hook("".join(part.text for part in word.parts)) for word in given):
        return True
    variables = lists.variables
    text = " ".join(field.text for word in given for field in expand(word, variables))
    if UNKNOWN in text or depth > _DEEP:
        return False
    seen = variables if lists.runs else variables.copy()
    inner = Lists(seen)
    try:
        for command in commands(text):
            change(command, inner, depth + 1)
    except UnreadableError:
        return False
    for name in seen.known.keys() | seen.hidden:
        if seen.hides(name) or seen.known.get(name) != variables.known.get(name):
            # It may not have been run at all.
            variables.set(name, None)
    return not (seen.doubted and not variables.doubted)


def _is_hook(text: str) -> bool:
    return bool(_SHELL_HOOKS.match(text)) and text.endswith(")")


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
