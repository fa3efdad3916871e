"""Write docs/performance.md and its plots from the JSON files that the benchmarks left under build/bench.

A row whose benchmark has not run says so. Run `make bench` first; `--check` only says whether the page would change.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bench_model
import bench_plots

ROOT = Path(__file__).resolve().parent.parent
BENCH = ROOT / "build" / "bench"
PAGE = ROOT / "docs" / "performance.md"
PLOTS = ROOT / "docs" / "images"
# Name of the scenarios -> what their size is.
GROWTH = {"burst": "pods", "standing": "clusters", "shards": "operators"}
BEGIN, END = "<!-- figures: written by make bench-report -->", "<!-- end of figures -->"
# Of one JSON file: name of the benchmark -> what it wrote.
Results = Mapping[str, Any]
MISSING = "not measured"


@dataclass(frozen=True)
class Figure:
    """A row of the page. ``bound``: the most that the figure may be, or with ``least`` the least. ``unit``: said behind
    both. ``command``: what measures it.
    """

    what: str
    value: Callable[[Results], float]
    bound: float
    unit: str
    command: str
    least: bool = False

    def row(self, results: Results) -> str:
        """A line of the table."""
        target = f"{'≥' if self.least else '≤'} {_number(self.bound)}{self.unit}"
        try:
            value = self.value(results)
        except LookupError:
            return f"| {self.what} | {MISSING} | {target} | | `{self.command}` |"
        reached = "yes" if (value >= self.bound if self.least else value <= self.bound) else "no"
        return f"| {self.what} | {_number(value)}{self.unit} | {target} | {reached} | `{self.command}` |"


def _scenario(name: str, *path: str) -> Callable[[Results], float]:
    def value(results: Results) -> float:
        found = results["burst"]["scenarios"][name]
        for key in path:
            found = found[key]
        return float(found)

    return value


def _only(name: str) -> str:
    return f"make bench-burst BENCH_OPTIONS='--only {name}'"


def _edit_over_api(results: Results) -> float:
    edited = results["burst"]["scenarios"]["edited"]
    return float(
        edited["wait_seconds"]["p99"] - edited["api_answer_seconds"]["p99"] - edited["bare_create_seconds"]["p50"]
    )


def _writes_after_start(results: Results) -> float:
    # The Lease and the Events about leading are of every start.
    return float(sum(results["burst"]["scenarios"]["standing"]["writes_after_start"].values()))


def _heads(case: str, key: str) -> Callable[[Results], float]:
    return lambda results: float({row["case"]: row for row in results["poller"]["cases"]}[case][key])


FIGURES = (
    Figure(
        "10,000 pods in 100 clusters: pods per second, as a share of the bare client's",
        _scenario("burst", "share_of_limit"),
        0.85,
        "",
        _only("burst"),
        least=True,
    ),
    Figure(
        "the same: CPU of the operator, times the bare client's",
        _scenario("burst", "cpu_ratio"),
        1.5,
        "×",
        _only("burst"),
    ),
    Figure("the same: memory (RSS) of the operator", _scenario("burst", "rss_mb"), 100, " MB", _only("burst")),
    Figure(
        "their deletion, times the API server's own", _scenario("burst", "deletion", "ratio"), 1.2, "×", _only("burst")
    ),
    Figure(
        "2,000 pods until they run, with the scheduler: share of the bare client's pods per second",
        _scenario("running", "share_of_limit"),
        0.85,
        "",
        _only("running"),
        least=True,
    ),
    Figure(
        "one cluster takes 5,000 pods, 50 others ask for one: their wait, p99",
        _scenario("fairness", "wait_seconds", "p99"),
        0.1,
        " s",
        _only("fairness"),
    ),
    Figure(
        "1,000 clusters of 11 pods at rest: requests per second",
        _scenario("standing", "idle_requests_per_second"),
        1.0,
        "",
        _only("standing"),
    ),
    Figure("the same: cores", _scenario("standing", "idle_cores"), 0.05, "", _only("standing")),
    Figure("the same: memory (RSS)", _scenario("standing", "rss_mb"), 300, " MB", _only("standing")),
    Figure("start beside them: until ready", _scenario("standing", "ready_seconds"), 5.0, " s", _only("standing")),
    Figure("start beside them: writes", _writes_after_start, 0, "", _only("standing")),
    Figure(
        "one of 1,000 RayClusters is edited: until its pod is there, over the API server's own time, p99",
        _edit_over_api,
        0.05,
        " s",
        _only("edited"),
    ),
    Figure(
        "the scheduler, when all work asks for a label: CPU, times that without labels",
        lambda results: float(results["scheduler"]["labelled"]),
        1.1,
        "×",
        "make bench-scheduler",
    ),
    Figure("1,000 Ray heads are asked, none has work: cores", _heads("idle", "cores"), 0.5, "", "make bench-poller"),
    Figure(
        "the same: age of the oldest answer", _heads("idle", "oldest_answer_seconds"), 3.0, " s", "make bench-poller"
    ),
    Figure(
        "ten of them get work every few seconds: until the operator knows, p99",
        _heads("some active", "seen_seconds_p99"),
        1.0,
        " s",
        "make bench-poller",
    ),
    Figure(
        "a task waits on real Ray: until its pod is created, median",
        lambda r: float(r["autoscaling-latency"]["waiting_task_to_pod_created"]["median"]),
        0.5,
        " s",
        "make bench-latency",
    ),
    Figure(
        "1,000 clusters come and go: growth of memory (RSS) over the last three quarters",
        lambda r: r["churn"]["memory_mb"][-1] - r["churn"]["memory_mb"][len(r["churn"]["memory_mb"]) // 4],
        12,
        " MB",
        "make bench-churn",
    ),
)


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


def _number(value: float) -> str:
    if value == int(value):
        return f"{int(value):,}"
    return f"{value:.2f}" if value >= 0.1 else f"{value:.4f}".rstrip("0")


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
