"""The rows of docs/performance.md: what is measured, its target, and the command that measures it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

# Of one JSON file: name of the benchmark -> what it wrote.
Results = Mapping[str, Any]
MISSING = "not measured"


@dataclass(frozen=True)
class Figure:
    """A row of the page. ``bound``: the most that the figure may be, or with ``least`` the least; None for one that
    another is compared with. ``unit``: said behind both. ``command``: what measures it.
    """

    what: str
    value: Callable[[Results], float]
    bound: float | None
    unit: str
    command: str
    least: bool = False

    def row(self, results: Results) -> str:
        """A line of the table."""
        target = "" if self.bound is None else f"{'≥' if self.least else '≤'} {_number(self.bound)}{self.unit}"
        try:
            value = self.value(results)
        except LookupError:
            return f"| {self.what} | {MISSING} | {target} | | `{self.command}` |"
        return f"| {self.what} | {_number(value)}{self.unit} | {target} | {self._reached(value)} | `{self.command}` |"

    def _reached(self, value: float) -> str:
        if self.bound is None:
            return ""
        return "yes" if (value >= self.bound if self.least else value <= self.bound) else "no"


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


def _number(value: float) -> str:
    if value == int(value):
        return f"{int(value):,}"
    return f"{value:.2f}" if value >= 0.1 else f"{value:.4f}".rstrip("0")


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
        "the same without an operator: a user edits and creates the pod, beside the bare client",
        _scenario("fairness", "bare", "wait_seconds", "p99"),
        None,
        " s",
        _only("fairness"),
    ),
    Figure(
        "10,000 tasks of 1,000 shapes wait on one head: share of the bare client's time for their pods",
        _scenario("demand", "share_of_limit"),
        0.85,
        "",
        _only("demand"),
        least=True,
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
    Figure(
        "clusters come, grow, lose heads and workers, and go: growth of memory (RSS) an hour",
        lambda r: float(r["soak"]["rss_mb_an_hour"]),
        2,
        " MB",
        "make bench-soak",
    ),
)
