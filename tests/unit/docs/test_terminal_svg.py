"""A recorded terminal session as a picture: every line is there, and comes when it came."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from terminal_svg import LONGEST_PAUSE, ROWS, Line, draw, hurried

SVG = "{http://www.w3.org/2000/svg}"


def shown(svg: str) -> str:
    """What the picture says, without its title."""
    matrix = next(g for g in ElementTree.fromstring(svg).iter(f"{SVG}g") if "matrix" in g.get("class", ""))
    return "".join(text.text or "" for text in matrix.iter(f"{SVG}text")).replace("\xa0", " ")


def test_pauses_are_cut_and_the_order_stays() -> None:
    lines = [Line(0.5, "a"), Line(60.0, "b"), Line(60.2, "c"), Line(50.0, "d")]
    times = [round(line.at, 3) for line in hurried(lines)]
    assert times == [0.5, 0.5 + LONGEST_PAUSE, 0.7 + LONGEST_PAUSE, 0.7 + LONGEST_PAUSE]


def test_the_picture_holds_the_text_with_its_colours_and_no_control_character() -> None:
    svg = draw("make demo", [Line(0.0, "\033[1m$ make demo\033[0m"), Line(1.0, "a <b> & c")])
    assert shown(svg) == "$ make demoa <b> & c"
    assert "font-weight: bold" in svg
    assert "\033" not in svg


def test_rows_beyond_the_window_are_scrolled_in() -> None:
    lines = [Line(float(n), f"row {n}") for n in range(ROWS + 5)]
    svg = draw("x", lines)
    assert all(f"row {n}" in shown(svg) for n in range(ROWS + 5))
    assert len(re.findall(r"@keyframes row-\d+", svg)) == ROWS
    # Where it ends, and where those see it who ask for reduced motion.
    assert ".scroll { transform: translateY(-122.0px); animation: scroll" in svg


def test_a_long_line_is_wrapped() -> None:
    svg = draw("x", [Line(0.0, "word " * 40)])
    assert shown(svg).replace(" ", "") == "word" * 40
    assert re.findall(r"@keyframes (row-\d+)", svg) == ["row-0", "row-1"]
