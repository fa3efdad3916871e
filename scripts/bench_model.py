"""What so many clusters and pods take, as lines through what the benchmarks measured; and what ends first.

Everything that is measured grows in proportion to clusters and pods, with something that is there without any. The
model is fitted to all sizes but one, and that one says how far it can be trusted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Results = Mapping[str, Any]
Row = Mapping[str, Any]

CLUSTERS, PODS, ACTIVE_SHARE = 10_000, 250_000, 0.01
OPERATORS = (1, 2, 4, 8)
# The size that no line is fitted to.
CHECK = "checked"
FITTED = ("standing-tiny", "standing-small", "standing", "wide")
# What Python can use of a machine in one process.
MOST_CORES = 1.0
# The API server's answer to a list has so many objects at most.
PAGE = 500


@dataclass(frozen=True)
class Line:
    """``without`` any cluster, ``cluster`` for each one and ``pod`` for each pod."""

    without: float
    cluster: float
    pod: float

    def at(self, clusters: float, pods: float) -> float:
        """What it is with so many."""
        return self.without + self.cluster * clusters + self.pod * pods


def fitted(rows: Sequence[Row], key: str) -> Line:
    """The line with the least relative errors. No part of it is below nothing: what a fit makes so is left out."""
    values = np.array([float(row[key]) for row in rows])
    parts = np.array([[1.0, float(row["clusters"]), float(row["pods"])] for row in rows])
    weights = 1 / np.maximum(values, 0.01 * values.max())
    kept = [0, 1, 2]
    while True:
        found, *_ = np.linalg.lstsq(parts[:, kept] * weights[:, None], values * weights, rcond=None)
        if not kept or found.min() >= 0:
            break
        kept.pop(int(found.argmin()))
    line = dict(zip(kept, found.tolist(), strict=True))
    return Line(*(line.get(part, 0.0) for part in (0, 1, 2)))


QUANTITIES: Mapping[str, tuple[str, Callable[[float], str]]] = {
    "rss_mb": ("memory (RSS)", "{:,.0f} MB".format),
    "start_cpu_seconds": ("CPU for the start", "{:.1f} s".format),
    "idle_cores": ("cores at rest", "{:.4f}".format),
}


def checked(results: Results) -> Iterator[str]:
    """The size that no line is fitted to: measured, and by the model."""
    known, lines = results["burst"]["scenarios"][CHECK], _lines(results)
    yield f"| {known['clusters']:,} clusters, {known['pods']:,} pods | by the model | measured |"
    yield "|---|---|---|"
    for key, (what, text) in QUANTITIES.items():
        yield f"| {what} | {text(lines[key].at(known['clusters'], known['pods']))} | {text(known[key])} |"


def head_cores(results: Results) -> float:
    """What one head takes, of which few have work."""
    cases = {case["case"]: case for case in results["poller"]["cases"]}
    idle, waiting = (cases[name]["cores"] / cases[name]["heads"] for name in ("idle", "work waits"))
    return float(idle + ACTIVE_SHARE * (waiting - idle))


def predicted(results: Results) -> Iterator[str]:
    """The clusters shared by several operators. Each lists and watches all pods and keeps those of its own clusters."""
    lines = _lines(results)
    yield "| operators | memory (RSS) of each | cores of each at rest | requests of each start | CPU of each start |"
    yield "|---|---|---|---|---|"
    for operators in OPERATORS:
        clusters, pods = CLUSTERS / operators, PODS / operators
        memory = lines["rss_mb"].at(clusters, pods)
        cores = lines["idle_cores"].at(clusters, pods) + head_cores(results) * clusters
        enough = "" if cores < MOST_CORES else ", more than a process has"
        least, most = (lines["start_cpu_seconds"].at(clusters, p) for p in (pods, PODS))
        cpu = f"{least:.0f} s" if operators == 1 else f"{least:.0f} to {most:.0f} s"
        # RayClusters, a Service for each, and pods.
        lists = (2 * CLUSTERS + PODS) / PAGE
        yield f"| {operators} | {memory:,.0f} MB | {cores:.2f}{enough} | {lists:,.0f} | {cpu} |"


def _lines(results: Results) -> Mapping[str, Line]:
    scenarios = results["burst"]["scenarios"]
    return {key: fitted([scenarios[name] for name in FITTED], key) for key in QUANTITIES}


def first_end(results: Results) -> str:
    """What ends first when clusters of this size get more and more under one operator."""
    lines, each_pods = _lines(results), PODS / CLUSTERS
    each = head_cores(results) + lines["idle_cores"].cluster + lines["idle_cores"].pod * each_pods
    most = round((MOST_CORES - lines["idle_cores"].without) / each, -2)
    memory, speed = (
        lines["rss_mb"].at(most, most * each_pods),
        results["burst"]["scenarios"]["burst"]["pods_per_second"],
    )
    return (
        f"The first to end is the one core that a Python process has: at {most:,.0f} clusters of {each_pods:.0f} pods,"
        "\nof which one in a hundred has waiting work, asking the heads fills it, in "
        f"{memory:,.0f} MB.\nBeyond that answers get older, and nothing else happens. The API server takes "
        f"{PODS / speed / 60:.0f} minutes for the pods\nalone, at the {speed:.0f} a second that are measured here."
    )


def section(results: Results) -> Iterator[str]:
    """The part of the page about more than was measured."""
    try:
        lines = [*checked(results), "", *predicted(results), "", first_end(results)]
    except LookupError:
        lines = ["not measured"]
    yield "Lines through the sizes that were measured, for memory and CPU by cluster and by pod. One size was left out,"
    yield "to see how far they can be trusted:"
    yield ""
    yield from lines[:6]
    if len(lines) > 6:
        yield f"{CLUSTERS:,} clusters with {PODS:,} pods, one in a hundred with waiting work, by the same lines:"
        yield ""
        yield from lines[6:]
