"""The pieces of a shell's program in their order: words, operators, redirections and here-documents."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from .shell_scan import word_at
from .shell_words import Word

_CONTROL = re.compile(r"&&|\|\||;;|\|&|[;|&()\n]")
_REDIRECT = re.compile(r"(?:[0-9]*|&)(?:>>|>\||>&|<<<|<>|<&|<<-?|[<>])")


@dataclass
class Document:
    """A here-document: its lines are text[start:end]. ``quoted``: the shell replaces nothing in it."""

    delimiter: str
    tabs: bool
    quoted: bool
    start: int = 0
    end: int = 0


class Operator(NamedTuple):
    """What stands between commands, at text[start:end]."""

    text: str
    start: int
    end: int


class Redirect(NamedTuple):
    """A redirection and what it is about, but a here-document."""

    text: str
    word: Word


def tokens(text: str) -> Iterator[Word | Operator | Redirect | Document]:
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
        elif control := _CONTROL.match(text, at):
            end = control.end()
            if control.group() == "\n":
                end = _past_documents(text, end, documents)
            yield Operator(control.group(), at, end)
            at, redirect = end, ""
        else:
            word = word_at(text, at)
            at = word.end
            if redirect.lstrip("0123456789") in ("<<", "<<-"):
                quoted = any(part.quoted for part in word.parts)
                documents.append(Document(word.literal, redirect.endswith("-"), quoted))
                yield documents[-1]
            else:
                yield Redirect(redirect, word) if redirect else word
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
