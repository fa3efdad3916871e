"""What start commands say about Ray: which of them start it, with which options, and what follows.

The commands are the user's shell programs. They are read as the shell would, see ``shell``; what only a running shell
knows stays unknown.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import islice

from .remembered import Remembered
from .shell import Place, SimpleCommand, commands, exclusive
from .shell_lists import Lists
from .shell_programs import files_run, named, prints, programs
from .shell_scan import UnreadableError, decoded
from .shell_variables import at_start, change
from .shell_words import MAX_SHELLS, Field, State, Variables, assignments
from .start_places import begin_of, in_background, is_followed, tail_of
from .start_words import Option, options_of, ray_start_in

_PROGRAM = r"\bray(?:\.scripts\.scripts|/scripts/scripts\.py)?"
# A line may go on behind it: read one way only, or a line of many options takes for ever.
_VALUE = r"(?:[^\s\\]|\\(?!\n))+"
RAY_START = re.compile(rf"{_PROGRAM}(?:(?:\s|\\\n)+--logging-(?:level|format)(?:=|\s)\s*{_VALUE})*(?:\s|\\\n)+start\b")
_RAY_STOP = re.compile(r"\bray\s+stop\b")
# Ray's own autoscaler on the head would read it.
AUTOSCALING_CONFIG = "--autoscaling-config"
# Stands for the head's address, which no podConfig knows.
HEAD_ADDRESS = "<head>"
# How often a function is read where it is called: each of several may call all others.
_MOST_CALLS = 8
# Bytes, about, that lists of commands take of which it is known what they start.
_ROOM = 4 * 2**20
# Of one text; each is compared with all that follows it.
_MOST_STARTS = 200


@dataclass(frozen=True)
class RayStart:
    """One ``ray start``. Offsets are in the text of the command that has it, number ``command`` of the list.

    ``begin``: where the command starts that it is part of, or of which it is an alternative. ``behind``: the end of
    "ray start" itself.
    ``tail``: where that begins which the shell runs after it; None where nothing follows.
    ``followed``: commands follow it inside of the brackets or the program that it is in, and no loop starts it again.
    ``background``: it is started with & behind it. ``vague``: some of its options are not known. ``elsewhere``: it is
    part of a function, or of a file that the command writes; ``printed``: into one of ``files``, by echo or printf.
    ``variables``: those that it is started with.
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
    printed: bool = False
    files: tuple[str, ...] = ()
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
    if variables.functions:
        return _ray_starts(texts, variables)
    starts, after = _kept.of((tuple(texts), variables.state))
    variables.become(after)
    return starts


def _read(asked: tuple[tuple[str, ...], State]) -> tuple[tuple[RayStart, ...], State]:
    texts, state = asked
    variables = Variables.of(state)
    starts = _ray_starts(texts, variables)
    return starts, variables.state


# Reading a spec asks for the same commands a dozen times, and most clusters of a user have the same ones.
_kept = Remembered(_read, _ROOM)


def _ray_starts(texts: Sequence[str], variables: Variables) -> tuple[RayStart, ...]:
    found: dict[tuple[int, int], RayStart] = {}
    for number, text in enumerate(texts):
        for start in _in_text(text, number, variables):
            # A function may be called again.
            found.pop((start.command, start.behind), None)
            found[start.command, start.behind] = start
    run = files_run(texts) if any(start.printed for start in found.values()) else set()
    names = {key: {file.rpartition("/")[2] for file in start.files} for key, start in found.items()}
    return tuple(start for key, start in found.items() if not start.printed or names[key] & run)


def lasting(starts: Sequence[RayStart], *, head: bool) -> RayStart | None:
    """The one that a node ends up with: the last, or where that has alternatives, the last that starts a node so."""
    found = [start for start in starts if start is starts[-1] or start.excludes(starts[-1])]
    return next((start for start in reversed(found) if start.is_head == head), found[-1] if found else None)


def candidates(texts: Sequence[str], starts: Sequence[RayStart], *, head: bool) -> list[RayStart]:
    """Those of which a node may end up with any, as far as reading ``texts`` shows: an earlier one too, unless
    ``ray stop`` ends it.
    """
    chosen = lasting(starts, head=head)
    alike = [start for start in starts if chosen and start.is_head == chosen.is_head]
    stopped = _last_stop(texts, alike[-1]) if len(alike) > 1 else (0, 0)
    return [start for start in alike if start is alike[-1] or (start.command, start.behind) > stopped]


def _last_stop(texts: Sequence[str], before: RayStart) -> tuple[int, int]:
    """Where the last ``ray stop`` stands that runs before."""
    for number in range(before.command, -1, -1):
        end = before.begin if number == before.command else len(texts[number])
        found = [match.start() for match in _RAY_STOP.finditer(texts[number], 0, end)]
        if found:
            return number, found[-1]
    return 0, 0


def options_of_programs(texts: Sequence[str], name: str, variables: Variables) -> Iterator[Field]:
    """The values of an option of any program that these commands run. ``variables`` changes."""
    for text in texts:
        lists = Lists(variables)
        with suppress(UnreadableError):
            for command in commands(text):
                change(command, lists)
                options, _ = options_of(command.words, variables)
                if name in options:
                    yield options[name].value


