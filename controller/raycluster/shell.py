"""As much of bash's grammar as reading a start command takes: words with their quotes and variables, and what is
between the commands. Nothing is run.

What only a running shell can say is unknown and never guessed: command substitutions, parameters of a script, variables
that are set elsewhere.

Grammar: https://www.gnu.org/software/bash/manual/bash.html#Shell-Syntax
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from .shell_words import Part, Word

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_BRACED = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?:(:?)([-=])((?:[^{}'\"\\$`])*))?\}")
_CONTROL = re.compile(r"&&|\|\||;;|\|&|[;|&()\n]")
_REDIRECT = re.compile(r"(?:[0-9]*|&)(?:>>|>\||>&|<<<|<>|<&|<<-?|[<>])")
_PLAIN = re.compile(r"[^ \t\r\n;|&<>()\"'\\$`]+")


class UnreadableError(ValueError):
    """A command whose quotes or brackets do not close, or with a here-document."""


@dataclass
class SimpleCommand:
    """Words between two control operators. ``depth``: inside how many brackets and compound commands.

    ``before``, ``after``: the operators around it, empty at the ends of the text. ``end``: where ``after`` starts.
    """

    start: int
    before: str
    depth: int
    words: list[Word] = field(default_factory=list)
    end: int = 0
    after: str = ""


def commands(text: str) -> list[SimpleCommand]:
    """The simple commands of a program in their order, those inside compound commands too.

    Raises:
        UnreadableError: see there.
    """
    found = [SimpleCommand(0, "", 0)]
    depth = brackets = 0
    for item in _tokens(text):
        current = found[-1]
        if isinstance(item, Word):
            if not current.words:
                opened = _keyword(item.bare)
                if opened is not None:
                    depth += opened
                    current.depth = depth
                    current.start = item.end
                    continue
                current.start = item.start
            current.words.append(item)
            current.end = item.end
            continue
        operator, start, end = item
        current.after, current.end = operator, start
        # A pattern of case has a closing bracket alone.
        opened = {"(": 1, ")": -min(1, brackets)}.get(operator, 0)
        depth, brackets = depth + opened, brackets + opened
        found.append(SimpleCommand(end, operator, depth))
    found[-1].end = max(found[-1].end, found[-1].start)
    return [command for command in found if command.words]


_OPENING = ("{", "if", "while", "until", "for", "case", "select")
_CLOSING = ("}", "fi", "done", "esac")
_INNER = ("then", "else", "elif", "do", "!", "time", "in")


def _keyword(bare: str) -> int | None:
    """By how much a word at a command's place changes the depth; None for one that is no keyword."""
    if bare in _OPENING:
        return 1
    if bare in _CLOSING:
        return -1
    return 0 if bare in _INNER else None


def _tokens(text: str) -> Iterator[Word | tuple[str, int, int]]:
    """Words and control operators. Redirections are passed over."""
    at = 0
    target = False
    while at < len(text):
        if text[at] in " \t\r":
            at += 1
        elif text.startswith("\\\n", at):
            at += 2
        elif text[at] == "#":
            end = text.find("\n", at)
            at = len(text) if end < 0 else end
        elif (redirect := _REDIRECT.match(text, at)) and not text.startswith(("<(", ">("), at):
            if redirect.group().lstrip("0123456789").startswith("<<") and not redirect.group().endswith("<<<"):
                raise UnreadableError("it has a here-document")
            at, target = redirect.end(), True
        elif control := _CONTROL.match(text, at):
            yield control.group(), at, control.end()
            at, target = control.end(), False
        else:
            word = _word(text, at)
            at = word.end
            if not target:
                yield word
            target = False


def _word(text: str, start: int) -> Word:
    parts: list[Part] = []
    at = start
    while at < len(text):
        char = text[at]
        if char in " \t\r\n;|&<>()" and not text.startswith(("<(", ">("), at):
            break
        if text.startswith("\\\n", at):
            at += 2
        elif text.startswith(("<(", ">("), at):
            at = _closing(text, at + 1)
            parts.append(Part(unknown=True))
        elif char == '"':
            at = _double_quoted(text, at + 1, parts)
        elif char == "'":
            end = _find(text, "'", at + 1)
            parts.append(Part(text[at + 1 : end], quoted=True))
            at = end + 1
        elif char == "\\":
            parts.append(Part(text[at + 1 : at + 2], quoted=True))
            at += 2
        elif char in "$`":
            at = _expansion(text, at, parts, quoted=False)
        else:
            plain = _PLAIN.match(text, at)
            assert plain
            parts.append(Part(plain.group()))
            at = plain.end()
    return Word(start, at, tuple(parts))


def _double_quoted(text: str, at: int, parts: list[Part]) -> int:
    plain = ""
    while True:
        if at >= len(text):
            raise UnreadableError("a quote does not close")
        char = text[at]
        if char == '"':
            parts.append(Part(plain, quoted=True))
            return at + 1
        if char == "\\" and text[at + 1 : at + 2] in ('"', "\\", "$", "`", "\n"):
            plain += text[at + 1].replace("\n", "")
            at += 2
        elif char in "$`":
            parts.append(Part(plain, quoted=True))
            plain = ""
            at = _expansion(text, at, parts, quoted=True)
        else:
            plain += char
            at += 1


def _expansion(text: str, at: int, parts: list[Part], *, quoted: bool) -> int:
    """What starts with $ or a backquote."""
    if text[at] == "`":
        parts.append(Part(quoted=quoted, unknown=True))
        return _find(text, "`", at + 1) + 1
    if text.startswith("$'", at) and not quoted:
        end = _find(text, "'", at + 2)
        plain = text[at + 2 : end]
        parts.append(Part(plain, quoted=True, unknown="\\" in plain))
        return end + 1
    return _variable(text, at, parts, quoted=quoted)


def _variable(text: str, at: int, parts: list[Part], *, quoted: bool) -> int:
    braced = _BRACED.match(text, at)
    if braced:
        name, colon, _, default = braced.groups()
        parts.append(Part(quoted=quoted, name=name, default=default, if_empty=bool(colon)))
        return braced.end()
    if text.startswith(("${", "$("), at):
        parts.append(Part(quoted=quoted, unknown=True))
        return _closing(text, at + 1)
    name = _NAME.match(text, at + 1)
    if name:
        parts.append(Part(quoted=quoted, name=name.group()))
        return name.end()
    if text[at + 1 : at + 2] in tuple("0123456789@*#?!$-"):
        parts.append(Part(quoted=quoted, unknown=True))
        return at + 2
    parts.append(Part("$", quoted=quoted))
    return at + 1


def _find(text: str, what: str, at: int) -> int:
    end = text.find(what, at)
    if end < 0:
        raise UnreadableError("a quote does not close")
    return end


def _closing(text: str, at: int) -> int:
    """Behind the bracket that closes the one at ``at``; quotes inside are passed over."""
    pairs = {"(": ")", "{": "}"}
    stack = [pairs[text[at]]]
    at += 1
    while stack and at < len(text):
        char = text[at]
        if char == "'":
            at = _find(text, "'", at + 1)
        elif char == "\\":
            at += 1
        elif char in pairs:
            stack.append(pairs[char])
        elif char == stack[-1]:
            stack.pop()
        at += 1
    if stack:
        raise UnreadableError("a bracket does not close")
    return at
