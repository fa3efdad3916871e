"""What the page about performance says of sizes that were not measured."""

from __future__ import annotations

from typing import Any

import bench_model
import pytest
from bench_model import Line, fitted

SIZES = {"standing-tiny": (10, 110), "standing-small": (100, 1_100), "standing": (1_000, 11_000), "wide": (40, 10_040)}
TRUTH = {"rss_mb": Line(50, 0.02, 0.004), "start_cpu_seconds": Line(1, 0.004, 0.0002), "idle_cores": Line(0, 4e-5, 0)}


def measured(clusters: int, pods: int) -> dict[str, float]:
    """What a machine would measure on which everything is in proportion."""
    return {"clusters": clusters, "pods": pods, **{key: line.at(clusters, pods) for key, line in TRUTH.items()}}


RESULTS: dict[str, Any] = {
    "burst": {
        "scenarios": {
            **{name: measured(*size) for name, size in SIZES.items()},
            "checked": measured(300, 7_800),
            "burst": {"pods_per_second": 400.0},
        }
    },
    "poller": {
        "cases": [
            {"case": "idle", "heads": 1_000, "cores": 0.16},
            {"case": "work waits", "heads": 1_000, "cores": 0.36},
        ]
    },
}


@pytest.mark.parametrize("key", TRUTH)
def test_what_is_in_proportion_is_found_as_it_is(key: str) -> None:
    line, truth = fitted([measured(*size) for size in SIZES.values()], key), TRUTH[key]
    assert line.at(10_000, 250_000) == pytest.approx(truth.at(10_000, 250_000), rel=1e-6)


def test_no_part_of_a_line_is_below_nothing() -> None:
    rows = [{"clusters": n, "pods": 11 * n, "x": value} for n, value in ((10, 5.0), (100, 4.0), (1_000, 30.0))]
    line = fitted(rows, "x")
    assert min(line.without, line.cluster, line.pod) >= 0


def test_the_size_that_was_left_out_stands_beside_what_the_lines_say_of_it() -> None:
    rows = list(bench_model.checked(RESULTS))
    assert rows[0].startswith("| 300 clusters, 7,800 pods |")
    assert "| memory (RSS) | 87 MB | 87 MB |" in rows


def test_several_operators_share_memory_and_heads_and_each_lists_all() -> None:
    one, *_, eight = list(bench_model.predicted(RESULTS))[2:]
    # 50 + 200 + 1,000 MB; 10,000 heads at 0.162 / 1,000 cores, and 0.4 cores of its own.
    assert one.startswith("| 1 | 1,250 MB | 2.02, more than a process has | 540 | 91 s |")
    assert eight.startswith("| 8 | 200 MB | 0.25 | 540 | 12 to 56 s |")


def test_the_first_to_end_is_named_with_its_size() -> None:
    said = bench_model.first_end(RESULTS)
    assert "at 5,000 clusters of 25 pods" in said and "10 minutes" in said


def test_without_measurements_there_is_no_model() -> None:
    assert list(bench_model.section({}))[-1] == "not measured"
