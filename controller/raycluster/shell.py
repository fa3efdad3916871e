"""As much of bash's grammar as reading a start command takes: words with their quotes and variables, what is between
the commands, and which of them exclude each other. Nothing is run.

What only a running shell can say is unknown and never guessed: command substitutions, parameters of a script, variables
that are set elsewhere.

Grammar: https://www.gnu.org/software/bash/manual/bash.html#Shell-Syntax
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from .shell_scan import word_at
from .shell_words import Word

_CONTROL = re.compile(r"&&|\|\||;;|\|&|[;|&()\n]")
_REDIRECT = re.compile(r"(?:[0-9]*|&)(?:>>|>\||>&|<<<|<>|<&|<<-?|[<>])")
_WRITING = (">", ">>", ">|", "1>", "1>>")
_OPENING = ("{", "if", "while", "until", "for", "case", "select")
_LOOPS = ("while", "until", "for", "select")
# Characters. Of longer programs none is kept.
_SHORT = 4096
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
class Document:
    """A here-document: its lines are text[start:end]. ``quoted``: the shell replaces nothing in it."""

    delimiter: str
    tabs: bool
    quoted: bool
    start: int = 0
    end: int = 0


@dataclass
class SimpleCommand:
    """Words between two control operators; none where only keywords or redirections are.

    ``before``, ``after``: the operators around it, empty at the ends of the text. ``end``: where ``after`` starts;
    ``resume``: where the text goes on behind it. ``place``: one for each level of brackets and compound commands.
    ``writes``: its output goes to a file. ``loop``: its words are the head of a for. ``function``: it is part of one.
    ``repeated``: it is part of a loop. ``prefixed``: it begins with ! or time.
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
    loop: bool = False
    function: bool = False
    repeated: bool = False
    prefixed: bool = False

    @property
    def depth(self) -> int:
        """Inside how many brackets and compound commands it is."""
        return len(self.place) - 1


class _Operator(NamedTuple):
    text: str
    start: int
    end: int


class _Redirect(NamedTuple):
    text: str


def commands(text: str) -> Sequence[SimpleCommand]:
    """The simple commands of a program in their order, those inside compound commands too. They are shared: most
    clusters start Ray alike, and each reads its commands several times.

    Raises:
        UnreadableError: quotes or brackets do not close.
    """
    return _remembered(text) if len(text) <= _SHORT else _read(text)


@lru_cache(maxsize=256)
def _remembered(text: str) -> Sequence[SimpleCommand]:
    return _read(text)


def _read(text: str) -> Sequence[SimpleCommand]:
    nesting = _Nesting()
    found = [SimpleCommand(0, "", nesting.place())]
    for item in _tokens(text):
        current = found[-1]
        if isinstance(item, _Operator):
            current.after, current.end, current.resume = item.text, item.start, item.end
            nesting.operator(item.text)
            found.append(SimpleCommand(item.end, item.text, nesting.place()))
            nesting.mark(found[-1])
        elif isinstance(item, Document):
            current.documents.append(item)
        elif isinstance(item, _Redirect):
            current.writes = current.writes or item.text in _WRITING
        else:
            _add(item, found, nesting)
    found[-1].end = max(found[-1].end, found[-1].start)
    return tuple(found)


def _add(word: Word, found: Sequence[SimpleCommand], nesting: _Nesting) -> None:
    """A word of the last command that was found, or a keyword before it."""
    current, bare = found[-1], word.bare
    named = bare == "{" and [w.bare for w in current.words[:-1]] == ["function"]
    if named or (bare == "{" and not current.words and [c.after for c in found[-3:]] == ["(", ")", ""]):
        current.words.clear()
        nesting.open(kind="function")
    elif current.words or not nesting.keyword(bare):
        if not current.words and not current.prefixed:
            current.start = word.start
        current.words.append(word)
        current.end = word.end
        return
    elif bare in _PREFIXES:
        current.start = current.start if current.prefixed else word.start
        current.prefixed = True
    current.loop = bare in ("for", "select")
    nesting.mark(current)


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
        self._made = 0

    def place(self) -> tuple[Place, ...]:
        return tuple(self._levels)

    def mark(self, command: SimpleCommand) -> None:
        """Note where a command is."""
        command.place = self.place()
        command.function = "function" in self._kinds
        command.repeated = "loop" in self._kinds

    def open(self, kind: str = "") -> None:
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


def _tokens(text: str) -> Iterator[Word | _Operator | _Redirect | Document]:
    """Words, control operators, and redirections without what they are about. Documents know their lines once the line
    has ended on which they are named.
    """
    at = 0
    redirect = ""
    documents: list[Document] = []
    while at < len(text):
        if text[at] in " \t\r":
            at += 1
        elif text.startswith("\\\n", at):
            at += 2
        elif text[at] == "#":
            end = text.find("\n", at)
            at = len(text) if end < 0 else end
        elif (found := _REDIRECT.match(text, at)) and not text.startswith(("<(", ">("), at):
            at, redirect = found.end(), found.group()
            yield _Redirect(redirect)
        elif control := _CONTROL.match(text, at):
            end = control.end()
            if control.group() == "\n":
                end = _past_documents(text, end, documents)
            yield _Operator(control.group(), at, end)
            at, redirect = end, ""
        else:
            word = word_at(text, at)
            at = word.end
            if redirect.lstrip("0123456789") in ("<<", "<<-"):
                quoted = any(part.quoted for part in word.parts)
                documents.append(Document(word.literal, redirect.endswith("-"), quoted))
                yield documents[-1]
            elif not redirect:
                yield word
            redirect = ""
    _past_documents(text, len(text), documents)


def _past_documents(text: str, at: int, documents: list[Document]) -> int:
    """Where the text goes on behind the here-documents that begin there. One without an end goes on to the text's."""
    for document in documents:
        document.start = document.end = at
        while at < len(text):
            begin, at = at, text.find("\n", at) + 1 or len(text)
            line = text[begin:at].rstrip("\n")
            if (line.lstrip("\t") if document.tabs else line) == document.delimiter:
                break
            document.end = at
    documents.clear()
    return at
