"""The plots of panels as SVG that stands in a page: a point of the drawing is a pixel there."""

from __future__ import annotations

import io
import math
import time
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl

mpl.use("svg")
# Text stays text: the browser has the fonts.
mpl.rcParams.update({"svg.hashsalt": "ray-operator", "svg.fonttype": "none", "font.size": 9})

import numpy as np  # noqa: E402
from matplotlib import pyplot as plt  # noqa: E402
from matplotlib.ticker import Locator, MaxNLocator, MultipleLocator  # noqa: E402

from .answers import STEP_SECONDS, Line  # noqa: E402
from .units import words  # noqa: E402

COLORS = (*plt.get_cmap("tab10").colors, *plt.get_cmap("Dark2").colors)  # type: ignore[attr-defined]
INK, GRID = "#5a6270", "#e4e7eb"
POINTS_PER_INCH = 72


def color(number: int) -> str:
    """The colour of a panel's line, as a page writes it."""
    return mpl.colors.to_hex(COLORS[number % len(COLORS)])


def timeseries(lines: Sequence[Line], start: float, size: tuple[int, int], options: dict[str, Any]) -> str:
    """Lines over the time from ``start``, or areas on top of each other. ``options``: the defaults of the panel."""
    figure, axes = _figure(size)
    values = np.array([line.values for line in lines])
    times = start + np.arange(values.shape[1]) * STEP_SECONDS
    colors = [color(number) for number in range(len(lines))]
    stacked = "stacking" in options["custom"]
    if stacked:
        # What is not there adds nothing.
        tops = np.cumsum(np.nan_to_num(values), axis=0)
        axes.stackplot(times, np.nan_to_num(values), colors=colors, alpha=options["custom"]["fillOpacity"] / 100)
        values = np.where(np.isnan(values), np.nan, tops)
    for row, shade in zip(values, colors, strict=True):
        axes.plot(times, row, color=shade, linewidth=options["custom"]["lineWidth"] + 0.2)
    most = np.nanmax(values) if np.isfinite(values).any() else 0.0
    axes.set_ylim(options["min"], most * 1.06 or 1.0)
    axes.set_xlim(times[0], times[-1])
    _dress(axes, options["unit"], times)
    return _svg(figure)


def sparkline(values: Sequence[float], size: tuple[int, int]) -> str:
    """The area behind a number, without a scale."""
    figure, axes = _figure(size)
    figure.set_layout_engine("none")
    axes.set_position((0, 0, 1, 1))
    axes.axis("off")
    axes.fill_between(range(len(values)), values, color=color(0), alpha=0.15, linewidth=0)
    axes.plot(values, color=color(0), linewidth=1)
    axes.set(xlim=(0, len(values) - 1), ylim=(0, (np.nanmax(values) or 1) * 1.1))
    return _svg(figure)


def _figure(size: tuple[int, int]) -> tuple[Any, Any]:
    width, height = (pixels / POINTS_PER_INCH for pixels in size)
    figure, axes = plt.subplots(figsize=(width, height), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.06, h_pad=0.02)  # type: ignore[call-arg, union-attr]
    figure.patch.set_visible(False)
    return figure, axes


def _dress(axes: Any, unit: str, times: Any) -> None:
    """A grid, a few values with their unit, and the time of every full minute."""
    axes.patch.set_visible(False)
    axes.spines[:].set_visible(False)
    axes.grid(color=GRID, linewidth=1)
    axes.tick_params(length=0, labelcolor=INK, pad=4)
    axes.yaxis.set_major_locator(_locator(axes.get_ylim()[1], unit))
    axes.yaxis.set_major_formatter(lambda value, _: words(value, unit))
    minutes = range(60 * math.ceil(times[0] / 60), int(times[-1]) + 1, 60)
    axes.set_xticks(minutes, [time.strftime("%H:%M", time.gmtime(at)) for at in minutes])


def _locator(most: float, unit: str) -> Locator:
    """Values at the axis that are round in their unit."""
    if unit == "bytes" and most > 0:
        return MultipleLocator(2.0 ** math.floor(math.log2(most / 2)))
    return MaxNLocator(5, steps=[1, 2, 5, 10], integer=unit == "none" and most >= 2)


def _svg(figure: Any) -> str:
    written = io.StringIO()
    figure.savefig(written, format="svg", metadata={"Date": None, "Creator": None})
    plt.close(figure)
    text = written.getvalue()
    # The drawing's own width and height are in points, which are larger than pixels.
    return text[text.index("<svg") :].replace('pt"', '"', 2)
