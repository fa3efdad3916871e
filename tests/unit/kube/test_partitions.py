"""Who manages which part of all clusters: what one process decides, from what it knows of the leases."""

from __future__ import annotations

from collections import Counter

import pytest

from controller.kube.lease import LEASE_SECONDS, Record
from controller.kube.partitions import (
    FIRST_LATE_SECONDS,
    LATE_SECONDS,
    NAMES,
    PARTITIONS,
    Moves,
    Seen,
    View,
    decide,
    partition_of,
    share_of,
)
from controller.raycluster.model import Key

NOW = 1000.0
CLUSTERS = [Key(f"team-{n % 7}", f"cluster-{n}") for n in range(10_000)]
NOBODY = Seen(None, NOW)


def held(by: str, ago: float = 1.0) -> Seen:
    """A lease that somebody holds, and that was seen to change some seconds ago."""
    return Seen(Record(by, LEASE_SECONDS, "1", "", 0), NOW - ago)


def view(parts: dict[int, Seen], share: int = 4, wanted: Seen = NOBODY, leaving: frozenset[int] = frozenset()) -> View:
    """What process "a" knows; the parts that are not named are held by "x"."""
    return View("a", share, NOW, {p: parts.get(p, held("x")) for p in range(PARTITIONS)}, wanted, leaving)


def of(holders: str) -> dict[int, Seen]:
    """Parts by the letters of their holders; "." is given up just now, "!" lost long ago."""
    known = {".": Seen(Record("", 1, "1", "", 0), NOW), "!": held("dead", LEASE_SECONDS + 60)}
    return {part: known.get(holder) or held(holder) for part, holder in enumerate(holders)}


def test_clusters_are_spread_evenly() -> None:
    """10,000 of them in 16 parts: 625 each, give or take."""
    counts = Counter(map(partition_of, CLUSTERS))
    assert set(counts) == set(range(PARTITIONS))
    assert all(525 < count < 725 for count in counts.values()), counts


def test_the_part_of_a_cluster_never_changes() -> None:
    """Two versions that disagree would both reconcile it: these are written down for good."""
    assert PARTITIONS == 16
    assert [partition_of(Key("ray", name)) for name in ("example-cluster", "a", "b")] == [13, 15, 14]
    assert NAMES[0] == "ray-operator-part-0"


def test_a_name_of_any_characters_has_a_part() -> None:
    assert 0 <= partition_of(Key("ray", "\ud800\0")) < PARTITIONS


@pytest.mark.parametrize(("operators", "share"), [(1, 16), (2, 8), (3, 5), (4, 4), (5, 3), (8, 2), (9, 1), (16, 1)])
def test_shares(operators: int, share: int) -> None:
    assert share_of(operators) == share


@pytest.mark.parametrize(
    ("holders", "takes"),
    [
        pytest.param("................", 4, id="all are free: its share"),
        pytest.param("aaaa............", 0, id="it has its share: the rest is for others"),
        pytest.param("aabbbbbb........", 2, id="what is missing to its share"),
        pytest.param("bbbbccccddddeeee", 0, id="nothing is free"),
        pytest.param("!!!!bbbbccccdddd", 4, id="one that stands by takes what was lost"),
        pytest.param("!!!!aaaabbbbcccc", 2, id="three that are left divide what was lost"),
        pytest.param("!!!!!!!!!!!!aaaa", 12, id="the last one takes all"),
    ],
)
def test_what_is_taken(holders: str, takes: int) -> None:
    moves = decide(view(of(holders)))
    assert (len(moves.take), moves.give, moves.want) == (takes, [], False)
    assert all(holders[part] in ".!" for part in moves.take)


@pytest.mark.parametrize(
    ("seen", "takes"),
    [
        pytest.param(held("dead", LEASE_SECONDS - 0.1), False, id="held until a moment ago"),
        pytest.param(held("dead", LEASE_SECONDS + LATE_SECONDS - 0.1), False, id="lost: one that stands by is first"),
        pytest.param(held("dead", LEASE_SECONDS + LATE_SECONDS), True, id="lost, and nobody stands by"),
        pytest.param(Seen(None, NOW - FIRST_LATE_SECONDS + 0.1), False, id="never held: others may be about to start"),
        pytest.param(Seen(None, NOW - FIRST_LATE_SECONDS), True, id="never held, and nobody starts"),
    ],
)
def test_when_one_with_its_share_takes_more(seen: Seen, takes: bool) -> None:
    assert decide(view(of("aaaa") | {9: seen})).take == ([9] if takes else [])


