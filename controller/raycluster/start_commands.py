"""What start commands say about Ray: which of them start it, with which options, and what follows.

The commands are the user's shell programs. They are read as the shell would, see ``shell``; what only a running shell
knows stays unknown.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from .shell import Place, SimpleCommand, commands, exclusive
from .shell_scan import UnreadableError, decoded
from .shell_variables import at_start, change
from .shell_words import Field, Variables, Word, assignments, expand

_PROGRAM = r"\bray(?:\.scripts\.scripts|/scripts/scripts\.py)?"
RAY_START = re.compile(rf"{_PROGRAM}(?:(?:\s|\\\n)+--logging-(?:level|format)(?:=|\s)\s*\S+)*(?:\s|\\\n)+start\b")
_RAY = re.compile(r"(?:.*/)?ray|ray\.scripts\.scripts|(?:.*/)?ray/scripts/scripts\.py")
_LOGGING = ("--logging-level", "--logging-format")
# With the brackets that an address of IPv6 needs before a port, and without.
HEAD_VARIABLES = ("RAY_HEAD_IP", "RAY_HEAD_HOST")
# Ray's own autoscaler on the head would read it.
AUTOSCALING_CONFIG = "--autoscaling-config"
# Stands for the head's address, which no podConfig knows.
HEAD_ADDRESS = "<head>"
# These print or test; what they are given is no command.
_PRINTERS = ("echo", "printf", "logger", ":", "true", "[", "[[", "test", "grep", "cat", "alias")
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

    ``begin``: where the command starts that it is part of, or of which it is an alternative. ``behind``: the end of
    "ray start" itself.
    ``tail``: where that begins which the shell runs after it; None where nothing follows.
    ``followed``: commands follow it inside of the brackets or the program that it is in, and no loop starts it again.
    ``background``: it is started with & behind it. ``vague``: some of its options are not known. ``elsewhere``: it is
    part of a function, or of a file that the command writes. ``variables``: those that it is started with.
    ``place``: see ``SimpleCommand``.
    """

    command: int
    begin: int
    behind: int
    tail: int | None = None
    options: Mapping[str, Option] = field(default_factory=dict)
    followed: bool = False
    background: bool = False
    vague: bool = False
    elsewhere: bool = False
    variables: Variables = field(default_factory=Variables)
    place: tuple[Place, ...] = ()

    @property
    def is_head(self) -> bool:
        """It starts a head."""
        return "--head" in self.options

    @property
    def blocks(self) -> bool:
        """It stays in the foreground by itself."""
        return "--block" in self.options

    @property
    def leaves(self) -> bool:
        """It is to leave Ray behind: what follows it where it is runs when it has ended."""
        return self.followed and not self.blocks

    def get(self, name: str) -> Field | None:
        """The value of an option; None where it is not given."""
        found = self.options.get(name)
        return found.value if found else None

    def excludes(self, other: RayStart) -> bool:
        """At most one of the two starts Ray: they are branches or alternatives of one command."""
        return self.command == other.command and exclusive(self.place, other.place)


def ray_starts(texts: Sequence[str], variables: Variables) -> tuple[RayStart, ...]:
    """Every ``ray start`` of these commands, in order. ``variables`` changes as the commands change them."""
    return tuple(start for number, text in enumerate(texts) for start in _in_text(text, number, variables))


def lasting(starts: Sequence[RayStart], *, head: bool) -> RayStart | None:
    """The one that a node ends up with: the last, or where that has alternatives, the last that starts a node so."""
    found = [start for start in starts if start is starts[-1] or start.excludes(starts[-1])]
    return next((start for start in reversed(found) if start.is_head == head), found[-1] if found else None)


def options_of_programs(texts: Sequence[str], name: str, variables: Variables) -> Iterator[Field]:
    """The values of an option of any program that these commands run. ``variables`` changes."""
    for text in texts:
        with suppress(UnreadableError):
            for command in commands(text):
                change(command, variables)
                options, _ = _options(command.words, variables)
                if name in options:
                    yield options[name].value


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
        change(command, variables)
        for start in _started(text, command, number, variables):
            background = start.background or _in_background(every[index:])
            followed = start.followed or _followed(every[index:])
            place = (*command.place, *start.place)
            elsewhere = start.elsewhere or command.function
            tail = None if elsewhere else _tail(every[index:])
            begin = _begin(every[: index + 1])
            ways = replace(start, background=background, followed=followed, elsewhere=elsewhere)
            found.append(replace(ways, begin=begin, tail=tail, place=place))
    return found


