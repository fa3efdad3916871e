"""The plots of docs/performance.md, from what the benchmarks wrote. The same figures give the same bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")
# Text stays text, and a reader's dark page shines through less than half of a white card.
mpl.rcParams.update({"svg.hashsalt": "ray-operator", "svg.fonttype": "none", "font.size": 11, "axes.grid": True})

from matplotlib import pyplot as plt  # noqa: E402

OPERATOR, BARE = "#1f6feb", "#8b949e"
WIDTH, HEIGHT = 7.2, 3.2


def burst(found: Sequence[Mapping[str, Any]], file: Path) -> None:
    """Pods per second, and CPU per 1,000 pods, over the size of the burst; beside the bare client's."""
    names = [f"{row['pods']:,}" for row in found]
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, HEIGHT), layout="constrained")
    left.plot(names, [row["bare_pods_per_second"] for row in found], "o--", color=BARE, label="bare client")
    left.plot(names, [row["pods_per_second"] for row in found], "o-", color=OPERATOR, label="operator")
    left.set(xlabel="pods in the burst", ylabel="pods per second")
    for key, style, color in (("bare_cpu_seconds", "o--", BARE), ("cpu_seconds", "o-", OPERATOR)):
        right.plot(names, [row[key] / row["pods"] * 1000 for row in found], style, color=color)
    right.set(xlabel="pods in the burst", ylabel="CPU seconds per 1,000 pods")
    figure.legend(loc="outside upper center", ncols=2, frameon=False)
    for axes in (left, right):
        axes.set_ylim(bottom=0)
    _write(figure, file)


def standing(found: Sequence[Mapping[str, Any]], file: Path) -> None:
    """Memory, and the time of a start, over the number of pods that are there."""
    names = [f"{row['clusters']:,}\n({row['pods']:,} pods)" for row in found]
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, HEIGHT), layout="constrained")
    left.bar(names, [row["rss_mb"] for row in found], color=OPERATOR, width=0.5)
    left.set(xlabel="clusters at rest", ylabel="memory (RSS), MB")
    right.bar(names, [row["ready_seconds"] for row in found], color=OPERATOR, width=0.5)
    right.set(xlabel="clusters at rest", ylabel="seconds until ready")
    _write(figure, file)


def _write(figure: Any, file: Path) -> None:
    figure.savefig(file, metadata={"Date": None, "Creator": None})
    plt.close(figure)
    # Matplotlib leaves blanks at the ends of lines.
    file.write_text("\n".join(line.rstrip() for line in file.read_text().splitlines()) + "\n")