def test_two_processes_begin_with_different_parts() -> None:
    parts = dict.fromkeys(range(PARTITIONS), NOBODY)
    first, second = (set(decide(View(me, 4, NOW, parts, NOBODY)).take) for me in ("a", "b"))
    assert len(first | second) > 4


@pytest.mark.parametrize(
    ("holders", "wanted", "moves"),
    [
        pytest.param("aaaaaaaabbbbbbbb", held("c"), 4, id="it has twice its share, the other one nothing"),
        pytest.param("aaaaaaaabbbbbccc", held("c"), 1, id="the other one lacks one"),
        pytest.param("aaaabbbbccccdddd", held("e"), 0, id="it has its share: one more stands by"),
        pytest.param("aaaaaaaabbbbbbbb", NOBODY, 0, id="nobody asks"),
        pytest.param("aaaaaaaabbbbbbbb", held("c", LEASE_SECONDS + 1), 0, id="the one who asked is gone"),
        pytest.param("aaaaaaaabbbbbbbb", held("a"), 0, id="it asks itself"),
    ],
)
def test_what_is_given_to_the_one_who_asks(holders: str, wanted: Seen, moves: int) -> None:
    found = decide(view(of(holders), wanted=wanted))
    assert len(found.give) == moves
    assert all(holders[part] == "a" for part in found.give)


@pytest.mark.parametrize(
    ("holders", "wants"),
    [
        pytest.param("bbbbbbbbcccccccc", True, id="others have more than their share"),
        pytest.param("bbbbccccddddeeee", False, id="each has its share: it stands by"),
        pytest.param("bbbbbbbbccccccc.", False, id="there is one to take first"),
        pytest.param("aaaabbbbbbbbcccc", False, id="it has its share"),
    ],
)
def test_who_asks(holders: str, wants: bool) -> None:
    assert decide(view(of(holders))).want is wants


def test_what_is_about_to_be_given_up_is_neither_taken_nor_given_again() -> None:
    found = decide(view(of("aaaaaaaabbbbbbbb"), wanted=held("c"), leaving=frozenset(range(4))))
    assert found == Moves([], [], want=False)


@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 3), (2, 4), (4, 8), (8, 4), (4, 3), (3, 2)])
def test_a_change_of_their_number_moves_no_more_than_it_has_to(before: int, after: int) -> None:
    """The clusters of the processes that come or go, and a few of those that there is no even share for."""
    holders = settle([f"p{n}" for n in range(before)], before, {})
    again = settle([f"p{n}" for n in range(after)], after, holders)
    moved = sum(holders[partition_of(c)] != again[partition_of(c)] for c in CLUSTERS) / len(CLUSTERS)
    least = abs(after - before) / max(after, before)
    assert least - 0.1 <= moved <= least + 0.1, f"{moved:.2f} of the clusters moved, {least:.2f} have to"
    assert max(Counter(again.values()).values()) - min(Counter(again.values()).values()) <= 2


def settle(processes: list[str], operators: int, holders: dict[int, str]) -> dict[int, str]:
    """Who holds what once nobody wants to change anything; whoever is not there any more has given up what it held."""
    found, share = {part: who for part, who in holders.items() if who in processes}, share_of(operators)
    for late in [0.0] * 50 + [FIRST_LATE_SECONDS] * 50:
        for me in processes:
            free = Seen(Record("", 1, "1", "", 0), NOW - late)
            seen = {p: held(found[p]) if p in found else free for p in range(PARTITIONS)}
            asks = next((w for w in processes if list(found.values()).count(w) < share), "")
            moves = decide(View(me, share, NOW, seen, held(asks) if asks else NOBODY))
            found |= dict.fromkeys(moves.take, me)
            for part in moves.give:
                del found[part]
    assert len(found) == PARTITIONS
    return found
