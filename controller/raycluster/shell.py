"""As much of bash's grammar as reading a start command takes: words with their quotes and variables, what is between
the commands, and which of them exclude each other. Nothing is run.

What only a running shell can say is unknown and never guessed: command substitutions, parameters of a script, variables
that are set elsewhere.

Grammar: https://www.gnu.org/software/bash/manual/bash.html#Shell-Syntax
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from .remembered import Remembered
from .shell_scan import MAX_DEPTH, TooDeepError
from .shell_tokens import Document, Operator, Redirect, tokens
from .shell_words import Word

_JOINING = ("&&", "||", "|", "|&")
_WRITING = (">", ">>", ">|", "1>", "1>>")
_OPENING = ("{", "if", "while", "until", "for", "case", "select")
_LOOPS = ("while", "until", "for", "select")
# Bytes, about, that programs which were read take.
_ROOM = 8 * 2**20
_CLOSING = ("}", "fi", "done", "esac")
_PREFIXES = ("!", "time")
_BRANCHING = ("else", "elif")
_INNER = ("then", "do", "in", *_PREFIXES, *_BRANCHING)


class Place(NamedTuple):
    """Where a command is at one level of nesting: in which compound command and branch of it, and in which list of
    commands joined by && and || and alternative of that.
    """

    compound: int
    branch: int
    list: int
    alternative: int


@dataclass
class SimpleCommand:
    """Words between two control operators; none where only keywords or redirections are.

    ``before``, ``after``: the operators around it, empty at the ends of the text. ``end``: where ``after`` starts;
    ``resume``: where the text goes on behind it. ``place``: one for each level of brackets and compound commands.
    ``writes``: its output goes to a file, ``target`` where that is written plainly. ``strings``: what <<< gives it.
    ``loop``: its words are the head of a for. ``function``: the one that it is part of.
    ``repeated``: it is part of a loop. ``prefixed``: it begins with ! or time; ``negated``: with one !.
    """

    start: int
    before: str
    place: tuple[Place, ...] = ()
    words: list[Word] = field(default_factory=list)
    end: int = 0
    after: str = ""
    resume: int = 0
    documents: list[Document] = field(default_factory=list)
    writes: bool = False
    target: str = ""
    strings: list[Word] = field(default_factory=list)
    loop: bool = False
    function: str = ""
    repeated: bool = False
    prefixed: bool = False
    negated: bool = False

    @property
    def depth(self) -> int:
        """Inside how many brackets and compound commands it is."""
        return len(self.place) - 1


def commands(text: str) -> Sequence[SimpleCommand]:
    """The simple commands of a program in their order, those inside compound commands too. They are shared: most
    clusters start Ray alike, and each reads its commands several times.

    Raises:
        UnreadableError: quotes or brackets do not close, or there are too many inside of each other.
    """
    return _remembered.of(text)


def _read(text: str) -> Sequence[SimpleCommand]:
    nesting = _Nesting()
    # Up to where nothing but line ends and comments is behind an operator that joins commands.
    blank = 0
    found = [SimpleCommand(0, "", nesting.place())]
    for item in tokens(text):
        current = found[-1]
        if isinstance(item, Operator):
            if item.text == "\n" and _goes_on(current, text[max(current.start, blank) : item.start]):
                blank = item.end
                continue
            current.after, current.end, current.resume = item.text, item.start, item.end
            nesting.operator(item.text)
            found.append(SimpleCommand(item.end, item.text, nesting.place()))
            nesting.mark(found[-1])
        elif isinstance(item, Document):
            current.documents.append(item)
        elif isinstance(item, Redirect):
            _redirect(item, current)
        else:
            _add(item, found, nesting)
    found[-1].end = max(found[-1].end, found[-1].start)
    return tuple(found)


_remembered = Remembered(_read, _ROOM)


def _goes_on(current: SimpleCommand, between: str) -> bool:
    """Behind an operator that joins commands a line's end says nothing."""
    blank = not re.sub(r"#.*|\\\n", "", between).strip()
    return blank and current.before in _JOINING and not (current.words or current.documents or current.prefixed)


