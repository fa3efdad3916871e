"""The status of a RayCluster, computed from what was seen: a pure function whose result is written when it differs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from autoscaler.model import PendingInstance, ReportedState
from controller.planning.actions import Action, CreateService
from controller.planning.hosts import count_workers, ready_workers
from controller.planning.observed import Observed, RayView
from controller.planning.plan import Plan
from controller.raycluster.model import RayCluster, timestamp
from controller.raycluster.problem import Problem

from .conditions import autoscaling_conditions, conditions, cut, kept_conditions
from .demand import demand_status, kept_demand
from .head import head_reason, head_trouble
from .parts import REFUSED, head_status, idle_status, last_decision, type_status, worker_selector
from .read import ERROR, RECOVERY, RUNNING, UPDATING, ClusterStatus
from .suspended import resumed, status_of_suspended

# Its reason when the API server puts something off, nothing else keeps the cluster from being ready, and no action of a
# user is needed.
WAITING = "Waiting"
MAX_SESSION = 100


def status_of(
    seen: Observed,
    plan: Plan,
    refusals: Sequence[str] = (),
    waits: Sequence[str] = (),
    done: Sequence[Action] = (),
) -> dict[str, Any]:
    """The status of a cluster whose spec is valid, given the plan just made for it.

    ``refusals`` are the API server's words about actions it did not carry out, ``waits`` those about what passes by
    itself; ``done`` are the actions that it did carry out.
    """
    if plan.suspension:
        return status_of_suspended(seen, plan, plan.suspension, refusals, done)
    known = ClusterStatus.of(seen.cluster.status)
    lost = _head_lost(seen, plan)
    found = _Findings.of(seen, plan, refusals, waits, done)
    recovering = lost or (known.phase == RECOVERY and not found.ready)
    types = seen.spec.worker_types
    return {
        "phase": RECOVERY if recovering else RUNNING if found.ready else UPDATING,
        "autoscalerRetries": known.restarts + (1 if lost else 0),
        "observedGeneration": seen.cluster.generation,
        "head": {**head_status(seen.cluster, plan.head), **_session(seen, plan, known)},
        "desiredWorkers": sum(plan.targets.values()),
        "readyWorkers": ready_workers(plan.workers).total(),
        "workerSelector": worker_selector(seen.cluster),
        "podTypes": [type_status(t, plan.targets.get(t.name, 0), plan.workers) for t in types],
        **(kept_demand(seen.cluster.status) if _is_unasked(seen, plan) else demand_status(seen, plan)),
        **_blocked_status(seen),
        **idle_status(plan),
        **last_decision(seen.cluster.status, seen.now, done, _held_back(seen, plan)),
        "conditions": conditions(seen.cluster, seen.now, _conditions(seen, plan, found)),
    }


@dataclass(frozen=True)
class _Findings:
    """Whether a cluster is ready, and what keeps it from that. ``head``: a sentence; ``short``: one a worker type."""

    head: str
    short: Sequence[str]
    ready: bool
    reason: str
    message: str

    @classmethod
    def of(
        cls, seen: Observed, plan: Plan, refusals: Sequence[str], waits: Sequence[str], done: Sequence[Action]
    ) -> _Findings:
        head, short = head_trouble(seen, plan), _shortages(seen, plan)
        updating, shared = _updating(plan), _shared_service(seen)
        parts = [part for part in (head, *short, updating, shared) if part]
        ready = not (parts or plan.head_change or refusals or _lacks_service(plan, done))
        message = "; ".join(refusals or [*parts, *(() if ready else waits)])
        reason = "ClusterReady" if ready else REFUSED if refusals else _reason(parts, updating, waits)
        return cls(head, short, ready, reason, message)


def _conditions(seen: Observed, plan: Plan, found: _Findings) -> dict[str, tuple[bool, str, str]]:
    """type -> (met, reason, message)."""
    before = seen.cluster.status
    known = ClusterStatus.of(before)
    return {
        "SpecValid": (True, "Valid", ""),
        "HeadReady": (not found.head, head_reason(seen, plan, found.head), found.head),
        "WorkersReady": (not found.short, "TooFew" if found.short else "AllReady", "; ".join(found.short)),
        "Ready": (found.ready, found.reason, found.message),
        **resumed(before),
        **(kept_conditions(known) if _is_unasked(seen, plan) else autoscaling_conditions(seen, plan)),
    }


def _reason(parts: Sequence[str], updating: str, waits: Sequence[str]) -> str:
    """Why a cluster is not ready whose actions the API server did not refuse."""
    if not parts and waits:
        return WAITING
    return "Updating" if parts == [updating] else "NotReady"


def _shared_service(seen: Observed) -> str:
    """Whose connections the head does not get, in one sentence; empty when it gets all."""
    if not seen.earlier_heads:
        return ""
    names = ", ".join(seen.earlier_heads)
    return f"the head Service leads to the head of an earlier cluster of this name as well; delete the pod {names}"


def _lacks_service(plan: Plan, done: Sequence[Action]) -> bool:
    """There is no head Service, and none could be made now."""
    return any(isinstance(a, CreateService) and a not in done for a in plan.actions)


def status_of_untried(cluster: RayCluster, message: str, now: float) -> dict[str, Any]:
    """The status while the API server cannot say whether it would take the pods: as before, but not ready."""
    before = cluster.status
    changed = {"Ready": (False, WAITING, message)}
    kept = [c for c in before.get("conditions") or () if c.get("type") not in changed]
    return {
        "phase": UPDATING,
        "autoscalerRetries": 0,
        **before,
        "conditions": [*kept, *conditions(cluster, now, changed)],
    }


def status_of_invalid(
    cluster: RayCluster, problems: Sequence[Problem], now: float, reason: str = "Invalid"
) -> dict[str, Any]:
    """The status of a cluster whose spec cannot be run: what runs is left alone, and the status says why."""
    message = "; ".join(map(str, problems))
    kept = {k: v for k, v in cluster.status.items() if k not in ("phase", "conditions", "observedGeneration")}
    return {
        "autoscalerRetries": 0,
        **kept,
        "phase": ERROR,
        "observedGeneration": cluster.generation,
        "conditions": conditions(
            cluster,
            now,
            {"SpecValid": (False, reason, message), "Ready": (False, "SpecInvalid", message)},
        ),
    }


def report_of(ray: RayView, plan: Plan) -> ReportedState:
    """The same truth for ``ray status`` and Ray's dashboard: pods that are not Ray nodes yet, and what can never be."""
    pending = (p for p in plan.workers if p.name not in ray.alive)
    decision = plan.decision
    return ReportedState(
        pending=tuple(PendingInstance(p.name, p.node_type, p.problem or p.phase) for p in pending),
        infeasible=tuple(d.shape for d in decision.infeasible) if decision else (),
        infeasible_gangs=decision.infeasible_gangs if decision else (),
        infeasible_requested=decision.infeasible_requested if decision else (),
    )


