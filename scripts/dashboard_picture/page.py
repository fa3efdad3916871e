"""The dashboard as a page, laid out as its file says: 24 columns, panels at their places, in the style of Grafana."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from . import plots
from .answers import Answers, Line
from .units import words

WIDTH, MARGIN, GAP, CELL, COLUMNS = 1280, 12, 8, 21, 24
PADDING, TITLE, LEGEND_LINE = 8, 24, 15
# Of a letter of the legend on average, and of what stands before and behind a name.
LETTER, AROUND = 5.4, 24
STYLE = f"""
* {{ box-sizing: border-box; margin: 0 }}
body {{ width: {WIDTH}px; padding: {MARGIN}px; background: #f1f3f5; color: #24292f }}
body {{ font: 11px "DejaVu Sans", sans-serif }}
header {{ display: flex; gap: 8px; align-items: center; margin-bottom: 10px }}
header h1 {{ font-size: 17px; margin-right: auto }}
header span {{ background: #fff; border: 1px solid #d5d9de; border-radius: 3px; padding: 5px 9px }}
header b {{ font-weight: normal; color: #5a6270; margin-right: 6px }}
main {{ display: grid; grid-template-columns: repeat({COLUMNS}, 1fr); grid-auto-rows: {CELL}px; gap: {GAP}px }}
section {{ background: #fff; border: 1px solid #d5d9de; border-radius: 3px; overflow: hidden; position: relative }}
section.row {{ background: none; border: none }}
h2 {{ font-size: 12px; line-height: {TITLE}px; padding: 0 {PADDING}px; white-space: nowrap }}
.row h2 {{ font-size: 14px; padding: 0 }}
svg {{ display: block; margin: 0 auto; overflow: visible }}
ul {{ list-style: none; display: flex; flex-wrap: wrap; padding: 0 {PADDING}px }}
ul {{ font-size: 10px; line-height: {LEGEND_LINE}px }}
li {{ margin-right: 10px; white-space: nowrap }}
li i {{ display: inline-block; width: 10px; height: 3px; margin-right: 4px; vertical-align: middle }}
.stat svg {{ position: absolute; bottom: 0; left: 0 }}
.stat p {{ font-size: 30px; text-align: center; position: relative }}
.none {{ color: #5a6270; text-align: center; padding-top: 50px }}
"""


def page(answers: Answers) -> str:
    """The whole page."""
    drawn = "\n".join(_panel(panel, answers) for panel in answers.dashboard["panels"])
    return f"""<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>Dashboard</title><style>{STYLE}</style>
<header><h1>{escape(answers.dashboard["title"])}</h1>{_choices(answers)}</header><main>{drawn}</main></html>
"""


def _choices(answers: Answers) -> str:
    """What stands at the top: the variables, and the time."""
    variables = answers.dashboard["templating"]["list"]
    chosen = [(v.get("label", v["name"]), v.get("current", {}).get("text", "Prometheus")) for v in variables]
    span = " to ".join(time.strftime("%H:%M:%S", time.gmtime(at)) for at in (answers.start, answers.end))
    return "".join(f"<span><b>{escape(k)}</b>{escape(v)}</span>" for k, v in [*chosen, ("UTC", span)])


def _panel(panel: Mapping[str, Any], answers: Answers) -> str:
    at = panel["gridPos"]
    place = f"grid-area: {at['y'] + 1} / {at['x'] + 1} / span {at['h']} / span {at['w']}"
    row = panel["type"] == "row"
    title = f"<h2>{'⌄ ' if row else ''}{escape(panel['title'])}</h2>"
    content = "" if row else _content(panel, answers, _size(at))
    return f'<section class="{panel["type"]}" style="{place}">{title}{content}</section>'


def _size(at: Mapping[str, int]) -> tuple[int, int]:
    """Width and height of a panel, inside of its border."""
    column = (WIDTH - 2 * MARGIN - (COLUMNS - 1) * GAP) / COLUMNS
    width, height = (at[side] * (unit + GAP) - GAP for side, unit in (("w", column), ("h", CELL)))
    return int(width) - 2, int(height) - 2


def _content(panel: Mapping[str, Any], answers: Answers, size: tuple[int, int]) -> str:
    lines = answers.lines(panel)
    if not lines:
        return '<p class="none">No data</p>'
    options = panel["fieldConfig"]["defaults"]
    if panel["type"] == "stat":
        return _stat(lines[0].values, options, size)
    width, height = size[0] - 2 * PADDING, size[1] - TITLE - PADDING
    legend_lines = _legend_lines([line.name for line in lines], width)
    plot = plots.timeseries(lines, answers.start, (width, height - legend_lines * LEGEND_LINE), options)
    return plot + _legend(lines)


def _stat(values: Sequence[float], options: Mapping[str, Any], size: tuple[int, int]) -> str:
    last = [value for value in values if not math.isnan(value)][-1]
    said = words(round(last, options["decimals"]), options["unit"])
    return f"{plots.sparkline(values, (size[0], size[1] // 3))}<p>{said}</p>"


def _legend(lines: Sequence[Line]) -> str:
    marks = (f'<i style="background: {plots.color(number)}"></i>' for number in range(len(lines)))
    return "<ul>" + "".join(f"<li>{m}{escape(line.name)}</li>" for m, line in zip(marks, lines, strict=True)) + "</ul>"


def _legend_lines(names: Sequence[str], width: int) -> int:
    """How many lines the legend will have: the plot gets the rest of the panel."""
    count, used = 1, 0.0
    for name in names:
        needed = len(name) * LETTER + AROUND
        count, used = (count, used + needed) if used + needed <= width else (count + 1, needed)
    return count