def _in_text(text: str, number: int, variables: Variables) -> Iterator[RayStart]:
    try:
        every = commands(text)
    except UnreadableError:
        yield from _in_line(text, number, variables)
        return
    yield from islice(_walk(_Program(text, number, every), range(len(every)), variables), _MOST_STARTS)


def _in_line(text: str, number: int, variables: Variables) -> Iterator[RayStart]:
    """What is written as a ray start in a text that is no program: the rest of its line may be its options."""
    for match in list(RAY_START.finditer(text))[-1:]:
        start, options = match.start(), {}
        with suppress(UnreadableError):
            inner = next((s for s in _plain(_line(text, start), number, variables.of_programs())), None)
            options = dict(inner.options) if inner else {}
        moved = {n: replace(o, start=o.start + start, end=o.end + start) for n, o in options.items()}
        yield RayStart(number, start, match.end(), options=moved, vague=True)


def _line(text: str, start: int) -> SimpleCommand:
    """The command that begins there and ends with its line, or with a quote that closes around it."""
    line = text[start:].replace("\\\n", "  ").partition("\n")[0]
    try:
        return commands(line)[0]
    except UnreadableError:
        # Of what the quote is in the middle of, nothing is known.
        return commands(re.sub(r"(?<!\S)\S*=$", "", re.split(r"[\"'`]|\$\(", line)[0]))[0]


@dataclass
class _Program:
    """A text that is read, command by command. ``calls``: how often this function was read already."""

    text: str
    number: int
    every: Sequence[SimpleCommand]
    indices: Sequence[int] = ()
    calls: int = 0


def _walk(program: _Program, indices: Sequence[int], variables: Variables) -> Iterator[RayStart]:
    """The starts of some of its commands, those of functions where they are called."""
    lists, every = Lists(variables), program.every
    for index in indices:
        command = every[index]
        if command.function and not program.indices:
            _define(program, index, variables)
            continue
        change(command, lists)
        for start in _started(program, index, variables):
            yield _placed(start, every, index)
        for name in named(program.text, command, variables.functions):
            body = variables.functions.pop(name)
            body.calls += 1
            yield from _walk(body, body.indices, variables)
            if body.calls < _MOST_CALLS:
                variables.functions.setdefault(name, body)


def _define(program: _Program, index: int, variables: Variables) -> None:
    """The command is part of a function, which begins with it or is known already."""
    name = program.every[index].function
    known = variables.functions.get(name)
    begins = index == 0 or program.every[index - 1].function != name
    if begins or known is None:
        variables.functions[name] = replace(program, indices=[index])
    else:
        known.indices.append(index)


def _placed(start: RayStart, every: Sequence[SimpleCommand], index: int) -> RayStart:
    """With what stands around it."""
    command, following = every[index], every[index:]
    elsewhere = start.elsewhere or bool(command.function)
    return replace(
        start,
        background=start.background or in_background(following),
        followed=start.followed or is_followed(following),
        elsewhere=elsewhere,
        begin=begin_of(every[: index + 1]),
        tail=None if elsewhere else tail_of(following),
        place=(*command.place, *start.place),
    )


def _started(read: _Program, index: int, variables: Variables) -> Iterator[RayStart]:
    """By one of its commands."""
    command, number = read.every[index], read.number
    if not prints(command):
        yield from _plain(command, number, variables)
        yield from _in_words(read.text, command, number, variables)
    for program in programs(read.text, read.every, index):
        seen = variables.of_programs() if program.quoted else variables.copy()
        for start in _nested(program.text, program.places, command, number, seen):
            ways = replace(start, elsewhere=program.elsewhere or start.elsewhere)
            yield replace(ways, printed=program.printed, files=program.files)


def _plain(command: SimpleCommand, number: int, variables: Variables) -> Iterator[RayStart]:
    """By its words."""
    own = list(assignments(command.words))
    words = command.words[len(own) :]
    at = ray_start_in(words, variables)
    if at:
        options, vague = options_of(words[at:], variables)
        seen = at_start(own, variables)
        yield RayStart(number, command.start, words[at - 1].end, options=options, vague=vague, variables=seen)


def _in_words(text: str, command: SimpleCommand, number: int, variables: Variables) -> Iterator[RayStart]:
    """By a program that is one of its words."""
    words = command.words[len(list(assignments(command.words))) :]
    for word in words if not ray_start_in(words, variables) else ():
        inner, places = decoded(text, word.start, word.end)
        if RAY_START.search(inner):
            seen = variables.copy() if any(part.name for part in word.parts) else variables.of_programs()
            yield from _nested(inner, places, command, number, seen)


def _nested(
    inner: str, places: Sequence[int], command: SimpleCommand, number: int, variables: Variables
) -> Iterator[RayStart]:
    """In a program that another shell is given: bash -c 'ray start ...'. ``places``: of its characters in the text."""
    found = list(_in_text(inner, number, variables)) if variables.shells <= MAX_SHELLS else []
    if not found:
        found = list(_in_line(inner, number, variables))
    for start in found:
        options = {n: replace(o, start=places[o.start], end=places[o.end]) for n, o in start.options.items()}
        followed = start.followed or start.tail is not None
        yield replace(start, begin=command.start, behind=places[start.behind], options=options, followed=followed)
