"""Where a shape could be placed if all work went away: kinds of nodes, empty."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from functools import reduce
from operator import and_, or_

from autoscaler.model import UNKNOWN, LabelConstraint, LabelOperator, Selector, Shape

from .budget import Work
from .capacity import Space
from .demand_index import Choice, Vector
from .packing import Profile

Labels = tuple[tuple[str, str], ...]
ANYWHERE = (Choice(),)
STEPS_PER_SHAPE = 6


class LabelSets:
    """Sets of labels, numbered; answers are bit masks over those numbers.

    A selector costs as many look-ups as it names values, however many sets there are.
    """

    def __init__(self, sets: Iterable[Labels]) -> None:
        self.numbers = {labels: number for number, labels in enumerate(sorted(set(sets)))}
        self._all = (1 << len(self.numbers)) - 1
        self._with: defaultdict[tuple[str, str], int] = defaultdict(int)
        for labels, number in self.numbers.items():
            for pair in labels:
                self._with[pair] |= 1 << number

    def admitted(self, selector: Selector) -> int:
        """Those that satisfy all of its constraints."""
        return reduce(and_, map(self._satisfying, selector.constraints), self._all)

    def _satisfying(self, constraint: LabelConstraint) -> int:
        named = reduce(or_, (self._with.get((constraint.key, value), 0) for value in constraint.values), 0)
        if constraint.operator == LabelOperator.IN.value:
            return named
        return self._all & ~named & ~self._with.get((constraint.key, UNKNOWN), 0)


class Places:
    """Kinds of nodes, empty: what a shape could be placed on if all work went away.

    ``counting``: how many they are is counted for every shape, not only of those with selectors.
    """

    def __init__(self, space: Space, profiles: Iterable[Profile], work: Work, counting: bool = False) -> None:
        self._names = space.names
        self._work = work
        self._counting = counting
        kinds = {(p.total, p.labels) for p in profiles}
        self._labels = LabelSets(labels for _, labels in kinds)
        masks: defaultdict[Vector, int] = defaultdict(int)
        for total, labels in kinds:
            masks[total] |= 1 << self._labels.numbers[labels]
        # Big ones first: most shapes find their place at the first try.
        self._places = sorted(masks.items(), key=lambda place: (-sum(place[0]), place[0]))
        self._most: Vector = tuple(map(max, zip(*masks, strict=True)))
        self._known: dict[Shape, tuple[Choice, ...] | None] = {}
        # What these selectors leave of the places that are big enough: few selectors serve many shapes.
        self._chosen: dict[tuple[tuple[Selector, ...], tuple[int, ...]], tuple[Choice, ...]] = {}

    def possible(self, shape: Shape) -> bool:
        """Whether any of the places could hold it, by any of its selectors; true as well if the budget is spent."""
        options = self._cached(shape)
        return options is None or bool(options)

    def options(self, shape: Shape) -> tuple[Choice, ...]:
        """Those of the shape's selectors that some place satisfies, in order; none if the budget is spent."""
        return self._cached(shape) or ()

    def _cached(self, shape: Shape) -> tuple[Choice, ...] | None:
        if shape not in self._known:
            self._known[shape] = self._options(shape)
        return self._known[shape]

    def _options(self, shape: Shape) -> tuple[Choice, ...] | None:
        needs = self._needs(shape)
        if needs is None:
            return ()
        if not shape.selectors and not self._counting:
            return self._anywhere(needs)
        if not self._work.spend(STEPS_PER_SHAPE + 2 * len(self._places)):
            return None
        masks = tuple([mask for total, mask in self._places if _holds(total, needs)])
        known = self._chosen.get((shape.selectors, masks))
        return self._choose(shape.selectors, masks) if known is None else known

    def _choose(self, selectors: tuple[Selector, ...], masks: tuple[int, ...]) -> tuple[Choice, ...] | None:
        """Those of the selectors that some place satisfies; None if the budget is spent."""
        entries = sum([len(c.values) + 10 for selector in selectors for c in selector.constraints])
        if not self._work.spend(len(masks) * len(selectors) + entries):
            return None
        counted = [(selector, self._count(selector, masks)) for selector in selectors or (Selector(),)]
        chosen = tuple([Choice((s,) if s.constraints else (), places) for s, places in counted if places])
        self._chosen[selectors, masks] = chosen
        return chosen

    def _needs(self, shape: Shape) -> list[tuple[int, int]] | None:
        """By the resources' places in vectors; None if no node offers one of them, or so much of it."""
        try:
            needs = [(self._names[name], amount) for name, amount in shape.resources]
        except KeyError:
            return None
        return needs if self._places and _holds(self._most, needs) else None

    def _anywhere(self, needs: list[tuple[int, int]]) -> tuple[Choice, ...] | None:
        if not self._work.spend(STEPS_PER_SHAPE):
            return None
        for looks, (total, _) in enumerate(self._places):
            if _holds(total, needs):
                self._work.left -= looks
                return ANYWHERE
        self._work.left -= len(self._places)
        return ()

    def _count(self, selector: Selector, masks: tuple[int, ...]) -> int:
        admitted = self._labels.admitted(selector)
        return sum([(admitted & mask).bit_count() for mask in masks])


def _holds(total: Vector, needs: list[tuple[int, int]]) -> bool:
    for d, amount in needs:  # noqa: SIM110 (called for every shape: a generator would double the cost)
        if total[d] < amount:
            return False
    return True
