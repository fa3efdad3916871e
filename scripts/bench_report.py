"""Write docs/performance.md and its plots from the JSON files that the benchmarks left under build/bench.

A row whose benchmark has not run says so. Run `make bench` first; `--check` only says whether the page would change.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import bench_model
import bench_plots
from bench_figures import FIGURES, Results

ROOT = Path(__file__).resolve().parent.parent
BENCH = ROOT / "build" / "bench"
PAGE = ROOT / "docs" / "performance.md"
PLOTS = ROOT / "docs" / "images"
# Name of the scenarios -> what their size is.
GROWTH = {"burst": "pods", "standing": "clusters", "shards": "operators"}
BEGIN, END = "<!-- figures: written by make bench-report -->", "<!-- end of figures -->"


SHARES = "shards"
SHARED = (
    "4,000 pods in 100 clusters, made on two cores by one operator, and by several that "
    "[share the clusters](high-availability.md#shards)."
)


def shared(results: Results) -> Iterator[str]:
    """How several operators share the clusters."""
    yield "| operators | pods per second | CPU of all | the busiest one | memory (RSS) of each |"
    yield "|---|---|---|---|---|"
    for found in sized(results, SHARES):
        cpu, memory = found["cpu_seconds"], found["rss_mb"]
        yield (
            f"| {found['operators']} | {found['pods_per_second']:.0f} | {sum(cpu):.1f} s | {max(cpu):.1f} s "
            f"| {min(memory):.0f} to {max(memory):.0f} MB |"
        )


def read(folder: Path) -> dict[str, Any]:
    """What the benchmarks wrote: name of the file -> its content."""
    return {file.stem: json.loads(file.read_text()) for file in sorted(folder.glob("*.json"))}


def table(results: Results) -> Iterator[str]:
    """The table of figures and targets."""
    yield "| what | figure | target | reached | command |"
    yield "|---|---|---|---|---|"
    yield from (figure.row(results) for figure in FIGURES)


def growth(results: Results) -> Iterator[str]:
    """How bursts and standing clusters grow: tables, from the smallest to the largest."""
    yield from _plot("burst", "Pods per second and CPU seconds, operator and bare client")
    yield "| pods in a burst | pods per second | share | CPU per 1,000 pods | memory (RSS) |"
    yield "|---|---|---|---|---|"
    for found in sized(results, "burst"):
        cpu = found["cpu_seconds"] / found["pods"] * 1000
        yield (
            f"| {found['pods']:,} in {found['clusters']:,} clusters | {found['pods_per_second']:.0f} "
            f"| {found['share_of_limit']:.2f} | {cpu:.2f} s | {found['rss_mb']:.0f} MB |"
        )
    yield ""
    yield from _plot("standing", "Memory, and seconds until ready, over the number of clusters at rest")
    yield "| clusters at rest | pods | until ready | CPU for the start | memory (RSS) | requests per second | cores |"
    yield "|---|---|---|---|---|---|---|"
    for found in sized(results, "standing"):
        yield (
            f"| {found['clusters']:,} | {found['pods']:,} | {found['ready_seconds']:.1f} s "
            f"| {found['start_cpu_seconds']:.1f} s | {found['rss_mb']:.0f} MB "
            f"| {found['idle_requests_per_second']:.2f} | {found['idle_cores']:.4f} |"
        )


def _plot(name: str, text: str) -> Iterator[str]:
    yield f"![{text}](images/performance-{name}.svg)"
    yield ""


def sized(results: Results, name: str) -> list[Any]:
    """The scenarios of a name, from the smallest to the largest."""
    scenarios = results.get("burst", {}).get("scenarios", {})
    found = (scenario for n, scenario in scenarios.items() if n.split("-")[0] == name)
    return sorted(found, key=lambda scenario: float(scenario[GROWTH[name]]))


def figures(results: Results) -> str:
    """The part of the page that is written anew."""
    burst = results.get("burst", {})
    cores, day = burst.get("cores", os.cpu_count()), str(burst.get("at", ""))[:10]
    lines = [
        f"Measured on one machine with {cores} cores{f', last on {day}' if day else ''}.",
        "",
        *table(results),
        "",
        "## How it grows",
        "",
        *growth(results),
        "",
        "## How operators share",
        "",
        SHARED,
        "",
        *shared(results),
        "",
        "## How far it goes",
        "",
        *bench_model.section(results),
    ]
    return "\n".join(lines)


def page(text: str, results: Results) -> str:
    """The page with new figures.

    Raises:
        ValueError: it has no place for them.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"no place for figures: {BEGIN} and {END} are missing")
    return f"{before}{BEGIN}\n\n{figures(results)}\n\n{END}{after}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the page; 1 with ``--check`` where that would change it, 2 without results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 if the page is not up to date")
    options = parser.parse_args(arguments)
    results = read(BENCH)
    if not results:
        print(f"bench-report: no results under {BENCH.relative_to(ROOT)}; run make bench first", file=sys.stderr)
        return 2
    new = page(PAGE.read_text(), results)
    if options.check:
        return int(new != PAGE.read_text())
    PAGE.write_text(new)
    for name, draw in (("burst", bench_plots.burst), ("standing", bench_plots.standing)):
        draw(sized(results, name), PLOTS / f"performance-{name}.svg")
    print(f"Written: {PAGE.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
