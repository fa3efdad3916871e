"""Which nodes the waiting work goes to: greedy, node by node, on counts instead of single tasks.

A node is chosen by how well it is used once it has taken, in a fixed order, all that fits. Equal nodes and equal
shapes are never looked at one by one: a choice is repeated by integer division for as long as it would be made
again. A choice is looked at anew only when demand it relied on has gone, best candidates first.
"""

from __future__ import annotations

import heapq
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import NamedTuple

from .demand_index import Kind, Taken, Vector, Wants

# More candidates than these are not ranked by what each would take, but filled in the order given.
RANKED = 64


class Profile(NamedTuple):
    """All that the packer knows of a node; nodes with equal profiles are interchangeable.

    ``stage`` orders the filling: 0 runs, what is above is on its way. ``labels`` holds the keys that selectors mention.
    ``rank`` is the negated priority of its type, 0 for nodes that run. ``others`` counts unused resources that no
    demand names.
    """

    stage: int
    is_worker: bool
    gpu: bool
    rank: int
    others: int
    total: Vector
    free: Vector
    labels: tuple[tuple[str, str], ...]


# Profiles of the hosts of one worker, and how many hosts have each.
Hosts = tuple[tuple[Profile, int], ...]


class Candidate(NamedTuple):
    """``nodes`` nodes with this profile; ``key`` is the caller's name for them.

    ``hosts``: each of them is a worker of several nodes, and the profile is the sum of theirs.
    """

    profile: Profile
    nodes: int
    key: str = ""
    hosts: Hosts = ()


class Pick(NamedTuple):
    """``nodes`` nodes of a candidate, each of which takes ``taken`` and has ``free`` left; ``hosts``: in its parts."""

    candidate: Candidate
    nodes: int
    taken: Taken
    free: Vector
    hosts: Hosts = ()


def summed(hosts: Hosts) -> Profile:
    """A worker of several hosts as one node, for judging how well it is used."""
    first = hosts[0][0]
    size = range(len(first.total))
    return first._replace(
        others=sum([p.others * count for p, count in hosts]),
        total=tuple([sum([p.total[d] * count for p, count in hosts]) for d in size]),
        free=tuple([sum([p.free[d] * count for p, count in hosts]) for d in size]),
        labels=(),
    )


class _Filler:
    """What a candidate would take, of what may go there at all."""

    __slots__ = ("_candidate", "_kinds", "_limit", "_wants")

    def __init__(self, wants: Wants, candidate: Candidate, limit: int | None) -> None:
        self._wants, self._candidate, self._limit = wants, candidate, limit
        profiles = [p for p, _ in candidate.hosts] or [candidate.profile]
        self._kinds = [wants.kinds_for(p.free, dict(p.labels)) for p in profiles]

    def __bool__(self) -> bool:
        return any(self._kinds)

    def fill(self) -> tuple[Taken, Vector, Hosts]:
        """What one node takes now, what it has left, and in its parts."""
        if not self._candidate.hosts:
            free = list(self._candidate.profile.free)
            taken = self._wants.fill(free, self._kinds[0], self._limit)
            return taken, tuple(free), ()
        held: dict[int, int] = {}
        left: list[tuple[Profile, int]] = []
        for (profile, count), kinds in zip(self._candidate.hosts, self._kinds, strict=True):
            left += self._fill_hosts(profile, count, kinds, held)
        taken = tuple(sorted(held.items()))
        self._wants.hold(taken, -1)
        free = list(self._candidate.profile.free)
        for rank, number in taken:
            for d, (_, amount) in zip(
                self._wants.kind_of[rank].dims, self._wants.wants[rank].shape.resources, strict=True
            ):
                free[d] -= amount * number
        return taken, tuple(free), tuple(left)

    def _fill_hosts(
        self, profile: Profile, count: int, kinds: list[Kind], held: dict[int, int]
    ) -> Iterator[tuple[Profile, int]]:
        """Equal hosts, one after the other; what they take is held, so that none of it goes to the next ones."""
        while count and kinds:
            free = list(profile.free)
            taken = self._wants.fill(free, kinds, self._limit)
            if not taken:
                break
            nodes = min(count, self._wants.repeats(taken))
            self._wants.hold(taken, nodes)
            for rank, number in taken:
                held[rank] = held.get(rank, 0) + number * nodes
            yield profile._replace(free=tuple(free)), nodes
            count -= nodes
        if count:
            yield profile, count


Score = tuple[float, ...]
Scorer = Callable[[Wants, Profile, Taken, Sequence[int]], Score]


def place(
    wants: Wants, candidates: Iterable[Candidate], score: Scorer, limit: int | None, cap: int | None = None
) -> list[Pick]:
    """Fill nodes, the best one first, until no demand or no node is left; ``wants`` is reduced.

    ``limit`` is the number of wishes per node (None: as many as fit), ``cap`` the number of nodes
    altogether (None: all). Candidates that score alike are taken in the order given.
    """
    stream = (c for c in candidates if c.nodes > 0)
    pool = list(islice(stream, RANKED + 1))
    cap = sys.maxsize if cap is None else cap
    if len(pool) > RANKED:
        return _in_order(wants, chain(pool, stream), limit, cap)
    return _best_first(wants, pool, score, limit, cap)


def _in_order(wants: Wants, pool: Iterable[Candidate], limit: int | None, cap: int) -> list[Pick]:
    picks = []
    for candidate in pool:
        if not (wants.left and cap):
            break
        filler = _Filler(wants, candidate, limit)
        left = candidate.nodes
        while filler and left and cap:
            taken, free, hosts = filler.fill()
            if not taken:
                break
            nodes = min(left, wants.repeats(taken), cap)
            wants.take(taken, nodes)
            picks.append(Pick(candidate, nodes, taken, free, hosts))
            left -= nodes
            cap -= nodes
    return picks


def _best_first(wants: Wants, pool: list[Candidate], score: Scorer, limit: int | None, cap: int) -> list[Pick]:
    left = [c.nodes for c in pool]
    fillers = [_Filler(wants, c, limit) for c in pool]

    def attempt(number: int) -> tuple[Score, int, Taken, Vector, Hosts] | None:
        taken, free, hosts = fillers[number].fill()
        wants.work.left -= len(free)
        return (score(wants, pool[number].profile, taken, free), number, taken, free, hosts) if taken else None

    heap = [entry for entry in map(attempt, range(len(pool))) if entry]
    heapq.heapify(heap)
    picks = []
    while heap and wants.left and cap > 0:
        _, number, taken, free, hosts = heap[0]
        nodes = min(left[number], wants.repeats(taken), cap)
        if nodes:
            wants.take(taken, nodes)
            picks.append(Pick(pool[number], nodes, taken, free, hosts))
            left[number] -= nodes
            cap -= nodes
        fresh = attempt(number) if left[number] and not wants.repeats(taken) else None
        if fresh:
            heapq.heapreplace(heap, fresh)
        else:
            heapq.heappop(heap)
    return picks
