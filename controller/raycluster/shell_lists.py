"""Which commands of a list run that && and || join, as far as that is known without running it."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from .shell import SimpleCommand
from .shell_words import UNKNOWN, Variables, Word, assignments, text_of

# Nobody goes on without what these do: their success is taken for granted.
_ACTIONS = re.compile(
    r":|\.|true|echo|printf|source|eval|exec|export|local|declare|typeset|readonly|set|shopt|ulimit|umask|cd|pushd|popd|date"
    r"|sleep|touch|mkdir|ln|cp|mv|rm|chmod|chown|sudo|sysctl|apt|apt-get|pip3?|conda|mamba|micromamba|activate|ray"
)
_TESTS = ("[", "[[", "test")
_ENDS = ("exit", "return")
_PIPES = ("|", "|&")
_STARTS = ("", ";", ";;", "\n", "&")


@dataclass
class Lists:
    """Where a shell is in the lists of commands outside of brackets and compound commands.

    ``status``: the list's so far, None when it is not known. ``empty``: the variable that was looked at, and the status
    that the list has if it is empty. ``runs``: whether the last command does, None when that is not known. ``earlier``:
    what was known of the variables that the list may have set.
    """

    variables: Variables
    status: bool | None = True
    empty: tuple[str, bool] = ("", False)
    runs: bool | None = True
    earlier: dict[str, str | None] = field(default_factory=dict)
    _here: tuple[int, int] = (0, 0)

    def enter(self, command: SimpleCommand, sets: Collection[str]) -> None:
        """The command is the next one. ``sets``: which variables."""
        self._move(command)
        if command.depth or command.before == ")":
            self.status, self.empty, self.runs = None, ("", False), None
            return
        if command.before in _STARTS:
            self.runs = True
        elif command.before not in _PIPES and self.status is None:
            # Another value of the variable stays as it is.
            wanted = command.before == "&&"
            self.runs = True if set(sets) == {self.empty[0]} and wanted is self.empty[1] else None
        elif command.before not in _PIPES:
            self.runs = self.status is (command.before == "&&")
        if self.runs is not False or command.before in _PIPES:
            self._after(command)
        if command.before in _PIPES or command.after in (*_PIPES, "&"):
            # In a shell of its own.
            self.runs = False

    def set(self, command: SimpleCommand, name: str, value: str | None) -> None:
        """The command that was entered sets a variable if it runs."""
        earlier = None if self.variables.hides(name) else self.variables.known.get(name)
        if self.runs is None and (value is None or value != earlier):
            if command.depth or command.before != "&&":
                value = None
            else:
                # What follows in the list runs only if this has.
                self.earlier.setdefault(name, earlier)
        self.variables.set(name, value)

    def _move(self, command: SimpleCommand) -> None:
        """To the list and the alternative of the command."""
        here = command.place[0].list, command.place[0].alternative
        if here != self._here:
            ends = bool(command.words) and command.words[0].literal in _ENDS
            if not (ends and command.before == "||"):
                self._settle()
            self.earlier.clear()
        self._here = here

    def _settle(self) -> None:
        """The list may have ended before it set them."""
        for name, value in self.earlier.items():
            if value is None or self.variables.known.get(name) != value:
                self.variables.set(name, None)

    def _after(self, command: SimpleCommand) -> None:
        """A command that may have run makes the list's status."""
        surely = command.before not in _PIPES and command.after not in (*_PIPES, "&")
        first = command.before in _STARTS
        self.status = _outcome(command, self.variables) if surely and (first or self.status is not None) else None
        self.empty = _looked_at(command, self.variables) if surely and first else ("", False)


def _outcome(command: SimpleCommand, variables: Variables) -> bool | None:
    """Whether a command succeeds."""
    words = command.words[len(list(assignments(command.words))) :]
    if not words:
        # Without words of its own it ends a compound command.
        known = bool(command.words) and not any(part.unknown for word in command.words for part in word.parts)
        return True if known else None
    if words[0].literal in _TESTS:
        outcome = _tested(words, variables)
    else:
        outcome = True if _ACTIONS.fullmatch(words[0].literal) else False if words[0].literal == "false" else None
    return outcome if outcome is None else outcome is not command.negated


def _arguments(words: Sequence[Word]) -> tuple[list[Word], bool]:
    """Those of a test; and whether it is meant the other way round."""
    given = [word for word in words[1:] if word.literal not in ("]", "]]")]
    turned = bool(given) and given[0].literal == "!"
    return (given[1:] if turned else given), turned


def _tested(words: Sequence[Word], variables: Variables) -> bool | None:
    given, turned = _arguments(words)
    values = [text_of(word.parts, variables) for word in given]
    names = {part.name for word in given for part in word.parts if part.name}
    if any(UNKNOWN in value for value in values) or any(map(variables.leaves_unset, names)):
        return None
    if len(values) == 1:
        return bool(values[0]) is not turned
    if len(values) == 2 and values[0] in ("-z", "-n"):
        return (bool(values[1]) is (values[0] == "-n")) is not turned
    if len(values) == 3 and values[1] in ("=", "==", "!=") and not set(values[2]) & set("*?["):
        return ((values[0] == values[2]) is (values[1] != "!=")) is not turned
    return None


def _looked_at(command: SimpleCommand, variables: Variables) -> tuple[str, bool]:
    """The variable of which a test asks whether it is empty, and what the test says if it is: nothing sets it."""
    if not command.words or command.words[0].literal not in _TESTS:
        return "", False
    given, turned = _arguments(command.words)
    asked = given[0].literal if len(given) == 2 else "-n"
    names = [part.name for part in given[-1].parts if part.name] if given else []
    text = "".join(part.text for part in given[-1].parts) if given else ""
    if len(given) > 2 or asked not in ("-z", "-n") or len(names) != 1 or text or not variables.leaves_unset(names[0]):
        return "", False
    return names[0], (asked == "-z") is not (turned is not command.negated)
