"""What a decision depends on, and what it says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from autoscaler.model import Demand, Gang, NodeType


@dataclass(frozen=True)
class Existing:
    """A node that counts as capacity. Amounts in units of 1/10000.

    ``pending``: its pod exists or was just asked for, but Ray does not know it yet; free and total are its type's.
    ``draining``: takes no new work, but counts against the limits until it is gone.
    """

    name: str
    node_type: str
    total: Mapping[str, int]
    free: Mapping[str, int]
    labels: Mapping[str, str]
    pending: bool = False
    is_head: bool = False
    draining: bool = False


@dataclass(frozen=True)
class Request:
    """All that a decision depends on. ``max_workers`` is for all types together; the head is not a worker.

    ``upscaling_speed``: workers of a type that are on their way for tasks and actors number at most
    max(5, speed * running ones). ``requested`` is the size of the whole cluster, whatever runs on it now.
    ``blocked`` types cannot be launched at the moment, not even for their minimum.
    """

    types: tuple[NodeType, ...]
    max_workers: int
    upscaling_speed: float
    nodes: tuple[Existing, ...]
    demands: tuple[Demand, ...] = ()
    gangs: tuple[Gang, ...] = ()
    requested: tuple[Demand, ...] = ()
    blocked: frozenset[str] = frozenset()
    conserve_gpus: bool = True


@dataclass(frozen=True)
class Decision:
    """What to launch, per type and reason, and what becomes of the demand.

    ``needed``: existing workers on which something is to be placed. ``infeasible``: no node and no type, were it
    empty and free to launch, could ever hold it. ``unplaced``: feasible, but limits or blocked types hold it back.
    ``complete``: false when there was too much for one decision; what was not examined is among the unplaced.
    """

    launches: Mapping[str, int]
    reasons: Mapping[str, Mapping[str, int]]
    needed: frozenset[str]
    infeasible: tuple[Demand, ...] = ()
    infeasible_gangs: tuple[Gang, ...] = ()
    unplaced: tuple[Demand, ...] = ()
    unplaced_gangs: tuple[Gang, ...] = ()
    unplaced_requested: tuple[Demand, ...] = ()
    complete: bool = True
