"""The status of a cluster that has no pods because it is suspended, or is on its way there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from controller.planning.actions import Action
from controller.planning.hosts import ready_workers
from controller.planning.observed import Observed
from controller.planning.plan import Plan
from controller.planning.suspension import Suspension, remaining
from controller.raycluster.model import Json, timestamp

from .conditions import conditions
from .parts import REFUSED, head_status, idle_status, last_decision, type_status, worker_selector
from .read import SUSPENDED, SUSPENDING, ClusterStatus


def status_of_suspended(
    seen: Observed, plan: Plan, why: Suspension, refusals: Sequence[str], done: Sequence[Action]
) -> dict[str, Any]:
    """The status, given the plan just made. ``refusals``: the API server's words about what it did not carry out."""
    left = remaining(seen)
    over = not left
    doing = why.message if over else f"{why.message}; {_words(seen, plan)}"
    word = SUSPENDED if over else SUSPENDING
    ready = (False, REFUSED if refusals else word, "; ".join(refusals) or doing)
    told = {
        "SpecValid": (True, "Valid", ""),
        "HeadReady": (bool(plan.head and plan.head.ready), word, doing),
        "WorkersReady": (False, word, doing),
        "Ready": ready,
        "Suspended": (over, why.reason if over else SUSPENDING, doing),
        "Autoscaling": (False, word, "a suspended cluster is not scaled"),
    }
    return {
        "phase": word,
        "autoscalerRetries": ClusterStatus.of(seen.cluster.status).restarts,
        "observedGeneration": seen.cluster.generation,
        "head": head_status(seen.cluster, plan.head),
        "desiredWorkers": 0,
        "readyWorkers": ready_workers(plan.workers).total(),
        "workerSelector": worker_selector(seen.cluster),
        "podTypes": [type_status(t, 0, plan.workers) for t in seen.spec.worker_types],
        **idle_status(plan),
        **last_decision(seen.cluster.status, seen.now, done),
        "conditions": conditions(seen.cluster, seen.now, told),
    }


def _words(seen: Observed, plan: Plan) -> str:
    """Which pods are left, in one sentence."""
    counts = Counter(p.kind for p in remaining(seen))
    pods = ", ".join(f"{count} {kind}{'s' if count > 1 else ''}" for kind, count in sorted(counts.items()))
    draining = sum(p.drain_by > 0 for p in plan.workers)
    until = timestamp(max((p.drain_by for p in plan.workers), default=0.0))
    return f"left: {pods}{f', {draining} of them finishing until {until} at the latest' if draining else ''}"


def resumed(before: Json) -> dict[str, tuple[bool, str, str]]:
    """The condition of a cluster that runs and was suspended once; none for one that never was."""
    known = ClusterStatus.of(before).condition("Suspended")
    return {"Suspended": (False, "Resumed", "")} if known.status else {}
