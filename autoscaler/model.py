"""What crosses between Ray's state, the scheduler and the planner: demand, nodes, node types. Plain values, no I/O.

Everything here is immutable and hashable, and equal things compare equal: shapes are canonical (sorted, no zeros).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from operator import attrgetter

# Ray keeps quantities in units of 1/10000; smaller differences are noise.
QUANTUM = 10_000
# Every Ray node has one of each resource that starts so, listed or not; Serve limits replicas per node by them.
IMPLICIT = "node:__internal_implicit_resource_"
# The head alone has one.
HEAD_RESOURCE = "node:__internal_head__"


class LabelOperator(Enum):
    """How a label constraint compares."""

    IN = "in"
    NOT_IN = "not in"


_IN = LabelOperator.IN.value
# The value of a label that nodes of a type may have, whatever it is; no selector admits it. Ray allows no such value.
UNKNOWN = "\0"
# Among the unknown labels of a type: every label that it does not declare.
ANY_LABEL = "*"
# Every node has one of its own, so that no new node can have the one that is asked for.
NODE_ID_LABEL = "ray.io/node-id"
# How the labels begin that Ray gives to the nodes that hold a bundle of a placement group. No node starts with one.
GROUP_LABEL = "_PG_"


@dataclass(frozen=True, order=True)
class LabelConstraint:
    """A node's label ``key`` is, or is not, one of ``values``."""

    key: str
    operator: str
    values: tuple[str, ...]

    @classmethod
    def of(cls, key: str, operator: LabelOperator, values: Iterable[str]) -> LabelConstraint:
        """Canonical: the order in which Ray sends values says nothing."""
        return cls(key, operator.value, tuple(sorted(set(values))))

    @property
    def text(self) -> str:
        """As Ray's label_selector writes it: ``a``, ``!a``, ``in(a, b)`` or ``!in(a, b)``."""
        negated = "" if self.operator == _IN else "!"
        return f"{negated}{self.values[0]}" if len(self.values) == 1 else f"{negated}in({', '.join(self.values)})"

    def admits(self, labels: Mapping[str, str]) -> bool:
        """Whether a node with these labels may be used."""
        value = labels.get(self.key)
        return (value in self.values) == (self.operator == _IN) and value != UNKNOWN


@dataclass(frozen=True, order=True)
class Selector:
    """All of these constraints together; none at all admits every node."""

    constraints: tuple[LabelConstraint, ...] = ()

    def admits(self, labels: Mapping[str, str]) -> bool:
        """Whether a node with these labels may be used."""
        for constraint in self.constraints:  # noqa: SIM110 (a generator would double the cost)
            if not constraint.admits(labels):
                return False
        return True

    def __hash__(self) -> int:
        # As of shapes: one selector is looked up for each shape that has it.
        known: int | None = self.__dict__.get("_hash")
        if known is None:
            known = self.__dict__["_hash"] = hash(self.constraints)
        return known


@dataclass(frozen=True, order=True)
class Shape:
    """What one task, actor or bundle needs: resource amounts in units of 1/10000, and where it may run.

    ``selectors`` are tried in order (fallback strategy); empty means anywhere.
    """

    resources: tuple[tuple[str, int], ...]
    selectors: tuple[Selector, ...] = ()

    @classmethod
    def of(cls, resources: Mapping[str, float], selectors: Iterable[Selector] = ()) -> Shape:
        """Canonical: sorted, zeros left out, selectors that admit everything and stand alone left out."""
        amounts = ((name, round(value * QUANTUM)) for name, value in resources.items())
        kept = tuple(selectors)
        return cls(tuple(sorted((n, a) for n, a in amounts if a > 0)), kept if any(s.constraints for s in kept) else ())

    def __hash__(self) -> int:
        # Computed once: shapes are keys in many places, and a chain of selectors takes long to hash.
        known: int | None = self.__dict__.get("_hash")
        if known is None:
            known = self.__dict__["_hash"] = hash((self.resources, self.selectors))
        return known


# Sorts shapes as they compare, in a fraction of the time.
in_order = attrgetter("resources", "selectors")


@dataclass(frozen=True)
class Demand:
    """``count`` equal wishes."""

    shape: Shape
    count: int


class Strategy(Enum):
    """How a gang's bundles are placed."""

    PACK = "PACK"
    SPREAD = "SPREAD"
    STRICT_PACK = "STRICT_PACK"
    STRICT_SPREAD = "STRICT_SPREAD"


@dataclass(frozen=True)
class Gang:
    """A placement group that waits: all of its bundles are placed, or none is.

    ``fallbacks``: other bundles that will do instead, in the order in which they are tried. ``elsewhere``: what keeps
    the bundles off the nodes that hold others of the group, which lost a node and keeps the rest.
    """

    bundles: tuple[Demand, ...]
    strategy: Strategy
    name: str = ""
    fallbacks: tuple[tuple[Demand, ...], ...] = ()
    elsewhere: tuple[LabelConstraint, ...] = ()


class NodeStatus(Enum):
    """What Ray says of a node."""

    RUNNING = "running"
    IDLE = "idle"
    DRAINING = "draining"
    DEAD = "dead"


