"""Where the words of a shell's program end, and of which pieces they are made."""

from __future__ import annotations

import re

from .shell_words import Part, Word

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_BRACED = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(:?[-=+?]|(?=\}))")
_PLAIN = re.compile(r"[^ \t\r\n;|&<>()\"'\\$`]+")
_ENDS = " \t\r\n;|&<>()"
_SPECIAL = tuple("0123456789@*#?!$-")
_IN_DOUBLE_QUOTES = ('"', "\\", "$", "`", "\n")
# How many brackets, or compound commands, may be inside of each other.
MAX_DEPTH = 32


class UnreadableError(ValueError):
    """A command whose quotes or brackets do not close. ``remedy``: what its author is to do."""

    remedy = "close it"


class TooDeepError(UnreadableError):
    """A command with too many brackets or compound commands inside of each other."""

    remedy = "write the inner ones before it"

    def __init__(self) -> None:
        super().__init__(f"more than {MAX_DEPTH} brackets or compound commands are inside of each other")


def word_at(text: str, start: int) -> Word:
    """The word that begins there.

    Raises:
        UnreadableError: it does not end.
    """
    parts: list[Part] = []
    at = start
    while at < len(text):
        if text.startswith(("<(", ">("), at):
            at = closing(text, at + 1)
            parts.append(Part(unknown=True))
        elif text[at] in _ENDS:
            break
        else:
            at = _piece(text, at, parts)
    return Word(start, at, tuple(parts))


def decoded(text: str, start: int, end: int) -> tuple[str, list[int]]:
    """The program that a word is: its text without the quotes around it, variables left as they are; and where in
    ``text`` each of its characters stands, and its end.
    """
    program: list[tuple[str, int]] = []
    at, quote = start, ""
    while at < end:
        char, escaped = text[at], text[at + 1 : at + 2]
        if char == quote or (not quote and char in "'\""):
            quote = "" if quote else char
        elif char == "\\" and quote != "'" and (not quote or escaped in _IN_DOUBLE_QUOTES):
            at += 1
            if escaped != "\n":
                program.append((escaped, at))
        else:
            program.append((char, at))
        at += 1
    # What is written behind the last character stands inside the quote.
    last = program[-1][1] + 1 if program else end
    return "".join(char for char, _ in program), [*(place for _, place in program), last]


def _piece(text: str, at: int, parts: list[Part]) -> int:
    """One piece of a word, or of what stands in ${NAME:-here}; where the next begins."""
    char = text[at]
    if text.startswith("\\\n", at):
        return at + 2
    if char == '"':
        return _double_quoted(text, at + 1, parts)
    if char == "'":
        end = _find(text, "'", at + 1)
        parts.append(Part(text[at + 1 : end], quoted=True))
        return end + 1
    if char == "\\":
        parts.append(Part(text[at + 1 : at + 2], quoted=True))
        return at + 2
    if char in "$`":
        return _expansion(text, at, parts, quoted=False)
    plain = _PLAIN.match(text, at)
    # Blanks and operators, where no word ends.
    parts.append(Part(plain.group() if plain else char))
    return plain.end() if plain else at + 1


def _double_quoted(text: str, at: int, parts: list[Part]) -> int:
    plain = ""
    while True:
        if at >= len(text):
            raise UnreadableError("a quote does not close")
        char = text[at]
        if char == '"':
            parts.append(Part(plain, quoted=True))
            return at + 1
        if char == "\\" and text[at + 1 : at + 2] in _IN_DOUBLE_QUOTES:
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
        end = _find(text, "`", at + 1) + 1
        parts.append(Part(text[at:end], quoted=quoted, unknown=True))
        return end
    if text.startswith("$'", at) and not quoted:
        return _escapes(text, at + 2, parts)
    if text.startswith('$"', at) and not quoted:
        return at + 1
    return _variable(text, at, parts, quoted=quoted)


def _escapes(text: str, start: int, parts: list[Part]) -> int:
    """$'...': other escapes than those of quotes are not known here."""
    at = start
    while at < len(text) and text[at] != "'":
        at += 2 if text[at] == "\\" else 1
    if at >= len(text):
        raise UnreadableError("a quote does not close")
    plain = re.sub(r"\\(['\"\\])", r"\1", text[start:at])
    known = not re.search(r"\\[^'\"\\]", text[start:at])
    parts.append(Part(plain, quoted=True, unknown=not known))
    return at + 1


def _variable(text: str, at: int, parts: list[Part], *, quoted: bool) -> int:
    braced = _BRACED.match(text, at)
    if braced:
        end = closing(text, at + 1)
        operand = _operand(text, braced.end(), end - 1)
        parts.append(Part(quoted=quoted, name=braced.group(1), operator=braced.group(2), operand=operand))
        return end
    if text.startswith(("${", "$("), at):
        end = closing(text, at + 1)
        parts.append(Part(text[at:end], quoted=quoted, unknown=True))
        return end
    name = _NAME.match(text, at + 1)
    if name:
        parts.append(Part(quoted=quoted, name=name.group()))
        return name.end()
    if text[at + 1 : at + 2] in _SPECIAL:
        parts.append(Part(quoted=quoted, unknown=True))
        return at + 2
    parts.append(Part("$", quoted=quoted))
    return at + 1


def _operand(text: str, at: int, end: int) -> tuple[Part, ...]:
    parts: list[Part] = []
    inner = text[:end]
    while at < end:
        at = _piece(inner, at, parts)
    return tuple(parts)


def _find(text: str, what: str, at: int) -> int:
    end = text.find(what, at)
    if end < 0:
        raise UnreadableError("a quote does not close")
    return end


def closing(text: str, at: int, depth: int = 0) -> int:
    """Behind the bracket that closes the one at ``at``; quotes inside are passed over. ``depth``: of brackets around.

    Raises:
        UnreadableError: none does.
    """
    pairs = {"(": ")", "{": "}"}
    stack = [pairs[text[at]]]
    at += 1
    while stack and at < len(text):
        if depth + len(stack) > MAX_DEPTH:
            raise TooDeepError
        char = text[at]
        if char == "'":
            at = _find(text, "'", at + 1)
        elif char == '"':
            at = _behind_quotes(text, at + 1, depth + len(stack)) - 1
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


def _behind_quotes(text: str, at: int, depth: int) -> int:
    """Behind the end of the double quotes that begin before ``at``. What they hold is passed over and not read: else it
    would be read twice at each level.
    """
    while at < len(text):
        if text[at] == '"':
            return at + 1
        if text[at] == "\\" and text[at + 1 : at + 2] in _IN_DOUBLE_QUOTES:
            at += 2
        elif text[at] == "`":
            at = _find(text, "`", at + 1) + 1
        elif text.startswith(("${", "$("), at):
            at = closing(text, at + 1, depth)
        else:
            at += 1
    raise UnreadableError("a quote does not close")
