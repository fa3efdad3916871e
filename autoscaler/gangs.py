"""Placement groups as demand: what each strategy asks of nodes.

Ray's documented meaning: STRICT_PACK puts all bundles on one node, STRICT_SPREAD each on a node of its own, PACK and
SPREAD try to and accept less.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from .model import Gang, Selector, Shape, Strategy
from .wants import Choice, Want

# The selectors of a shape that some node or type can satisfy, in the order in which they are tried.
Options = Callable[[Shape], Sequence[Choice]]


class Attempt(NamedTuple):
    """One way to place a gang. ``limit``: bundles per node; ``launch``: whether nodes may be launched for it."""

    wants: tuple[Want, ...]
    limit: int | None = None
    launch: bool = True


def order(gang: Gang, small_first: bool) -> tuple[int, int, int, str, tuple[tuple[Shape, int], ...], str]:
    """Hardest first: strict ones, then many bundles, then much of them. The rest makes the order total."""
    shapes = bundles(gang)
    size = sum(count for _, count in shapes)
    volume = sum(amount for _, amount in combined(shapes).resources)
    strict = gang.strategy in {Strategy.STRICT_PACK, Strategy.STRICT_SPREAD}
    return -size if strict else 0, -size, volume if small_first else -volume, gang.strategy.value, shapes, gang.name


def bundles(gang: Gang) -> tuple[tuple[Shape, int], ...]:
    """The bundles by shape, in a canonical order."""
    counts: Counter[Shape] = Counter()
    for bundle in gang.bundles:
        if bundle.count > 0:
            counts[bundle.shape] += bundle.count
    return tuple(sorted(counts.items()))


def alone(gang: Gang) -> list[Shape]:
    """What must each fit on one node for the gang to be possible at all."""
    shapes = bundles(gang)
    if gang.strategy is Strategy.STRICT_PACK:
        return [combined(shapes)] if shapes else []
    return [shape for shape, _ in shapes]


def combined(shapes: tuple[tuple[Shape, int], ...]) -> Shape:
    """All bundles as one: the sum of the resources, and every bundle's selector of equal rank at once."""
    total: Counter[str] = Counter()
    for shape, count in shapes:
        for name, amount in shape.resources:
            total[name] += amount * count
    ranks = max((len(shape.selectors) for shape, _ in shapes), default=0)
    selectors = tuple(_joined(shapes, rank) for rank in range(ranks))
    return Shape(tuple(sorted(total.items())), selectors)


def attempts(gang: Gang, options: Options, spread: bool) -> Iterator[Attempt]:
    """Ways to place the gang, the preferred one first. None when a bundle fits nowhere.

    A node is never launched only to spread: with ``spread``, SPREAD uses a node per bundle when so many are there.
    """
    shapes = bundles(gang)
    if gang.strategy is Strategy.STRICT_PACK:
        shapes = ((combined(shapes), 1),)
    choices = [options(shape) for shape, _ in shapes]
    if not all(choices):
        return
    for rank in range(max(map(len, choices), default=0)):
        wants = tuple(
            Want(shape, choice[min(rank, len(choice) - 1)], count)
            for (shape, count), choice in zip(shapes, choices, strict=True)
        )
        if gang.strategy is Strategy.STRICT_SPREAD:
            yield Attempt(wants, limit=1)
            continue
        if gang.strategy is Strategy.SPREAD and spread:
            yield Attempt(wants, limit=1, launch=False)
        yield Attempt(wants)


def _joined(shapes: tuple[tuple[Shape, int], ...], rank: int) -> Selector:
    chosen = [shape.selectors[min(rank, len(shape.selectors) - 1)] for shape, _ in shapes if shape.selectors]
    return Selector(tuple(sorted({constraint for selector in chosen for constraint in selector.constraints})))
