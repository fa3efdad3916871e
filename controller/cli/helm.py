"""Tells the template of a Helm chart from a manifest."""

from __future__ import annotations

import re

# An action, in the first group. A text in quotes and a comment are YAML, whatever is in them.
_TOKEN = re.compile(
    r"""(\{\{-?\s*(?:[.$"(\w].*?\}\}|/\*.*))|(?<![^\s\[{,])(?:"(?:[^"\\]|\\.)*"|'[^']*')|(?:^|\s)\#.*"""
)
# What begins a text of several lines, all indented further.
_BLOCK = re.compile(r"(?:[:-]\s+|^\s*)[|>][-+0-9]*\s*$")
_LONGEST = 60
# Of a line; one that is longer is no template that people write.
_WIDTH = 2000


def template_action(text: str, line: int) -> str:
    """The first ``{{ … }}`` outside of a text up to this line, counted from 0; empty where there is none.

    YAML reads it as mappings in each other, most often as none at all.
    """
    block = -1
    for written in text.splitlines()[: line + 1]:
        indent = len(written) - len(written.lstrip())
        if not written.strip() or indent > block >= 0:
            continue
        block = indent if _BLOCK.search(written[:_WIDTH]) else -1
        action = next((found[1] for found in _TOKEN.finditer(written[:_WIDTH]) if found[1]), "")
        if action:
            return action if len(action) <= _LONGEST else f"{action[: _LONGEST - 3]}..."
    return ""
