"""The last hour: what is kept of each cluster and of all together, and that it is bounded."""

from __future__ import annotations

import tracemalloc
from collections.abc import Sequence

import pytest

from controller.monitoring.history import SLOT_SECONDS, SLOTS, UNKNOWN, Counts, History, Hour
from controller.raycluster.model import Key

A, B = Key("ray", "a"), Key("ray", "b")
# A clock that began long before, in the middle of a slot.
START = 1_000_000 * SLOT_SECONDS + 10
# A cluster's history may take so many bytes; docs/security.md has it for a thousand.
BYTES = 3000


def at(slot: float) -> float:
    """The time that is so many slots after the start."""
    return START + slot * SLOT_SECONDS


def counted(*moments: tuple[float, Counts]) -> History:
    history = History()
    for slot, counts in moments:
        history.counted(A, at(slot), counts)
    return history


def known(values: Sequence[float]) -> list[float]:
    """The values from the first that is known on."""
    first = next((i for i, value in enumerate(values) if value != UNKNOWN), len(values))
    return list(values[first:])


# What happened, in which slot of the time, the slot in which it is looked at; then the slots that are known:
# ready, wanted, waiting.
STORIES = {
    "what is said once holds on": ([(0, Counts(1, 2, 3))], 2, [1, 1, 1], [2, 2, 2], [3, 3, 3]),
    "workers at the end of a slot, the most work within it": (
        [(0, Counts(1, 1, 0)), (0.1, Counts(1, 5, 9)), (0.2, Counts(4, 5, 2))], 0, [4], [5], [9],
    ),
    "the next slot begins with what was there": (
        [(0, Counts(1, 1, 7)), (1, Counts(1, 1, 0))], 2, [1, 1, 1], [1, 1, 1], [7, 7, 0],
    ),
    "a time that is a little late counts now": (
        [(1, Counts(1, 1, 1)), (0, Counts(2, 2, 2))], 2, [2, 2], [2, 2], [2, 2],
    ),
    "after an hour only what is there is left": (
        [(0, Counts(9, 9, 9)), (1, Counts(1, 2, 3))], SLOTS + 1, [1] * SLOTS, [2] * SLOTS, [3] * SLOTS,
    ),
    "a day without news": ([(0, Counts(1, 2, 3))], 24 * SLOTS, [1] * SLOTS, [2] * SLOTS, [3] * SLOTS),
}  # fmt: skip


@pytest.mark.parametrize(("moments", "look", "ready", "wanted", "waiting"), STORIES.values(), ids=STORIES)
def test_counts(
    moments: list[tuple[float, Counts]],
    look: float,
    ready: list[float],
    wanted: list[float],
    waiting: list[float],
) -> None:
    history = counted(*moments)
    for hour in (history.of(A, at(look)), history.total(at(look))):
        assert hour
        assert [known(hour.ready), known(hour.wanted), known(hour.waiting)] == [ready, wanted, waiting]
        assert {len(values) for values in vars(hour).values()} == {SLOTS}


def test_all_clusters_are_summed_and_one_that_goes_is_taken_out_from_then_on() -> None:
    history = History()
    history.counted(A, at(0), Counts(1, 2, 3))
    history.counted(B, at(1), Counts(10, 20, 30))
    history.counted(A, at(2), Counts(0, 0, 0))
    history.forget(B, at(4))
    hour = history.total(at(5))
    assert known(hour.ready) == [1, 11, 10, 10, 0, 0]
    assert known(hour.wanted) == [2, 22, 20, 20, 0, 0]
    # B's work waited in the beginning of the slot in which it went.
    assert known(hour.waiting) == [3, 33, 33, 30, 30, 0]
    assert history.of(B, at(5)) is None


def test_without_any_cluster_nothing_is_known_not_0() -> None:
    """Another process may lead, whose clusters this one does not know."""
    history = counted((0, Counts(1, 1, 1)))
    history.forget(A, at(1))
    history.forget(A, at(1))
    history.counted(B, at(4), Counts(5, 5, 5))
    assert known(history.total(at(4)).ready) == [1, 1, UNKNOWN, UNKNOWN, 5]


def test_the_longest_of_what_took_time_is_kept_and_not_carried_on() -> None:
    history = History()
    history.took_to_node(B, at(0), 40.0)
    for slot, to_pod, to_node in ((0, 0.5, 20.0), (0.1, 0.25, 30.0), (2, 2.0, 10.0)):
        history.took_to_pod(A, at(slot), to_pod)
        history.took_to_node(A, at(slot), to_node)
    mine, total = history.of(A, at(3)), history.total(at(3))
    assert mine
    assert [known(mine.to_pod), known(mine.to_node)] == [[0.5, UNKNOWN, 2, UNKNOWN], [30, UNKNOWN, 10, UNKNOWN]]
    assert known(total.to_node) == [40, UNKNOWN, 10, UNKNOWN]


def test_clusters_beyond_the_limit_have_none_until_others_go() -> None:
    history = History(clusters=1)
    history.counted(A, at(0), Counts(1, 1, 1))
    history.counted(B, at(0), Counts(2, 2, 2))
    assert history.of(B, at(0)) is None and known(history.total(at(0)).ready) == [1]
    history.forget(A, at(0))
    history.counted(B, at(0), Counts(2, 2, 2))
    assert isinstance(history.of(B, at(0)), Hour)


def test_a_thousand_clusters_take_three_megabytes_however_much_happens() -> None:
    keys = [Key("ray", f"cluster-{number}") for number in range(1000)]
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        history = History()
        for slot in range(0, 2 * SLOTS, 20):
            for number, key in enumerate(keys):
                history.counted(key, at(slot), Counts(number + 1000, slot + 1000, number + slot + 1000))
                history.took_to_pod(key, at(slot), 1.5)
        assert tracemalloc.get_traced_memory()[0] - before < BYTES * len(keys)
    finally:
        tracemalloc.stop()
