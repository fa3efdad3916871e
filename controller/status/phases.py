"""The phase of a cluster as one of a few values, and its work that waits."""

from __future__ import annotations

from typing import Any

from controller.raycluster.model import RayCluster

from .cluster_status import ERROR, RECOVERY, RUNNING, UPDATING

PHASES = (UPDATING, RUNNING, RECOVERY, ERROR)


def phase(cluster: RayCluster) -> str:
    """The phase in the status; one that is none of the known is told as no phase."""
    found = cluster.status.get("phase")
    return found if found in PHASES else ""


def waiting(cluster: RayCluster, field: str) -> float:
    """How much waits, as ``pendingDemand`` or ``infeasibleDemand`` of the status say."""
    # A status is written by whoever may: nothing in it is trusted to have its form.
    shapes: Any = cluster.status.get(field)
    shapes = shapes if isinstance(shapes, list) else []
    return sum(_number(s.get("count")) for s in shapes if isinstance(s, dict))


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
