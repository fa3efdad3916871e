"""The page about reliability: every fault names tests, and they exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs/reliability.md"


def rows() -> list[str]:
    """The tables of faults, without their heads."""
    faults = PAGE.read_text().partition("\n## Figures")[0]
    return [line for line in faults.splitlines() if line.startswith("| ") and "what shows it" not in line]


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.split(" | ")[0].strip("| "))
def test_every_fault_names_tests_that_exist(row: str) -> None:
    named = re.findall(r"\[`(test_\w+)`\]\(\.\./(tests/[\w/]+/test_\w+\.py)\)", row.split(" | ")[2])
    assert named
    for test, path in named:
        assert re.search(rf"^def {test}\(", (ROOT / path).read_text(), re.M), f"{path} has no {test}"


def test_every_test_of_faults_is_on_the_page() -> None:
    text = PAGE.read_text()
    for path in sorted((ROOT / "tests/integration").rglob("test_faults_*.py")):
        untold = [name for name in re.findall(r"^def (test_\w+)\(", path.read_text(), re.M) if f"`{name}`" not in text]
        assert untold == [], path.name