def _begin(until: Sequence[SimpleCommand]) -> int:
    """Where the last of these commands starts, or the list that it is an alternative in."""
    level, last = until[-1].depth, until[-1].place[-1]
    listed = (c.start for c in until if c.depth >= level and c.place[level].list == last.list and c.words)
    return next(listed) if last.alternative else until[-1].start


def _started(text: str, command: SimpleCommand, number: int, variables: Variables) -> Iterator[RayStart]:
    words = command.words[len(list(assignments(command.words))) :]
    prints = bool(words) and words[0].literal in _PRINTERS
    if not prints:
        yield from _plain(text, command, number, variables)
    for document in command.documents if command.writes or not prints else ():
        seen = variables.of_programs() if document.quoted else variables
        places = range(document.start, document.end + 1)
        for start in _nested(text[document.start : document.end], places, command, number, seen):
            yield replace(start, elsewhere=command.writes)


def _plain(text: str, command: SimpleCommand, number: int, variables: Variables) -> Iterator[RayStart]:
    """In the words of a command."""
    own = list(assignments(command.words))
    words = command.words[len(own) :]
    at = _ray_start_in(words, variables)
    if at:
        options, vague = _options(words[at:], variables)
        seen = at_start(own, variables)
        yield RayStart(number, command.start, words[at - 1].end, options=options, vague=vague, variables=seen)
        return
    for word in words:
        inner, places = decoded(text, word.start, word.end)
        if RAY_START.search(inner):
            seen = variables if any(part.name for part in word.parts) else variables.of_programs()
            yield from _nested(inner, places, command, number, seen)


def _ray_start_in(words: Sequence[Word], variables: Variables) -> int:
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


def _nested(
    inner: str, places: Sequence[int], command: SimpleCommand, number: int, variables: Variables
) -> Iterator[RayStart]:
    """In a program that another shell is given: bash -c 'ray start ...'. ``places``: of its characters in the text."""
    found = list(_in_text(inner, number, variables))
    if not found:
        found = [RayStart(number, 0, m.end(), vague=True) for m in list(RAY_START.finditer(inner))[-1:]]
    for start in found:
        options = {n: replace(o, start=places[o.start], end=places[o.end]) for n, o in start.options.items()}
        followed = start.followed or start.tail is not None
        yield replace(start, begin=command.start, behind=places[start.behind], options=options, followed=followed)


def _options(words: Sequence[Word], variables: Variables) -> tuple[dict[str, Option], bool]:
    """By name, the last of each; and whether there may be others."""
    fields = [(f, w) for w in words for f in expand(w, variables)]
    found: dict[str, Option] = {}
    vague = False
    at = 0
    while at < len(fields):
        (given, word), at = fields[at], at + 1
        name, equals, value = given.text.partition("=")
        vague = vague or not Field(name).known
        if not name.startswith("-"):
            continue
        end, content = word.end, Field(value)
        if not equals and name not in _FLAGS and at < len(fields) and not fields[at][0].text.startswith("--"):
            content, end = fields[at][0], fields[at][1].end
            at += 1
        found[name] = Option(content, word.start, end)
    return found, vague


def _in_background(following: Sequence[SimpleCommand]) -> bool:
    """The pipeline that begins with the first of these commands ends with &, or a compound command around it does."""
    depth, ended = following[0].depth, False
    for command in following:
        if command.depth < depth:
            depth, ended = command.depth, False
        if command.depth > depth or ended or command.after in ("|", "|&"):
            continue
        if command.after == "&":
            return True
        ended = True
    return False


def _tail(following: Sequence[SimpleCommand]) -> int | None:
    """Where that begins which runs when the first of these commands has succeeded, or the compound command has that it
    is in.
    """
    for index, command in enumerate(following):
        if command.depth:
            continue
        if command.after in ("&&", ";", "\n"):
            return command.resume if any(c.words for c in following[index + 1 :]) else None
        if command.after in ("&", "", ";;"):
            return None
    return None


def _followed(following: Sequence[SimpleCommand]) -> bool:
    """Inside of the compound command that it is in, more runs when the first of these commands has succeeded. A loop is
    taken as one that starts Ray again.
    """
    first, joined = following[0], False
    if first.repeated or not first.depth:
        return False
    for command in following:
        if command.depth < first.depth or command.place[first.depth].branch != first.place[-1].branch:
            return False
        if joined and command.words:
            return True
        if command.depth == first.depth:
            joined = joined or command.after in ("&&", ";", "\n")
            if command.after in ("&", ";;"):
                return False
    return False
