"""What waits for a node, indexed so that a node can ask for the next thing that fits it.

Counts of equal wishes are kept, never single wishes. Amounts are integers in units of 1/10000. A vector has one
amount for each resource that any demand names.
"""

from __future__ import annotations

import heapq
import sys
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from operator import le
from typing import NamedTuple

from autoscaler.model import Selector, Shape

from .budget import Work

Vector = tuple[int, ...]
# What one node takes: (rank, how many) pairs.
Taken = tuple[tuple[int, int], ...]

# What it takes to begin, to put one wish in its place, and to look for the first one of a kind that fits.
STEPS_TO_BEGIN = 40
STEPS_PER_WANT = 6
STEPS_PER_KIND = 3
# Entries between two remembered minima: a search passes over a block of shapes, none of which can fit, at once.
BLOCK = 32
NOTHING_FITS = (sys.maxsize**2,)


class Choice(NamedTuple):
    """Where something may go: any of these selectors will do, none at all means anywhere.

    ``places`` says how many kinds of nodes that leaves: what has few to choose from goes first.
    """

    selectors: tuple[Selector, ...] = ()
    places: int = 0


class Want(NamedTuple):
    """``number`` equal wishes, where they may go now, and where ``later``, in order."""

    shape: Shape
    choice: Choice
    number: int
    later: tuple[Choice, ...] = ()


