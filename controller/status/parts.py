"""Parts of the status that a cluster has whether it runs or is suspended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from controller.objects.labels import CLUSTER_LABEL, KIND_LABEL, WORKER
from controller.objects.service import service_name
from controller.objects.views import PodView
from controller.planning.actions import Action, CreatePod, DrainPod, RetirePod, summarize
from controller.planning.hosts import ready_workers
from controller.planning.idle_record import FIELD
from controller.planning.plan import Plan
from controller.raycluster.model import Json, PodType, RayCluster, timestamp

# The Ready condition's reason when the API server did not carry out what was planned.
REFUSED = "Refused"
# What a decision about the number of workers leads to. That pods which ended are deleted is no decision.
SCALING_ACTIONS = (CreatePod, RetirePod, DrainPod)


def head_status(cluster: RayCluster, head: PodView | None) -> dict[str, str]:
    """Where the head is."""
    status = {"serviceName": service_name(cluster)}
    if head:
        status |= {"podName": head.name, "uid": head.uid, "podIP": head.ip}
    return status


def worker_selector(cluster: RayCluster) -> str:
    """The label selector of the cluster's workers, which its scale subresource shows."""
    return f"{CLUSTER_LABEL}={cluster.name},{KIND_LABEL}={WORKER}"


def type_status(pod_type: PodType, desired: int, workers: Sequence[PodView]) -> dict[str, Any]:
    """The workers of one type, and their pods."""
    mine = [p for p in workers if p.node_type == pod_type.name]
    return {
        "name": pod_type.name,
        "desired": desired,
        **({"hosts": pod_type.hosts} if pod_type.hosts > 1 else {}),
        "pods": len(mine),
        "ready": ready_workers(mine).total(),
    }


def idle_status(plan: Plan) -> dict[str, Any]:
    """Whether the cluster is used; absent where that does not matter."""
    return {FIELD: plan.idle.record.status} if plan.idle else {}


def last_decision(before: Json, now: float, done: Sequence[Action], held_back: str = "") -> dict[str, Any]:
    """What was decided last about how many workers there are, and why. ``held_back``: what is still to follow."""
    told = [message for _, message in summarize([a for a in done if isinstance(a, SCALING_ACTIONS)])]
    if told:
        told += [held_back] if held_back else []
        return {"lastDecision": {"time": timestamp(now), "message": "; ".join(told)}}
    return {"lastDecision": before["lastDecision"]} if "lastDecision" in before else {}
