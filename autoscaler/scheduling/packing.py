"""Which nodes the waiting work goes to: greedy, node by node, on counts instead of single tasks.

A node is chosen by how well it is used once it has taken, in a fixed order, all that fits. Equal nodes and equal
shapes are never looked at one by one: a choice is repeated by integer division for as long as it would be made
again. A choice is looked at anew only when demand it relied on has gone, best candidates first.
"""

from __future__ import annotations

import heapq
import sys
from collections.abc import Callable, Iterable, Sequence
from itertools import chain, islice
from typing import NamedTuple

from .demand_index import Taken, Vector, Wants

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


class Candidate(NamedTuple):
    """``nodes`` nodes with this profile; ``key`` is the caller's name for them."""

    profile: Profile
    nodes: int
    key: str = ""


class Pick(NamedTuple):
    """``nodes`` nodes of a candidate, each of which takes ``taken`` and has ``free`` left."""

    candidate: Candidate
    nodes: int
    taken: Taken
    free: Vector


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
        kinds = wants.kinds_for(candidate.profile.free, dict(candidate.profile.labels))
        left = candidate.nodes
        while kinds and left and cap:
            free = list(candidate.profile.free)
            taken = wants.fill(free, kinds, limit)
            if not taken:
                break
            nodes = min(left, wants.repeats(taken), cap)
            wants.take(taken, nodes)
            picks.append(Pick(candidate, nodes, taken, tuple(free)))
            left -= nodes
            cap -= nodes
    return picks


def _best_first(wants: Wants, pool: list[Candidate], score: Scorer, limit: int | None, cap: int) -> list[Pick]:
    left = [c.nodes for c in pool]
    kinds = [wants.kinds_for(c.profile.free, dict(c.profile.labels)) for c in pool]

    def attempt(number: int) -> tuple[Score, int, Taken, Vector] | None:
        free = list(pool[number].profile.free)
        taken = wants.fill(free, kinds[number], limit)
        wants.work.left -= len(free)
        return (score(wants, pool[number].profile, taken, free), number, taken, tuple(free)) if taken else None

    heap = [entry for entry in map(attempt, range(len(pool))) if entry]
    heapq.heapify(heap)
    picks = []
    while heap and wants.left and cap > 0:
        _, number, taken, free = heap[0]
        nodes = min(left[number], wants.repeats(taken), cap)
        if nodes:
            wants.take(taken, nodes)
            picks.append(Pick(pool[number], nodes, taken, free))
            left[number] -= nodes
            cap -= nodes
        fresh = attempt(number) if left[number] and not wants.repeats(taken) else None
        if fresh:
            heapq.heapreplace(heap, fresh)
        else:
            heapq.heappop(heap)
    return picks
