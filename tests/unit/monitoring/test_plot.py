"""Plots of the last hour: what they draw, and what they say to those who do not see them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any
from xml.etree import ElementTree

import pytest

from controller.monitoring import plot
from controller.monitoring.history import SLOTS, UNKNOWN, Hour

U = UNKNOWN


def series(*last: float, before: float = U) -> list[float]:
    """A series that ends with these values."""
    return [before] * (SLOTS - len(last)) + list(last)


def hour(**some: Sequence[float]) -> Hour:
    values: dict[str, Any] = dict.fromkeys(("ready", "wanted", "waiting", "to_pod", "to_node"), series())
    return Hour(**{**values, **some})


def paths(svg: str) -> list[str]:
    return [element.attrib["d"] for element in ElementTree.fromstring(svg) if element.tag == "path"]


def title(svg: str) -> str:
    return str(ElementTree.fromstring(svg).findtext("title"))


# What waited, and the path: M goes to (slot, height from the top), V to a height, h on by so many slots.
DRAWN = {
    "nothing is known": (series(), ""),
    "nothing waits": (series(before=0), f"M0 100V100h{SLOTS}V100z"),
    "all of the height is the most there was": (series(8, 8, 4, 2), "M116 100V0h2V50h1V75h1V100z"),
    "less than one does not fill it": (series(0.5), "M119 100V50h1V100z"),
    "a gap": (series(4, U, U, 4), "M116 100V0h1V100zM119 100V0h1V100z"),
    "a gap at the end": (series(4, U), "M118 100V0h1V100z"),
}


@pytest.mark.parametrize(("waiting", "path"), DRAWN.values(), ids=DRAWN)
def test_demand_is_an_area_of_steps(waiting: Sequence[float], path: str) -> None:
    assert paths(plot.demand(hour(waiting=waiting))) == [path]


def test_a_small_one_has_the_largest_value_of_each_minute() -> None:
    svg = plot.demand(hour(waiting=series(0, 4, 2, 1)), small=True)
    assert paths(svg) == ["M58 100V0h1V50h1V100z"]
    assert f'viewBox="0 0 {SLOTS // 2} 100"' in svg


def test_ready_workers_are_an_area_below_the_line_of_wanted_ones_and_share_its_scale() -> None:
    assert paths(plot.workers(hour(ready=series(2), wanted=series(8)))) == ["M119 100V75h1V100z", "M119 0h1"]


def test_latencies_share_a_scale() -> None:
    assert paths(plot.latency(hour(to_pod=series(5), to_node=series(20)))) == [
        "M119 100V0h1V100z",
        "M119 100V75h1V100z",
    ]


SAID = {
    "workers": (
        plot.workers, hour(ready=series(1, 1500, 3), wanted=series(4)),
        "Workers in the last hour: 1 to 1,500 ready, 4 wanted",
    ),
    "demand": (plot.demand, hour(waiting=series(0, 12)), "Demand in the last hour: 0 to 12 waiting"),
    "unknown": (plot.demand, hour(), "Demand in the last hour: unknown"),
    "latency": (
        plot.latency, hour(to_pod=series(0.25, 3), to_node=series(12, 600)),
        "Latency in the last hour: at most 3.0 s to a pod, 10 min to a Ray node",
    ),
    "no latency": (plot.latency, hour(), "Latency in the last hour: no pod was made"),
}  # fmt: skip


@pytest.mark.parametrize(("draw", "of", "text"), SAID.values(), ids=SAID)
def test_what_is_drawn_is_said_too(draw: Any, of: Hour, text: str) -> None:
    assert title(draw(of)) == text
    assert 'role="img"' in draw(of)


def test_the_largest_plot_is_small() -> None:
    """Every value another one, and all of them known."""
    busy = [float(1 + number * 37 % 101) for number in range(SLOTS)]
    drawn = plot.workers(hour(ready=busy, wanted=busy[::-1]), small=True)
    assert len(drawn) < 1500
    assert not re.search(r"[<>\"]", "".join(paths(drawn)))
