"""What a decision depends on, and what it says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import NamedTuple

from autoscaler.model import Demand, Gang, NodeType, Shape


@dataclass(frozen=True)
class Existing:
    """A node that counts as capacity. Amounts in units of 1/10000.

    ``pending``: its pod exists or was just asked for, but Ray does not know it yet; free and total are its type's.
    ``draining``: takes no new work, but counts against the limits until it is gone. ``worker``: which of the nodes are
    one worker; empty for a node that is one by itself.
    """

    name: str
    node_type: str
    total: Mapping[str, int]
    free: Mapping[str, int]
    labels: Mapping[str, str]
    pending: bool = False
    is_head: bool = False
    draining: bool = False
    worker: str = ""


def as_workers(nodes: Iterable[Existing]) -> list[Existing]:
    """One node for each worker: pending or draining where any of its hosts is."""
    found: list[Existing] = []
    places: dict[str, int] = {}
    for node in nodes:
        if not node.worker:
            found.append(node)
        elif node.worker not in places:
            places[node.worker] = len(found)
            found.append(node)
        elif node.pending or node.draining:
            one = found[places[node.worker]]
            pending, draining = one.pending or node.pending, one.draining or node.draining
            found[places[node.worker]] = replace(one, pending=pending, draining=draining)
    return found


@dataclass(frozen=True)
class Request:
    """All that a decision depends on. ``max_workers`` is for all types together; the head is not a worker.

    Every number of workers counts a worker of several hosts once.

    ``upscaling_speed``: workers of a type that are on their way for tasks and actors number at most
    max(5, speed * running ones). ``requested`` is the size of the whole cluster, whatever runs on it now.
    ``blocked`` types cannot be launched at the moment, not even for their minimum. ``last_resort``: those of them that
    are launched all the same, but only for what no other type can serve. ``stuck``: nodes that exist and cannot start;
    those of a last resort are capacity for it, the others are none. ``reserved``: type -> stuck nodes that keep their
    place below ``max_workers``. ``terminating``: type -> workers whose machines are still paid for; they count against
    the bounds wherever demand would launch another.
    ``expected``: work that does not wait yet. It comes after all that waits, and is never reported as left over.
    """

    types: tuple[NodeType, ...]
    max_workers: int
    upscaling_speed: float
    nodes: tuple[Existing, ...]
    demands: tuple[Demand, ...] = ()
    gangs: tuple[Gang, ...] = ()
    requested: tuple[Demand, ...] = ()
    blocked: frozenset[str] = frozenset()
    terminating: Mapping[str, int] = field(default_factory=dict)
    last_resort: frozenset[str] = frozenset()
    stuck: tuple[Existing, ...] = ()
    reserved: Mapping[str, int] = field(default_factory=dict)
    expected: tuple[Demand, ...] = ()


class Obstacle(Enum):
    """What keeps work waiting that is not infeasible."""

    UNDECLARED = "no type declares a label or resource"
    BLOCKED = "a type cannot be launched for the time being"
    TYPE_MAXIMUM = "maxWorkers of a type"
    CLUSTER_MAXIMUM = "maxWorkers of the cluster"
    SPEED = "upscalingSpeed"
    BUSY = "only nodes that are in use could hold it"
    UNEXAMINED = "there was too much for one decision"


class Cause(NamedTuple):
    """An obstacle, and the types or the labels and resources that it is about."""

    obstacle: Obstacle
    names: tuple[str, ...] = ()


class Together(NamedTuple):
    """Workers that are launched for placement groups: ``gangs`` by name, ``launches``: type -> how many workers.

    Several groups of one kind that share the launches are named together.
    """

    gangs: tuple[str, ...]
    launches: Mapping[str, int]


@dataclass(frozen=True)
class Decision:
    """How many workers to launch, per type and reason, and what becomes of the demand.

    ``needed``: existing workers on which something is to be placed. ``infeasible``: no node and no type, were it
    empty and free to launch, could ever hold it. ``unplaced``: it waits, for the ``causes`` of its shape, or of the
    gang; only the first ones are looked into.
    ``slowed``: type -> nodes that will be launched once the upscaling speed allows them.
    ``together``: which of the launches are for which placement groups.
    ``complete``: false when there was too much for one decision; what was not examined is among the unplaced.
    """

    launches: Mapping[str, int]
    reasons: Mapping[str, Mapping[str, int]]
    needed: frozenset[str]
    infeasible: tuple[Demand, ...] = ()
    infeasible_gangs: tuple[Gang, ...] = ()
    infeasible_requested: tuple[Demand, ...] = ()
    unplaced: tuple[Demand, ...] = ()
    unplaced_gangs: tuple[Gang, ...] = ()
    unplaced_requested: tuple[Demand, ...] = ()
    causes: Mapping[Shape | Gang, tuple[Cause, ...]] = field(default_factory=dict)
    slowed: Mapping[str, int] = field(default_factory=dict)
    complete: bool = True
    together: tuple[Together, ...] = ()
