"""The page about performance, and how it is written from what benchmarks left."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import bench_figures
import bench_plots
import bench_report
import pytest

ROOT = Path(__file__).resolve().parents[3]
BURST = {
    "clusters": 100, "pods": 10_000, "pods_per_second": 900.4, "bare_pods_per_second": 1000.0, "share_of_limit": 0.9,
    "cpu_seconds": 8.0, "bare_cpu_seconds": 4.0, "cpu_ratio": 2.0, "rss_mb": 99.5, "deletion": {"ratio": 1.21},
}  # fmt: skip
SMALL = {**BURST, "clusters": 10, "pods": 100, "share_of_limit": 0.95}
RESULTS: dict[str, Any] = {
    "burst": {"at": "2026-01-02T03:04:05Z", "cores": 2, "scenarios": {"burst": BURST, "burst-small": SMALL}}
}


def rows(results: dict[str, Any], begin: str) -> list[str]:
    return [line for line in bench_report.figures(results).splitlines() if line.startswith(f"| {begin}")]


@pytest.mark.parametrize(
    ("begin", "expected"),
    [
        ("10,000 pods in 100 clusters: pods", "| 0.90 | ≥ 0.85 | yes |"),
        ("the same: CPU of the operator", "| 2× | ≤ 1.50× | no |"),
        ("their deletion", "| 1.21× | ≤ 1.20× | no |"),
        ("one of 1,000 RayClusters", "| not measured | ≤ 0.0500 s | |"),
    ],
)
def test_a_figure_stands_beside_its_target_and_its_command(begin: str, expected: str) -> None:
    [row] = rows(RESULTS, begin)
    assert expected in row.replace("0.05 s", "0.0500 s")
    assert row.rstrip(" |").endswith("`")


def test_growth_goes_from_small_to_large() -> None:
    assert [row.split(" |")[0] for row in rows(RESULTS, "100 in 10") + rows(RESULTS, "10,000 in 100")] == [
        "| 100 in 10 clusters",
        "| 10,000 in 100 clusters",
    ]


def test_only_the_figures_are_written_anew() -> None:
    text = f"before\n{bench_report.BEGIN}\nold\n{bench_report.END}\nafter\n"
    page = bench_report.page(text, RESULTS)
    assert page.startswith("before\n") and page.endswith("after\n") and "\nold\n" not in page
    assert bench_report.page(page, RESULTS) == page


def test_a_page_without_a_place_for_figures_is_not_touched() -> None:
    with pytest.raises(ValueError, match="no place for figures"):
        bench_report.page("text", RESULTS)


def test_the_same_figures_give_the_same_plot(tmp_path: Path) -> None:
    texts = []
    for name in ("a.svg", "b.svg"):
        bench_plots.burst([SMALL, BURST], tmp_path / name)
        texts.append((tmp_path / name).read_text())
    assert texts[0] == texts[1]
    assert "pods per second" in texts[0]


def test_every_row_of_the_page_is_measured_by_a_command_that_there_is() -> None:
    page = (ROOT / "docs/performance.md").read_text()
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    commands = re.findall(r"`make ([a-z0-9-]+)[^`]*` \|", page)
    assert len(commands) == len(bench_figures.FIGURES)
    assert set(commands) <= targets
