"""Small plots of the last hour as SVG that stands in the page itself. Pure; made of numbers alone, whatever names are.

A value holds for its whole slot: curves are steps. Colours and sizes are the page's, by the classes of the curves.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from .history import SLOTS, Hour

# Units of the drawing, which the page stretches: one across is one value.
HEIGHT = 100
# Less than so much, of workers, work or seconds, does not fill the height.
LEAST_TOP = 1.0


def workers(hour: Hour, *, small: bool = False) -> str:
    """Workers that are ready, below the line of those that are wanted."""
    curves = (("ready", hour.ready), ("line wanted", hour.wanted))
    return _svg(f"Workers in the last hour: {said_workers(hour)}", curves, small)


def demand(hour: Hour, *, small: bool = False) -> str:
    """Work that waits."""
    return _svg(f"Demand in the last hour: {said_demand(hour)}", (("waiting", hour.waiting),), small)


def latency(hour: Hour, *, small: bool = False) -> str:
    """How long pods took to come, and to become Ray nodes."""
    curves = (("node", hour.to_node), ("pod", hour.to_pod))
    return _svg(f"Latency in the last hour: {said_latency(hour)}", curves, small)


def said_workers(hour: Hour) -> str:
    """The plot of workers in words."""
    told = (_range(hour.ready, "ready"), _range(hour.wanted, "wanted"))
    return ", ".join(dict.fromkeys(told))


def said_demand(hour: Hour) -> str:
    """The plot of waiting work in words."""
    return _range(hour.waiting, "waiting")


def said_latency(hour: Hour) -> str:
    """The plot of latencies in words."""
    longest = (("to a pod", most(hour.to_pod)), ("to a Ray node", most(hour.to_node)))
    told = ", ".join(f"{seconds(value)} {name}" for name, value in longest if value is not None)
    return f"at most {told}" if told else "no pod was made"


def slowest(hour: Hour) -> float | None:
    """The longest time of all; None when nothing took time."""
    return most((*hour.to_pod, *hour.to_node))


def seconds(value: float) -> str:
    """A time for people."""
    if value < 10:
        return f"{value:.1f} s"
    return f"{value:.0f} s" if value < 120 else f"{value / 60:.0f} min"


def most(values: Sequence[float]) -> float | None:
    """The largest of those that are known."""
    largest = max(values)
    return None if largest < 0 else largest


def _range(values: Sequence[float], what: str) -> str:
    known = [value for value in values if value >= 0]
    if not known:
        return "unknown"
    least, largest = f"{min(known):,.0f}", f"{max(known):,.0f}"
    return f"{least} {what}" if least == largest else f"{least} to {largest} {what}"


def _svg(text: str, curves: Sequence[tuple[str, Sequence[float]]], small: bool) -> str:
    """Small ones have a value a minute, the largest: there are many, and more could not be seen."""
    top = max(LEAST_TOP, *(max(values) for _, values in curves))
    if small:
        curves = [(style, list(map(max, values[::2], values[1::2]))) for style, values in curves]
    paths = "".join(f'<path class="{style}" d="{_steps(style, values, top)}"/>' for style, values in curves)
    frame = f'viewBox="0 0 {SLOTS // 2 if small else SLOTS} {HEIGHT}" preserveAspectRatio="none" role="img"'
    return f'<svg class="plot" {frame}><title>{text}</title>{paths}</svg>'


def _steps(style: str, values: Sequence[float], top: float) -> str:
    """The path of a curve, with gaps where nothing is known. What is no line is an area above the ground."""
    ground = "" if "line" in style else f"V{HEIGHT}"
    parts: list[str] = []
    slot, at = 0, -1
    for value, same in groupby(values):
        length = sum(1 for _ in same)
        if value < 0:
            parts += [f"{ground}z"] if ground and at >= 0 else []
            at = -1
        else:
            y = HEIGHT - round(value / top * HEIGHT)
            begin = f"M{slot} {HEIGHT}V{y}" if ground else f"M{slot} {y}"
            parts += [begin] if at < 0 else [f"V{y}"] if y != at else []
            parts.append(f"h{length}")
            at = y
        slot += length
    return "".join(parts) + (f"{ground}z" if ground and at >= 0 else "")