class Kind:
    """Shapes that name the same resources and the same selectors, in the order in which they are tried.

    Invariants: ``sizes`` (negated sums of the amounts) ascends, so that what is too big in sum is passed over by
    bisection; ``_blocks[b]`` is the least that any shape of block b asks for, per resource; ``_alive`` leads from
    any entry to the next one that still has a count. ``looks``: the steps that ``admits`` takes.
    """

    __slots__ = ("_alive", "_blocks", "_work", "amounts", "dims", "floor", "looks", "ranks", "selectors", "sizes")

    def __init__(self, dims: Vector, selectors: tuple[Selector, ...], work: Work) -> None:
        self._work = work
        self.dims = dims
        self.selectors = selectors
        self.looks = 2 + sum(3 * len(selector.constraints) + 2 for selector in selectors)
        self.ranks: list[int] = []
        self.amounts: list[Vector] = []
        self.sizes: list[int] = []
        self.floor: Vector = ()
        self._blocks: list[Vector] = []
        self._alive: list[int] = []

    def add(self, rank: int, amounts: Vector) -> int:
        """Append the next entry; returns its index."""
        self.ranks.append(rank)
        self.amounts.append(amounts)
        self.sizes.append(-sum(amounts))
        return len(self.ranks) - 1

    def seal(self) -> None:
        """All entries are there: compute what searches rely on."""
        count = len(self.amounts)
        self._alive = list(range(count + 1))
        blocks = (self.amounts[i : i + BLOCK] for i in range(0, count, BLOCK))
        self._blocks = [tuple(map(min, zip(*block, strict=True))) for block in blocks]
        self.floor = tuple(map(min, zip(*self._blocks, strict=True)))

    def exhaust(self, index: int) -> None:
        """Nothing of this entry is left."""
        self._alive[index] = index + 1

    def admits(self, free: Sequence[int], labels: Mapping[str, str]) -> bool:
        """Whether any entry may fit: the cheap test that spares most nodes a search."""
        for d, least in zip(self.dims, self.floor, strict=True):
            if free[d] < least:
                return False
        return not self.selectors or any(selector.admits(labels) for selector in self.selectors)

    def seek(self, start: int, free: Sequence[int]) -> int:
        """Index of the first entry from ``start`` on that fits into ``free``; past the end when there is none."""
        dims = self.dims
        if len(dims) < 2:
            return self._live(max(start, bisect_left(self.sizes, -free[dims[0]])) if dims else start)
        room = tuple([free[d] for d in dims])
        index = self._live(max(start, bisect_left(self.sizes, -sum(room))))
        alive, amounts = self._alive, self.amounts
        for passed, block in enumerate(range(index // BLOCK, len(self._blocks))):
            if all(map(le, self._blocks[block], room)):
                self._work.left -= BLOCK // 2
                first = block * BLOCK
                for entry in range(max(index, first), min(first + BLOCK, len(amounts))):
                    if alive[entry] == entry and all(map(le, amounts[entry], room)):
                        self._work.left -= passed
                        return entry
                self._refresh(block)
        self._work.left -= len(self._blocks)
        return len(amounts)

    def _refresh(self, block: int) -> None:
        """A block promised too much: forget those of its entries that are exhausted."""
        first = block * BLOCK
        left = [a for i, a in enumerate(self.amounts[first : first + BLOCK], first) if self._alive[i] == i]
        self._blocks[block] = tuple(map(min, zip(*left, strict=True))) if left else NOTHING_FITS * len(self.dims)

    def _live(self, index: int) -> int:
        alive = self._alive
        root = index
        while alive[root] != root:
            root = alive[root]
        while alive[index] != root:
            alive[index], index = root, alive[index]
        return root


class Wants:
    """Demand that waits for a node, hardest first: most label constraints, most resources, biggest amounts.

    The order is that of Ray's own autoscaler; with ``scarce_first``, what few kinds of nodes can hold goes before all
    else. A rank is a position in it. ``floor`` is the least that anything asks for, per resource: a node with less
    takes nothing. What is asked of this object is taken from ``work``.
    """

    def __init__(
        self, names: dict[str, int], wants: Iterable[Want], scarce_first: bool = False, work: Work | None = None
    ) -> None:
        self.work = work or Work()
        self.wants = _hardest_first(wants, scarce_first)
        self.work.left -= STEPS_TO_BEGIN + STEPS_PER_WANT * len(self.wants)
        self.counts = [w.number for w in self.wants]
        self.left = sum(self.counts)
        self.kind_of: list[Kind] = []
        self._index_of: list[int] = []
        kinds: dict[tuple[tuple[Selector, ...], Vector], Kind] = {}
        for rank, want in enumerate(self.wants):
            dims = tuple([names[name] for name, _ in want.shape.resources])
            kind = kinds.get((want.choice.selectors, dims))
            if kind is None:
                kind = kinds[want.choice.selectors, dims] = Kind(dims, want.choice.selectors, self.work)
            self.kind_of.append(kind)
            self._index_of.append(kind.add(rank, tuple([amount for _, amount in want.shape.resources])))
        self.kinds = list(kinds.values())
        for kind in self.kinds:
            kind.seal()
        self.floor = self._floor(len(names))
        self._looks = sum(kind.looks for kind in self.kinds)

    def _floor(self, size: int) -> Vector:
        asked: list[list[int]] = [[] for _ in range(size)]
        for kind in self.kinds:
            for d, least in zip(kind.dims, kind.floor, strict=True):
                asked[d].append(least)
        return tuple([min(least) if least and len(least) == len(self.kinds) else 0 for least in asked])

    def kinds_for(self, free: Vector, labels: Mapping[str, str]) -> list[Kind]:
        """The kinds that such a node may hold at all."""
        if not self.work.spend(self._looks):
            return []
        return [kind for kind in self.kinds if kind.admits(free, labels)]

    def fill(self, free: list[int], kinds: list[Kind], limit: int | None) -> Taken:
        """What a node with this much ``free`` takes, hardest first; ``free`` is reduced. At most ``limit`` wishes."""
        if not self.work.spend(STEPS_PER_KIND * len(kinds)):
            return ()
        heads = []
        for kind in kinds:
            index = kind.seek(0, free)
            if index < len(kind.ranks):
                heads.append((kind.ranks[index], index, kind))
        if len(heads) > 1:
            heapq.heapify(heads)
        taken = []
        while heads:
            rank, index, kind = heads[0]
            self.work.left -= STEPS_PER_WANT
            fitting = self._fitting(rank, kind, kind.amounts[index], free)
            if fitting > 0:
                fitting = fitting if limit is None else min(fitting, limit)
                taken.append((rank, fitting))
                for d, amount in zip(kind.dims, kind.amounts[index], strict=True):
                    free[d] -= fitting * amount
                if limit is not None:
                    limit -= fitting
                    if limit <= 0:
                        break
            index = kind.seek(index + 1, free)
            if index < len(kind.ranks):
                heapq.heapreplace(heads, (kind.ranks[index], index, kind))
            else:
                heapq.heappop(heads)
        return tuple(taken)

    def _fitting(self, rank: int, kind: Kind, amounts: Vector, free: Sequence[int]) -> int:
        fitting = self.counts[rank]
        for d, amount in zip(kind.dims, amounts, strict=True):
            fitting = min(fitting, free[d] // amount)
        return fitting

    def repeats(self, taken: Taken) -> int:
        """How many nodes in a row can take exactly this; 0 means that the choice is stale."""
        return min([self.counts[rank] // count for rank, count in taken])

    def take(self, taken: Taken, times: int) -> None:
        """``times`` nodes take this: it no longer waits."""
        for rank, count in taken:
            self.counts[rank] -= count * times
            self.left -= count * times
            if self.counts[rank] == 0:
                self.kind_of[rank].exhaust(self._index_of[rank])

    def hold(self, taken: Taken, times: int) -> None:
        """Keep so much from being taken by others for a while; a negative number lets go of it."""
        for rank, count in taken:
            self.counts[rank] -= count * times

    def remaining(self) -> list[Want]:
        """What still waits."""
        return [want._replace(number=count) for want, count in zip(self.wants, self.counts, strict=True) if count]


def _hardest_first(wants: Iterable[Want], scarce_first: bool) -> list[Want]:
    """Sorted, equal ones added up."""
    unsorted = [want for want in wants if want.number > 0]
    ranked = [(-want.choice.places if scarce_first else 0, _hardness(want), i) for i, want in enumerate(unsorted)]
    ranked.sort(reverse=True)
    merged: list[Want] = []
    last = None
    for _, hardness, i in ranked:
        if hardness == last:
            merged[-1] = merged[-1]._replace(number=merged[-1].number + unsorted[i].number)
        else:
            merged.append(unsorted[i])
            last = hardness
    return merged


def _hardness(want: Want) -> tuple[int, int, int, tuple[tuple[str, int], ...], int, int, tuple[Selector, ...]]:
    resources = want.shape.resources
    selectors, places = want.choice
    size = 0
    for _, amount in resources:
        size += amount
    constraints = len(selectors[0].constraints) if selectors else 0
    return constraints, len(resources), size, resources, -places, -len(want.later), want.shape.selectors
