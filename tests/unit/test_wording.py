"""Numbers in sentences."""

from __future__ import annotations

import pytest

from controller.wording import counted


@pytest.mark.parametrize(
    ("count", "words", "expected"),
    [
        (0, ("worker",), "0 workers"),
        (1, ("worker",), "1 worker"),
        (1.0, ("minute",), "1 minute"),
        (0.5, ("minute",), "0.5 minutes"),
        (1_234_567, ("pod",), "1234567 pods"),
        (1, ("worker is", "workers are"), "1 worker is"),
        (2, ("worker is", "workers are"), "2 workers are"),
    ],
)
def test_a_noun_fits_its_number(count: float, words: tuple[str, ...], expected: str) -> None:
    assert counted(count, *words) == expected
