"""The simulated Ray: nodes, waiting work, and where it is placed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from autoscaler.model import QUANTUM, Gang, Shape, Strategy
from controller.objects.views import PodView

from .scenario import GangWork, Step

NODE_ID_BYTES = 28


@dataclass
class Node:
    """A Ray node. ``free``: what nothing has taken, in units of 1/10000. ``uses``: how much runs there."""

    pod: PodView
    number: int
    total: dict[str, int]
    labels: dict[str, str]
    free: dict[str, int] = field(default_factory=dict)
    uses: int = 0
    idle_since: float = 0.0

    def room_for(self, shape: Shape) -> int:
        """How many of these fit now."""
        if shape.selectors and not any(s.admits(self.labels) for s in shape.selectors):
            return 0
        return min((self.free.get(name, 0) // amount for name, amount in shape.resources), default=1_000_000)

    def take(self, shape: Shape, count: int) -> None:
        """Begin so many; a negative number ends them."""
        for name, amount in shape.resources:
            self.free[name] = self.free.get(name, 0) - amount * count
        self.uses += count


@dataclass
class Wish:
    """Equal tasks that wait, or one placement group."""

    shape: Shape | None
    left: int
    seconds: float | None
    gang: Gang | None = None


# What runs: (node, shape, count) of one batch of tasks, or of one placement group.
Held = list[tuple[Node, Shape, int]]


def wishes(step: Step) -> Iterator[Wish]:
    """The work that a step of the scenario submits."""
    for work in step.tasks:
        yield Wish(work.demand.shape, work.demand.count, work.seconds)
    for group in step.gangs:
        yield _gang_wish(group)


def _gang_wish(group: GangWork) -> Wish:
    return Wish(None, 1, group.seconds, group.gang)


def task_places(wish: Wish, nodes: Sequence[Node]) -> Held:
    """Takes room for as many tasks as fit now."""
    held: Held = []
    left = wish.left
    assert wish.shape is not None
    for node in nodes:
        count = min(left, node.room_for(wish.shape))
        if count > 0:
            node.take(wish.shape, count)
            held.append((node, wish.shape, count))
            left -= count
    return held


def gang_places(gang: Gang, nodes: Sequence[Node]) -> Held:
    """All bundles, or none."""
    # Together on one node, or on whichever nodes there are.
    places = ([node] for node in nodes) if gang.strategy is Strategy.STRICT_PACK else iter([nodes])
    return next(filter(None, (_places_on(gang, some) for some in places)), [])


def _places_on(gang: Gang, nodes: Sequence[Node]) -> Held:
    held: Held = []
    for shape in (bundle.shape for bundle in gang.bundles for _ in range(bundle.count)):
        used = [node for node, _, _ in held]
        node = next((n for n in _in_order(gang.strategy, nodes, used) if n.room_for(shape) > 0), None)
        if node is None:
            _undo(held)
            return []
        node.take(shape, 1)
        held.append((node, shape, 1))
    return held


def _in_order(strategy: Strategy, nodes: Sequence[Node], used: Sequence[Node]) -> Sequence[Node]:
    if strategy is Strategy.STRICT_PACK:
        return nodes
    fresh = [n for n in nodes if not any(n is u for u in used)]
    if strategy is Strategy.STRICT_SPREAD:
        return fresh
    return [*fresh, *used] if strategy is Strategy.SPREAD else [*used, *fresh]


def _undo(held: Held) -> None:
    for node, shape, count in held:
        node.take(shape, -count)


def nameless(gang: Gang) -> Gang:
    """The placement group without its name, so that equal ones compare equal."""
    return replace(gang, name="")


def demand_text(shape: Shape) -> str:
    """The resources and labels of one task in one line."""
    resources = ", ".join(f"{name}: {_amount(amount)}" for name, amount in shape.resources)
    selectors = [", ".join(f"{c.key}: {c.text}" for c in s.constraints) or "anywhere" for s in shape.selectors]
    return f"{{{resources}}}" + (f" on {', else '.join(selectors)}" if selectors else "")


def gang_text(gang: Gang) -> str:
    """The strategy and bundles of a placement group in one line."""
    counts: Counter[Shape] = Counter()
    for bundle in gang.bundles:
        counts[bundle.shape] += bundle.count
    bundles = ", ".join(f"{count} x {demand_text(shape)}" for shape, count in counts.items())
    return f"{gang.strategy.value} of {bundles}"


def _amount(amount: int) -> str:
    """An amount as Ray counts it. Bytes have more digits than a short number shows."""
    return str(amount // QUANTUM) if amount % QUANTUM == 0 else f"{amount / QUANTUM:g}"