@dataclass(frozen=True)
class RayNode:
    """A node as the GCS knows it. ``instance_id`` is the pod's name, ``node_id`` Ray's own id (28 bytes).

    ``total`` and ``available`` are in units of 1/10000; a resource that is used up is absent from ``available``.
    ``ip`` is where the raylet says it is: whatever it calls itself, empty when it says nothing.
    """

    node_id: bytes
    instance_id: str
    node_type: str
    status: NodeStatus
    total: Mapping[str, int]
    available: Mapping[str, int]
    labels: Mapping[str, str] = field(default_factory=dict)
    idle_seconds: float = 0.0
    is_head: bool = False
    ip: str = ""


@dataclass(frozen=True)
class RayState:
    """One answer of a head. ``taken_at`` is our monotonic clock; ``session`` changes when the head restarts.

    ``requested`` is what request_resources() asks for: the size of the whole cluster, not an addition to it.
    ``cost``: the seconds of CPU that reading the answer took. ``size``: its bytes.
    """

    session: str
    taken_at: float
    nodes: tuple[RayNode, ...]
    demands: tuple[Demand, ...] = ()
    gangs: tuple[Gang, ...] = ()
    requested: tuple[Demand, ...] = ()
    cost: float = field(default=0.0, compare=False)
    size: int = field(default=0, compare=False)

    @property
    def living(self) -> tuple[RayNode, ...]:
        """The nodes without the dead ones, which Ray goes on to list."""
        return tuple(n for n in self.nodes if n.status is not NodeStatus.DEAD)


@dataclass(frozen=True)
class RayUsage:
    """Who uses a Ray cluster, beside work that waits or holds resources. ``taken_at`` is our monotonic clock.

    ``user``: a driver, job or actor that lives, in words; empty when there is none. ``last_end``: when the last driver
    ended that is over, in Unix seconds of the head's clock; 0 when none ever was. ``cost``: the seconds of CPU that
    reading the answers took.
    """

    taken_at: float
    user: str = ""
    last_end: int = 0
    cost: float = field(default=0.0, compare=False)


@dataclass(frozen=True)
class NodeType:
    """A kind of worker that can be launched: what one brings, and how many there may be.

    ``unknown``: labels that its nodes may have and whose values are not known before there is one; ANY_LABEL among
    them stands for every label that is not in ``labels``. ``unknown_resources``: how the names of resources begin that
    are not known either. Types with more ``priority`` go first; ``position`` decides between types that are alike.

    ``hosts``: a worker is so many nodes, which come and go together; bounds count workers, ``resources`` are those of
    one host. ``first_resources``: what the first host has beside them. ``index_labels``: the value is the host's index.
    """

    name: str
    resources: Mapping[str, int]
    min_workers: int
    max_workers: int
    labels: Mapping[str, str] = field(default_factory=dict)
    unknown: frozenset[str] = frozenset()
    unknown_resources: tuple[str, ...] = ()
    priority: int = 0
    position: int = 0
    hosts: int = 1
    first_resources: Mapping[str, int] = field(default_factory=dict)
    index_labels: tuple[str, ...] = ()

    def host_resources(self, index: int) -> Mapping[str, int]:
        """What one host of a worker brings."""
        return self.resources if index or not self.first_resources else {**self.resources, **self.first_resources}

    def host_labels(self, index: int) -> Mapping[str, str]:
        """The labels of one host of a worker."""
        return {**self.labels, **dict.fromkeys(self.index_labels, str(index))} if self.index_labels else self.labels

    @property
    def as_hosts(self) -> tuple[NodeType, ...]:
        """Its hosts that differ, each as a type of one host."""
        if self.hosts == 1:
            return (self,)
        indices = range(self.hosts if self.index_labels else 2)
        return tuple(
            [replace(self, hosts=1, resources=self.host_resources(i), labels=self.host_labels(i)) for i in indices]
        )

    def leaves_open(self, key: str) -> bool:
        """Whether its nodes may have a label of this key that it does not declare."""
        vague = key in self.unknown or (ANY_LABEL in self.unknown and not key.startswith(GROUP_LABEL))
        return vague and key not in self.labels


@dataclass(frozen=True)
class PendingInstance:
    """A pod that is there and whose raylet is not. ``details`` says what it waits for."""

    instance_id: str
    node_type: str
    details: str = ""


@dataclass(frozen=True)
class FailedInstance:
    """A launch that came to nothing. Both times are Unix seconds."""

    node_type: str
    reason: str
    started_at: float
    failed_at: float


@dataclass(frozen=True)
class ReportedState:
    """What ``ray status`` and the dashboard show of the autoscaler. One entry per instance: Ray counts entries.

    ``launching``: the node types of decided launches that have no pod yet.
    ``infeasible``, ``infeasible_gangs``, ``infeasible_requested``: what no node type can ever hold. With
    RAY_enable_infeasible_task_early_exit Ray *cancels* those tasks, so only what is certain belongs here.
    """

    pending: tuple[PendingInstance, ...] = ()
    launching: tuple[str, ...] = ()
    failed: tuple[FailedInstance, ...] = ()
    infeasible: tuple[Shape, ...] = ()
    infeasible_gangs: tuple[Gang, ...] = ()
    infeasible_requested: tuple[Demand, ...] = ()
