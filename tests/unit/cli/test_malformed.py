"""The files with one mistake each: one difference from the good one, and what is said about it offline."""

from __future__ import annotations

import difflib
from pathlib import Path

import pytest

from controller.main import main

FOLDER = Path(__file__).resolve().parents[2] / "malformed"
GOOD = FOLDER / "good.yaml"
BAD = sorted(path for path in FOLDER.glob("*.yaml") if path != GOOD)
# What only a cluster knows.
ONLINE = {"no-such-image"}


def lines(path: Path) -> list[str]:
    """Without the comment that tells of the mistake, and without the name, which each has of its own."""
    return [line for line in path.read_text().splitlines()[1:] if not line.startswith("  name: ")]


def test_the_good_one_is_good() -> None:
    assert len(BAD) > 20
    assert main(["validate", str(GOOD)]) == 0


@pytest.mark.parametrize("path", BAD, ids=lambda p: p.stem)
def test_each_has_one_mistake_which_is_reported(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    matcher = difflib.SequenceMatcher(None, lines(GOOD), lines(path), autojunk=False)
    changes = [code for code in matcher.get_opcodes() if code[0] != "equal"]
    assert len(changes) == (0 if path.stem == "name-too-long" else 1)
    assert main(["validate", str(path)]) == (0 if path.stem in ONLINE else 1)
    assert len(capsys.readouterr().out.splitlines()) == (0 if path.stem in ONLINE else 1)
