"""Pages whose commands and outputs are checked, and written anew when they are meant to change."""

from __future__ import annotations

from collections.abc import Iterable


def with_outputs(page: str, outputs: Iterable[str]) -> str:
    """The page with other outputs behind its commands, in the order of the commands."""
    coming = iter(outputs)
    lines: list[str] = []
    block = first = False
    for line in page.splitlines():
        if line.startswith("```"):
            block = first = not block and line == "```console"
        elif block and line.startswith("$ "):
            lines += [line] if first else ["", line]
            lines += [printed.rstrip() for printed in next(coming).splitlines() if printed.strip()]
            first = False
            continue
        elif block:
            continue
        lines.append(line)
    return "\n".join(lines) + "\n"
