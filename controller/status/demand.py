"""Waiting work in the status: its most frequent shapes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from autoscaler.model import QUANTUM, Demand, Shape
from controller.planning.observed import Observed
from controller.planning.plan import Plan
from controller.raycluster.model import Json

# Of waiting demand, the status shows this many shapes.
MAX_SHAPES = 10
# Of each shape, this many resources, and of each name this many characters: a status of a megabyte is of no use.
MAX_RESOURCES = 16
MAX_NAME = 100


def kept_demand(before: Json) -> dict[str, Any]:
    """The demand that the status has."""
    return {name: before[name] for name in ("pendingDemand", "infeasibleDemand") if name in before}


def demand_status(seen: Observed, plan: Plan) -> dict[str, Any]:
    """What waits in Ray, and what of it no node of this cluster could ever hold; absent when there is none."""
    state = seen.ray.state if seen.ray else None
    waiting = [*(state.demands if state else ()), *(d for g in (state.gangs if state else ()) for d in g.bundles)]
    decision = plan.decision
    never = [
        *(decision.infeasible if decision else ()),
        *(decision.infeasible_requested if decision else ()),
        *(d for g in (decision.infeasible_gangs if decision else ()) for d in g.bundles),
    ]
    shown = {"pendingDemand": waiting, "infeasibleDemand": never}
    return {name: _shapes(demands) for name, demands in shown.items() if demands}


def _shapes(demands: Sequence[Demand]) -> list[dict[str, Any]]:
    """The most frequent shapes, in Ray's units."""
    counts: Counter[Shape] = Counter()
    for demand in demands:
        counts[demand.shape] += demand.count
    most = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:MAX_SHAPES]
    return [_shown(shape, count) for shape, count in most]


def _shown(shape: Shape, count: int) -> dict[str, Any]:
    resources = {name[:MAX_NAME]: amount / QUANTUM for name, amount in shape.resources[:MAX_RESOURCES]}
    selectors = [
        {c.key[:MAX_NAME]: c.text[:MAX_NAME] for c in selector.constraints[:MAX_RESOURCES]}
        for selector in shape.selectors[:MAX_RESOURCES]
    ]
    return {"resources": resources, **({"labelSelectors": selectors} if selectors else {}), "count": count}
