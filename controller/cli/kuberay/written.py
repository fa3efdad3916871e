"""YAML with comments: a tree of plain values in which ``Comment`` stands among the keys of a mapping.

A comment is printed at the place where it stands, at the indentation of the keys around it.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import yaml

_WIDTH = 110


class Comment:
    """A comment, as a key of a mapping; its value is ignored. Two comments are never the same key."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return f"Comment({self.text!r})"


Tree = dict[Any, Any]


def add(tree: Tree, *comments: Comment) -> None:
    """Put the comments after what the mapping has so far."""
    tree.update(dict.fromkeys(comments))


def plain(node: Any) -> Any:
    """The values without the comments."""
    if isinstance(node, Mapping):
        return {key: plain(value) for key, value in node.items() if not isinstance(key, Comment)}
    if isinstance(node, list):
        return [plain(item) for item in node]
    return node


def texts(node: Any) -> Iterator[str]:
    """The text of each comment, in the order of the places."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            if isinstance(key, Comment):
                yield key.text
            yield from texts(value)
    elif isinstance(node, list):
        for item in node:
            yield from texts(item)


def as_yaml(documents: Iterable[Tree]) -> str:
    """The documents as one YAML stream."""
    return "".join("---\n" + "".join(f"{line}\n" for line in _mapping(document, 0)) for document in documents)


def _mapping(tree: Mapping[Any, Any], indent: int) -> Iterator[str]:
    for key, value in tree.items():
        if isinstance(key, Comment):
            yield from _comment(key.text, indent)
        elif isinstance(value, Mapping) and not plain(value):
            # Comments alone would be read as null.
            for text in texts(value):
                yield from _comment(text, indent)
            yield from _dumped({key: {}}, indent)
        elif _commented(value):
            yield f"{' ' * indent}{_scalar(key)}:"
            yield from _mapping(value, indent + 2) if isinstance(value, Mapping) else _items(value, indent + 2)
        else:
            yield from _dumped({key: value}, indent)


def _items(items: Iterable[Any], indent: int) -> Iterator[str]:
    for item in items:
        if isinstance(item, Mapping) and _commented(item):
            lines = list(_mapping(item, indent + 2))
            first = next(n for n, line in enumerate(lines) if not line.lstrip().startswith("#"))
            # The dash belongs to the first key: comments before that stand before the item.
            yield from (line[2:] for line in lines[:first])
            yield f"{' ' * indent}- {lines[first].lstrip()}"
            yield from lines[first + 1 :]
        else:
            yield from _dumped([item], indent)


def _comment(text: str, indent: int) -> Iterator[str]:
    prefix = " " * indent + "# "
    yield from textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=prefix,
        subsequent_indent=prefix + "  ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _commented(node: Any) -> bool:
    return next(texts(node), None) is not None


def _scalar(key: str) -> str:
    return next(iter(_dumped({key: 0}, 0))).rpartition(":")[0]


def _dumped(node: Any, indent: int) -> Iterator[str]:
    text = yaml.dump(node, Dumper=_Dumper, sort_keys=False, width=_WIDTH, allow_unicode=True)
    # An empty line of a literal block needs no indentation.
    yield from (f"{' ' * indent}{line}" if line else "" for line in text.rstrip("\n").split("\n"))


class _Dumper(yaml.SafeDumper):
    """Lists stand two columns further in than their key, and text of several lines is written as such."""

    def ignore_aliases(self, data: Any) -> bool:
        """Never refer to another place: each object stands for itself."""
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        """Indent lists too."""
        super().increase_indent(flow, False)


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)
