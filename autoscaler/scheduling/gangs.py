"""Placement groups as demand: what each strategy asks of nodes.

Ray's documented meaning: STRICT_PACK puts all bundles on one node, STRICT_SPREAD each on a node of its own, PACK and
SPREAD try to and accept less.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from autoscaler.model import Demand, Gang, LabelConstraint, Selector, Shape, Strategy, in_order

from .demand_index import Choice, Want

Shapes = tuple[tuple[Shape, int], ...]
Ways = tuple[tuple[Demand, ...], ...]

# The selectors of a shape that some node or type can satisfy, in the order in which they are tried.
Options = Callable[[Shape], Sequence[Choice]]


class Attempt(NamedTuple):
    """One way to place a gang. ``apart``: each bundle on its own node; ``launch``: nodes may be launched for it."""

    wants: tuple[Want, ...]
    apart: bool = False
    launch: bool = True

    def times(self, count: int) -> tuple[tuple[Want, ...], int | None]:
        """What so many equal gangs want, and how much of it one node may take.

        Bundles that are apart within each gang are at most ``count`` on a node, and that is enough: a bipartite
        multigraph of degree at most n, here bundles of one gang on one side and nodes on the other, has an edge
        colouring with n colours (Koenig), one for each gang.
        """
        return tuple([want._replace(number=want.number * count) for want in self.wants]), count if self.apart else None


class Group(NamedTuple):
    """Gangs that differ in their names only, by name.

    ``shapes``: the bundles of one, in a canonical order. ``units``: what of it is placed as a whole, and how often:
    every bundle, or all of them together. ``fallbacks``: the units of the bundles that will do instead, in order.
    """

    strategy: Strategy
    shapes: Shapes
    units: Shapes
    members: tuple[Gang, ...]
    fallbacks: tuple[Shapes, ...] = ()

    def order(self, small_first: bool) -> tuple[int, int, int, str, Shapes, tuple[Shapes, ...]]:
        """Hardest first: strict ones, then many bundles, then much of them. The rest makes the order total."""
        size = sum([count for _, count in self.shapes])
        volume = sum([amount * count for shape, count in self.shapes for _, amount in shape.resources])
        strict = self.strategy in {Strategy.STRICT_PACK, Strategy.STRICT_SPREAD}
        mass = volume if small_first else -volume
        return -size if strict else 0, -size, mass, self.strategy.value, self.shapes, self.fallbacks

    @property
    def ways(self) -> tuple[tuple[Shape, ...], ...]:
        """What must each fit on one node for such a gang to be possible at all; of one of these, all."""
        return tuple([tuple([shape for shape, _ in units]) for units in (self.units, *self.fallbacks)])


def grouped(gangs: Iterable[Gang]) -> list[Group]:
    """Equal gangs together. In no particular order."""
    as_given: dict[tuple[Strategy, Ways, tuple[LabelConstraint, ...]], list[Gang]] = {}
    for gang in gangs:
        as_given.setdefault((gang.strategy, (gang.bundles, *gang.fallbacks), gang.elsewhere), []).append(gang)
    groups: dict[tuple[Strategy, Shapes, tuple[Shapes, ...]], list[Gang]] = {}
    for (strategy, ways, elsewhere), members in as_given.items():
        shapes, *fallbacks = [_kept_off(added_up(bundles), elsewhere) for bundles in ways]
        groups.setdefault((strategy, shapes, tuple(fallbacks)), []).extend(members)
    return [
        Group(
            strategy,
            shapes,
            _units(strategy, shapes),
            tuple(sorted(members, key=lambda gang: gang.name)),
            tuple([_units(strategy, fallback) for fallback in fallbacks]),
        )
        for (strategy, shapes, fallbacks), members in groups.items()
    ]


def _kept_off(shapes: Shapes, elsewhere: tuple[LabelConstraint, ...]) -> Shapes:
    """The shapes with these constraints in each of their selectors."""
    if not elsewhere:
        return shapes
    return tuple([(_constrained(shape, elsewhere), count) for shape, count in shapes])


def _constrained(shape: Shape, more: tuple[LabelConstraint, ...]) -> Shape:
    selectors = [tuple(sorted({*selector.constraints, *more})) for selector in shape.selectors or (Selector(),)]
    return Shape(shape.resources, tuple(map(Selector, selectors)))


def _units(strategy: Strategy, shapes: Shapes) -> Shapes:
    return ((combined(shapes), 1),) if strategy is Strategy.STRICT_PACK and shapes else shapes


def added_up(given: Iterable[Demand]) -> Shapes:
    """How many of which shape, in a canonical order."""
    counts: defaultdict[Shape, int] = defaultdict(int)
    for bundle in given:
        if bundle.count > 0:
            counts[bundle.shape] += bundle.count
    return tuple([(shape, counts[shape]) for shape in sorted(counts, key=in_order)])


def combined(shapes: Shapes) -> Shape:
    """All bundles as one: the sum of the resources, and every bundle's selector of equal rank at once."""
    total: defaultdict[str, int] = defaultdict(int)
    for shape, count in shapes:
        for name, amount in shape.resources:
            total[name] += amount * count
    ranks = max((len(shape.selectors) for shape, _ in shapes), default=0)
    selectors = tuple(_joined(shapes, rank) for rank in range(ranks))
    return Shape(tuple(sorted(total.items())), selectors)


def attempts(group: Group, options: Options, spread: bool) -> Iterator[Attempt]:
    """Ways to place one of these gangs, the preferred one first. None when a bundle fits nowhere.

    A node is never launched only to spread: with ``spread``, SPREAD uses a node per bundle when so many are there.
    """
    for units in (group.units, *group.fallbacks):
        yield from _attempts(group.strategy, units, options, spread)


def _attempts(strategy: Strategy, units: Shapes, options: Options, spread: bool) -> Iterator[Attempt]:
    choices = [options(shape) for shape, _ in units]
    if not all(choices):
        return
    for rank in range(max(map(len, choices), default=0)):
        wants = tuple(
            [
                Want(shape, choice[min(rank, len(choice) - 1)], count)
                for (shape, count), choice in zip(units, choices, strict=True)
            ]
        )
        if strategy is Strategy.STRICT_SPREAD:
            yield Attempt(wants, apart=True)
            continue
        if strategy is Strategy.SPREAD and spread:
            yield Attempt(wants, apart=True, launch=False)
        yield Attempt(wants)


def _joined(shapes: Shapes, rank: int) -> Selector:
    chosen = [shape.selectors[min(rank, len(shape.selectors) - 1)] for shape, _ in shapes if shape.selectors]
    return Selector(tuple(sorted({constraint for selector in chosen for constraint in selector.constraints})))
