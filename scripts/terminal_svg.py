"""A recorded terminal session as an animated picture: its lines come as they came, with shorter pauses.

Rich draws the terminal and the colours; here the lines get their times. Who asks for reduced motion sees the end.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

COLUMNS = 104
ROWS = 30
LONGEST_PAUSE = 1.2
HOLD_SECONDS = 8.0
_ROW = 24.4
_TEMPLATE = """\
<svg class="terminal" viewBox="0 0 {{width}} {height:.1f}" xmlns="http://www.w3.org/2000/svg">
<style>
.{{unique_id}}-matrix {{{{ font-family: ui-monospace, Menlo, Consolas, monospace; font-size: 20px; }}}}
.{{unique_id}}-title {{{{ font-size: 18px; font-weight: bold; font-family: sans-serif; }}}}
{{styles}}
{animation}
</style>
<defs><clipPath id="{{unique_id}}-window">
<rect x="0" y="0" width="{{terminal_width}}" height="{inside:.1f}"/>
</clipPath></defs>
<rect fill="#0c0c0c" x="1" y="1" width="{{width}}" height="{height:.1f}" rx="8"/>
<text class="{{unique_id}}-title" fill="#c5c8c6" text-anchor="middle" x="50%" y="27">{title}</text>
<g transform="translate(9, 41)" clip-path="url(#{{unique_id}}-window)">
<g class="{{unique_id}}-matrix scroll">
{{matrix}}
</g></g>
</svg>
"""


@dataclass(frozen=True)
class Line:
    """A line of a terminal, with its colours. ``at``: seconds from the beginning to its end."""

    at: float
    text: str


def hurried(lines: Iterable[Line]) -> list[Line]:
    """The same lines with no pause longer than LONGEST_PAUSE."""
    made: list[Line] = []
    before = now = 0.0
    for line in lines:
        now += min(max(0.0, line.at - before), LONGEST_PAUSE)
        before = line.at
        made.append(Line(now, line.text))
    return made


def draw(title: str, lines: Sequence[Line], name: str = "session") -> str:
    """The picture of the lines, as SVG."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    times: list[float] = []
    for line in lines:
        for row in Text.from_ansi(line.text).wrap(console, COLUMNS) or [Text()]:
            console.print(row, no_wrap=True, overflow="ignore", crop=True)
            times.append(line.at)
    inside = ROWS * _ROW
    template = _TEMPLATE.format(title=title, inside=inside, height=inside + 53, animation=_braces(_animation(times)))
    svg = console.export_svg(title=title, theme=MONOKAI, code_format=template, unique_id=name)
    svg = re.sub(rf'<text ([^>]*?) clip-path="url\(#{name}-line-(\d+)\)">', _with_row, svg)
    return re.sub(r"<text [^>]*>\s*</text>", "", svg)


def _with_row(found: re.Match[str]) -> str:
    row = int(found[2])
    shown = found[1].replace('class="', f'class="row-{row} ', 1) if row < ROWS else found[1]
    return f"<text {shown}>"


def _animation(times: Sequence[float]) -> str:
    """Rules by which the first rows appear, and all others are scrolled in from below."""
    whole = times[-1] + HOLD_SECONDS
    rules = [_appears(row, at / whole) for row, at in enumerate(times[:ROWS])]
    steps = [(0.0, 0)] + [(at / whole, row - ROWS + 1) for row, at in enumerate(times) if row >= ROWS]
    moves = " ".join(f"{100 * at:.3f}% {{ transform: {_up(by)}; }}" for at, by in steps)
    rows = " ".join(f".row-{row} {{ animation: row-{row} {whole:.1f}s step-end infinite; }}" for row in range(ROWS))
    end = _up(max(0, len(times) - ROWS))
    return "\n".join(
        [
            *rules,
            f"@keyframes scroll {{ {moves} 100% {{ transform: {end}; }} }}",
            f".scroll {{ transform: {end}; animation: scroll {whole:.1f}s step-end infinite; }}",
            rows,
            "@media (prefers-reduced-motion: reduce) { .scroll, .scroll * { animation: none; } }",
        ]
    )


def _appears(row: int, at: float) -> str:
    return f"@keyframes row-{row} {{ 0% {{ opacity: 0; }} {100 * at:.3f}%, 100% {{ opacity: 1; }} }}"


def _up(rows: int) -> str:
    return f"translateY({-rows * _ROW:.1f}px)"


def _braces(text: str) -> str:
    """Text that str.format leaves as it is."""
    return text.replace("{", "{{").replace("}", "}}")
