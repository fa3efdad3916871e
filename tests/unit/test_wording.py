"""Numbers and times in sentences."""

from __future__ import annotations

import pytest

from controller.wording import counted, duration


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


@pytest.mark.parametrize(
    ("minutes", "expected"),
    [
        (5.0, "5 minutes"),
        (1, "1 minute"),
        (1.5, "1.5 minutes"),
        (0.5, "30 seconds"),
        (1 / 60, "1 second"),
        (0, "0 seconds"),
    ],
)
def test_a_short_time_is_said_in_seconds(minutes: float, expected: str) -> None:
    assert duration(minutes) == expected
