"""The picture of the dashboard: each panel is drawn, with what its queries were answered."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import dashboard
import pytest
from dashboard_picture.answers import STEP_SECONDS, Answers
from dashboard_picture.page import page
from dashboard_picture.units import words

DASHBOARD = json.loads(dashboard.FILE.read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


class Source:
    """Answers every query with a series for each of its values, which has a gap in the middle."""

    def __init__(self, *values: str) -> None:
        self.asked: list[str] = []
        self._values = values

    def query_range(self, text: str, start: float, end: float, step: float) -> list[dict[str, Any]]:
        self.asked.append(text)
        return [
            {"metric": {"phase": f"phase-{value}"}, "values": [[start, value], [start + 2 * step, value]]}
            for value in self._values
        ]


def answers(source: Source) -> Answers:
    return Answers(source, DASHBOARD, 1_700_000_000, 1_700_000_000 + 2 * STEP_SECONDS)


def test_each_panel_is_drawn_with_its_title_and_legend() -> None:
    drawn = page(answers(Source("3", "NaN")))
    assert drawn.count("<svg") == len(PANELS)
    assert all(f"{panel['title']}</h2>" in drawn for panel in PANELS)
    assert "</i>phase-3</li>" in drawn


def test_a_panel_without_an_answer_says_so() -> None:
    assert page(answers(Source())).count("No data") == len(PANELS)


def test_no_variable_is_left_in_a_query() -> None:
    source = Source()
    page(answers(source))
    # A dollar before a letter; at the end of a pattern it is none.
    assert source.asked and not [query for query in source.asked if re.search(r"\$\w", query)]


def test_a_value_that_is_missing_or_no_number_is_a_gap() -> None:
    (panel,) = (panel for panel in PANELS if panel["title"] == "Clusters by phase")
    first, second = answers(Source("3", "NaN")).lines(panel)
    assert (first.name, first.values[0], math.isnan(first.values[1]), first.values[2]) == ("phase-3", 3, True, 3)
    assert all(map(math.isnan, second.values))


@pytest.mark.parametrize(
    ("value", "unit", "said"),
    [
        (0.0, "s", "0 s"),
        (0.00025, "s", "250 µs"),
        (1.5, "s", "1.5 s"),
        (90.0, "s", "1.5 min"),
        (32 * 2.0**20, "bytes", "32 MiB"),
        (12345.0, "none", "12,345"),
        (0.5, "ops", "0.5 ops/s"),
        (0.0, "reqps", "0 req/s"),
    ],
)
def test_values_are_said_in_their_unit(value: float, unit: str, said: str) -> None:
    assert words(value, unit) == said
