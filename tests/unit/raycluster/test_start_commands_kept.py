"""Commands that were read before give the same answer again, and never that of others."""

from __future__ import annotations

import pytest

from controller.raycluster.shell_words import Variables
from controller.raycluster.start_commands import ray_starts
from controller.raycluster.start_options import port_of

TEXTS = ["export PORT=${PORT:-6380}", "ray start --head --port=$PORT"]


def variables(**known: str) -> Variables:
    """Those that a container has."""
    made = Variables()
    for name, value in known.items():
        made.export(name, value)
    return made


def port(given: Variables, texts: list[str] = TEXTS) -> int | None:
    (start,) = ray_starts(texts, given)
    return port_of(start)


@pytest.mark.parametrize("longer", ["", "# " + "x" * 5_000])
def test_the_same_commands_with_other_variables_are_read_anew(longer: str) -> None:
    texts = [*TEXTS, longer]
    assert [port(variables(**known), texts) for known in ({}, {"PORT": "1234"}, {}, {"PORT": "5678"})] == [
        6380,
        1234,
        6380,
        5678,
    ]
    hidden = variables()
    hidden.export("PORT", None)
    assert port(hidden, texts) is None


@pytest.mark.parametrize("longer", ["", "# " + "x" * 5_000])
def test_the_variables_are_left_as_the_commands_leave_them_each_time(longer: str) -> None:
    for _ in range(2):
        given = variables(OTHER="a")
        ray_starts([*TEXTS, longer], given)
        assert given.known == {"OTHER": "a", "PORT": "6380"} and given.exported == {"OTHER", "PORT"}


def test_what_somebody_does_with_an_answer_is_not_in_the_next_one() -> None:
    given = variables()
    ray_starts(TEXTS, given)
    given.export("PORT", "1")
    again = variables()
    ray_starts(TEXTS, again)
    assert again.known == {"PORT": "6380"}