def _redirect(given: Redirect, current: SimpleCommand) -> None:
    if given.text in _WRITING:
        current.writes, current.target = True, given.word.literal
    elif given.text.endswith("<<<"):
        current.strings.append(given.word)


def _add(word: Word, found: Sequence[SimpleCommand], nesting: _Nesting) -> None:
    """A word of the last command that was found, or a keyword before it."""
    current, bare = found[-1], word.bare
    function = _named(current, found) if bare == "{" else ""
    if function:
        current.words.clear()
        nesting.open(kind="function", function=function)
    elif current.words or not nesting.keyword(bare):
        if not current.words and not current.prefixed:
            current.start = word.start
        current.words.append(word)
        current.end = word.end
        return
    elif bare in _PREFIXES:
        current.start = current.start if current.prefixed else word.start
        current.prefixed = True
        current.negated = current.negated is not (bare == "!")
    current.loop = bare in ("for", "select")
    nesting.mark(current)


def _named(current: SimpleCommand, found: Sequence[SimpleCommand]) -> str:
    """The name of the function whose body a brace opens; empty where it opens none."""
    if [w.bare for w in current.words[:-1]] == ["function"]:
        return current.words[-1].literal
    lines = [c for c in found[-4:] if c.after != "\n" or c.words]
    begins = not current.words and [c.after for c in lines[-3:]] == ["(", ")", ""] and lines[-3].words
    return lines[-3].words[-1].literal if begins else ""


def exclusive(first: Sequence[Place], second: Sequence[Place]) -> bool:
    """At most one of two commands at these places succeeds: in branches of an if or a case, or joined by ||."""
    for one, other in zip(first, second, strict=False):
        if one != other:
            if one.compound != other.compound:
                return False
            return one.branch != other.branch or (one.list == other.list and one.alternative != other.alternative)
    return False


class _Nesting:
    """The places of commands, from the outermost to the innermost."""

    def __init__(self) -> None:
        self._levels = [Place(0, 0, 0, 0)]
        self._kinds = [""]
        self._function = ""
        self._made = 0

    def place(self) -> tuple[Place, ...]:
        return tuple(self._levels)

    def mark(self, command: SimpleCommand) -> None:
        """Note where a command is."""
        command.place = self.place()
        command.function = self._function if "function" in self._kinds else ""
        command.repeated = "loop" in self._kinds

    def open(self, kind: str = "", function: str = "") -> None:
        if "function" not in self._kinds:
            self._function = function
        if len(self._levels) > MAX_DEPTH:
            raise TooDeepError
        self._made += 1
        self._kinds.append(kind)
        self._levels.append(Place(self._made, 0, self._made, 0))

    def operator(self, text: str) -> None:
        """What an operator does to the places that follow."""
        if text == "(":
            self.open(kind="(")
        elif text == ")":
            # A pattern of case has a closing bracket alone.
            self._close(kinds=("(",))
        elif text == "||":
            self._change(alternative=self._levels[-1].alternative + 1)
        elif text in (";", ";;", "\n", "&"):
            self._made += 1
            self._change(list=self._made, alternative=0)
            if text == ";;":
                self._branch()

    def keyword(self, bare: str) -> bool:
        """Whether a word at a command's place is a keyword, which changes the places of what follows."""
        if bare in _OPENING:
            self.open(kind="loop" if bare in _LOOPS else "")
        elif bare in _CLOSING:
            self._close()
        elif bare in _BRANCHING:
            self._branch()
        return bool(bare) and bare in (*_OPENING, *_CLOSING, *_INNER)

    def _branch(self) -> None:
        self._change(branch=self._levels[-1].branch + 1)

    def _change(self, **values: int) -> None:
        self._levels[-1] = self._levels[-1]._replace(**values)

    def _close(self, kinds: Sequence[str] = ("", "function", "loop")) -> None:
        if len(self._levels) > 1 and self._kinds[-1] in kinds:
            self._levels.pop()
            self._kinds.pop()
