"""Why work waits: which bound, which blocked type, or which label that no type declares."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice

from autoscaler.model import NODE_ID_LABEL, Gang, LabelConstraint, LabelOperator, NodeType, Selector, Shape, in_order

from .gangs import Group
from .limits import Limits
from .packing_input import PackingInput
from .packing_pass import Planner
from .request import Cause, Obstacle

# Shapes and gangs of one decision that are looked into; of the rest it is only said that they wait.
MAX_EXPLAINED = 100
STEPS_PER_TYPE = 4


class Judgement:
    """What becomes of that which a plan leaves over: whether it is infeasible, and if not, why it waits."""

    def __init__(self, given: PackingInput, plan: Planner) -> None:
        self._given = given
        self._plan = plan
        self._undeclared: dict[Shape, tuple[str, ...] | None] = {}
        # What a node may be: the hosts of workers, each by itself.
        self._hosts = [host for t in given.types.values() for host in t.as_hosts]

    def infeasible(self, shapes: Iterable[Shape]) -> frozenset[Shape]:
        """Those that no node and no type could ever hold, whatever was declared about it."""
        return frozenset(shape for shape in shapes if self._is_infeasible(shape))

    def is_hopeless(self, group: Group) -> bool:
        """Whether each way to place such a gang has a part that is infeasible."""
        return all(any(map(self._is_infeasible, way)) for way in group.ways)

    def causes(
        self,
        demands: Mapping[Shape, int],
        requested: Mapping[Shape, int],
        gangs: Sequence[tuple[Group, int]],
        complete: bool,
    ) -> dict[Shape | Gang, tuple[Cause, ...]]:
        """Why what is not infeasible waits. For the first ones only, and with one cause where not all was examined."""
        waiting = sorted({shape for shape in (*demands, *requested) if not self._is_infeasible(shape)}, key=in_order)
        told: dict[Shape | Gang, tuple[Cause, ...]] = {}
        for shape in waiting[:MAX_EXPLAINED]:
            told[shape] = self._causes(shape, demands.get(shape, 0), requested.get(shape, 0), complete)
        members = ((group, gang) for group, count in gangs for gang in group.members[-count:])
        by_group: dict[int, tuple[Cause, ...]] = {}
        for group, gang in islice(members, MAX_EXPLAINED):
            if id(group) not in by_group:
                by_group[id(group)] = self._causes_of_gang(group, complete)
            told[gang] = by_group[id(group)]
        return told

    def _is_infeasible(self, shape: Shape) -> bool:
        return not self._given.possible(shape) and self._names(shape) is None

    def _names(self, shape: Shape) -> tuple[str, ...] | None:
        """See ``undeclared``. Empty where the budget was spent."""
        if shape not in self._undeclared:
            looked = self._given.judging.spend(STEPS_PER_TYPE * len(self._hosts))
            self._undeclared[shape] = undeclared(shape, self._hosts) if looked else ()
        return self._undeclared[shape]

    def _causes(self, shape: Shape, waiting: int, requested: int, complete: bool) -> tuple[Cause, ...]:
        if not self._given.possible(shape):
            return self._causes_undeclared([shape])
        if not complete:
            return (Cause(Obstacle.UNEXAMINED),)
        slowed = self._plan.slowed[shape]
        found = {Cause(Obstacle.SPEED, (name,)) for name in self._plan.slowed_types.get(shape, ())}
        if waiting > slowed or requested:
            found |= obstacles([shape], self._hosts, self._plan.limits)
        return _sorted(found)

    def _causes_of_gang(self, group: Group, complete: bool) -> tuple[Cause, ...]:
        ways = [way for way in group.ways if not any(map(self._is_infeasible, way))]
        possible = [way for way in ways if all(map(self._given.possible, way))]
        if not possible:
            return self._causes_undeclared([shape for shape in ways[0] if not self._given.possible(shape)])
        if not complete:
            return (Cause(Obstacle.UNEXAMINED),)
        return _sorted({cause for way in possible for cause in obstacles(way, self._hosts, self._plan.limits)})

    def _causes_undeclared(self, shapes: Iterable[Shape]) -> tuple[Cause, ...]:
        names = {name for shape in shapes for name in self._names(shape) or ()}
        return (Cause(Obstacle.UNDECLARED, tuple(sorted(names))) if names else Cause(Obstacle.UNEXAMINED),)


def _sorted(causes: Iterable[Cause]) -> tuple[Cause, ...]:
    return tuple(sorted(causes, key=lambda cause: (list(Obstacle).index(cause.obstacle), cause.names)))


def undeclared(shape: Shape, types: Iterable[NodeType]) -> tuple[str, ...] | None:
    """The fewest labels and resources that a type would have to declare in order to hold this.

    None when no declaration would help: every type is too small, or is known to have another value. Call it for what
    nothing is known to hold.
    """
    found = [missing for t in types if (missing := _missing(shape, t)) is not None]
    return min(found, key=lambda names: (len(names), names), default=None)


def _missing(shape: Shape, node_type: NodeType) -> tuple[str, ...] | None:
    names = set()
    for name, amount in shape.resources:
        if node_type.resources.get(name, 0) >= amount:
            continue
        if name in node_type.resources or not name.startswith(node_type.unknown_resources):
            return None
        names.add(name)
    labels = [found for s in shape.selectors or (Selector(),) if (found := _missing_labels(s, node_type)) is not None]
    return tuple(sorted(names | min(labels, key=lambda keys: (len(keys), sorted(keys))))) if labels else None


def _missing_labels(selector: Selector, node_type: NodeType) -> set[str] | None:
    missing = set()
    for constraint in selector.constraints:
        if _is_open(constraint, node_type):
            missing.add(constraint.key)
        elif not constraint.admits(node_type.labels):
            return None
    return missing


def _is_open(constraint: LabelConstraint, node_type: NodeType) -> bool:
    """Whether nothing that is declared says if a node of the type satisfies it.

    A label that is asked for may come from anywhere, an image for example, unless it is declared otherwise.
    """
    if constraint.key in node_type.labels or constraint.key == NODE_ID_LABEL:
        return False
    wanted = constraint.operator == LabelOperator.IN.value
    return bool(constraint.values) and (wanted or node_type.leaves_open(constraint.key))


def obstacles(shapes: Iterable[Shape], types: Sequence[NodeType], limits: Limits) -> set[Cause]:
    """What keeps the types that could hold any of these from being launched, after all launches of a decision.

    BUSY when one of these fits no type, so that only nodes that are there could hold it.
    """
    able = [[t.name for t in types if _missing(shape, t) == ()] for shape in shapes]
    busy = {Cause(Obstacle.BUSY)} if not all(able) else set()
    names = {name for of_shape in able for name in of_shape}
    binding = {name: obstacle for name in names if (obstacle := limits.obstacle(name))}
    if not (binding or busy):
        # None binds by itself: a gang asks for more nodes at once than are left.
        binding = {name: limits.nearest(name) for name in names}
    return busy | {_cause(obstacle, name) for name, obstacle in binding.items()}


def _cause(obstacle: Obstacle, name: str) -> Cause:
    return Cause(obstacle, () if obstacle is Obstacle.CLUSTER_MAXIMUM else (name,))
