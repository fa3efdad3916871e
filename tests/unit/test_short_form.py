"""What the short form of the tests on real nodes keeps."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import CORE, GUIDE, OTHER_FILES, short_form

ORDER = "test_any_other_order_leaves_nothing_either"


@dataclass(frozen=True)
class Item:
    """As much of pytest's item as is looked at."""

    path: Path
    name: str
    ordered: bool = False

    @property
    def originalname(self) -> str:
        """Without its case."""
        return self.name.partition("[")[0]

    def get_closest_marker(self, name: str) -> object | None:
        """Whether it has the marker."""
        return (self.ordered and name == "ordered") or None


GUIDED = [Item(Path(GUIDE), name) for name in ("test_a", "test_b", f"{ORDER}[1]", f"{ORDER}[2]")]
OTHERS = [
    Item(Path(file), f"test_{number}", ordered=file == "test_chain.py")
    for file in (*CORE, "test_chain.py", *(f"test_{letter}.py" for letter in "stuvw"))
    for number in range(8)
]


@pytest.fixture(params=range(20))
def kept(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    monkeypatch.setattr("tests.support.sampled.SEED", str(request.param))
    return short_form([*OTHERS, *GUIDED])  # type: ignore[list-item]


def test_all_of_the_guide_comes_first_with_one_order_of_cleaning_up(kept: list[Any]) -> None:
    assert kept[:2] == GUIDED[:2]
    assert kept[2] in GUIDED[2:]
    assert not set(kept[3:]) & set(GUIDED)


def test_each_part_of_the_core_and_some_other_files_are_there(kept: list[Any]) -> None:
    counts = Counter(test.path.name for test in kept[3:] if not test.ordered)
    assert {name: counts.pop(name) for name in CORE} == CORE
    assert set(counts.values()) <= {1}
    assert len({test.path for test in kept[3:]} - {Path(name) for name in CORE}) == OTHER_FILES


def test_what_builds_on_each_other_is_there_from_its_beginning(kept: list[Any]) -> None:
    chain = [test.name for test in kept if test.ordered]
    assert chain == [f"test_{number}" for number in range(len(chain))]


def test_some_seed_chooses_each_test(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: set[Any] = set()
    for seed in range(400):
        monkeypatch.setattr("tests.support.sampled.SEED", str(seed))
        seen |= set(short_form([*OTHERS, *GUIDED]))  # type: ignore[list-item]
    assert seen == {*OTHERS, *GUIDED}