def gives_up_head(seen: Observed, plan: Plan) -> bool:
    """The head this status knows is lost, or about to be replaced."""
    known = ClusterStatus.of(seen.cluster.status).head_uid
    return bool(known) and (plan.head is None or plan.head.uid != known)


def _is_unasked(seen: Observed, plan: Plan) -> bool:
    """This process has not heard of the head yet, good or bad: what an earlier one wrote is the best guess."""
    before = ClusterStatus.of(seen.cluster.status).head_uid
    return seen.ray is None and not seen.silence and plan.head is not None and plan.head.uid == before


def _head_lost(seen: Observed, plan: Plan) -> bool:
    """The head this status knows is gone, and no change of the spec is the reason."""
    return gives_up_head(seen, plan) and not plan.head_change and not plan.suspension


def _shortages(seen: Observed, plan: Plan) -> list[str]:
    """One sentence per worker type that has fewer ready workers than its minimum."""
    sentences = []
    for pod_type in seen.spec.worker_types:
        mine = [p for p in plan.workers if p.node_type == pod_type.name]
        ready = ready_workers(mine).total()
        if ready < pod_type.min_workers:
            block = seen.blocks.get(pod_type.name)
            causes = [block.message] if block and block.refuses else []
            causes += [p.problem for p in mine if p.problem and not p.ready][:1]
            told = "".join(f": {cause}" for cause in causes)
            sentences.append(f"{ready} of {pod_type.min_workers} workers of type {pod_type.name} are ready{told}")
    return sentences


def _updating(plan: Plan) -> str:
    """That workers are being replaced, in one sentence; empty when none is."""
    counts = count_workers([p for p in plan.workers if p.uid in plan.outdated])
    parts = [f"{count} of type {name}" for name, count in sorted(counts.items())]
    return f"outdated workers are being replaced: {', '.join(parts)} left" if parts else ""


def _held_back(seen: Observed, plan: Plan) -> str:
    """What holds more launches back, in one sentence; empty when nothing does."""
    slowed = plan.decision.slowed if plan.decision else {}
    held = ", ".join(f"{count} {name}" for name, count in slowed.items())
    return f"{held} more follow as others join: upscalingSpeed is {seen.spec.upscaling_speed:g}" if held else ""


def _session(seen: Observed, plan: Plan, known: ClusterStatus) -> dict[str, str]:
    """Ray's session, of a cluster that outlives its head: as it is, or as it last was. Who changes the head may begin
    another one.
    """
    if not seen.spec.recovery or plan.head_change:
        return {}
    told = seen.ray.state.session if seen.ray and seen.ray.fresh else ""
    session = cut(told, MAX_SESSION) or known.session
    return {"session": session} if session else {}


def _blocked_status(seen: Observed) -> dict[str, Any]:
    """The types that cannot be launched for the time being; absent when all can."""
    blocked = [
        {"name": name, "reason": block.reason, "message": cut(block.message, 1_024), "since": timestamp(block.since)}
        for name, block in sorted(seen.blocks.items())
    ]
    return {"blockedTypes": blocked} if blocked else {}
