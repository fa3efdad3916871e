"""The conditions of a RayCluster, as Kubernetes defines them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from controller.objects.views import PodView
from controller.planning.observed import Observed
from controller.planning.plan import Plan
from controller.raycluster.model import RayCluster, timestamp

from .obstacles import demand_met
from .read import ClusterStatus

# Characters of a message. Kubernetes' own limit for a condition is 32,768 bytes, more than a reader wants.
MAX_MESSAGE = 4_096


def cut(message: str, limit: int = MAX_MESSAGE) -> str:
    """The message, of bounded length: names and values in it come from untrusted sources."""
    return message if len(message) <= limit else f"{message[:limit]} … ({len(message) - limit} more characters)"


def kept_conditions(before: ClusterStatus) -> dict[str, tuple[bool, str, str]]:
    """The conditions about autoscaling that the status has: type -> (met, reason, message)."""
    known = before.conditions
    return {n: (c.met, c.reason, c.message) for n, c in known.items() if n in ("Autoscaling", "DemandMet")}


def autoscaling_conditions(seen: Observed, plan: Plan) -> dict[str, tuple[bool, str, str]]:
    """The conditions about autoscaling: type -> (met, reason, message)."""
    met = {"DemandMet": _demand_met(seen, plan)} if seen.ray else {}
    return {"Autoscaling": _autoscaling(seen, plan.head), **met}


def _autoscaling(seen: Observed, head: PodView | None) -> tuple[bool, str, str]:
    """Whether the head says what work waits. Without it minWorkers are kept, and nothing else."""
    if seen.ray and head and seen.ray.head_uid == head.uid:
        return True, "HeadAnswers", ""
    if head is None or not head.ready:
        return False, "HeadNotReady", "the head is not ready to say what work waits"
    address = f"{head.ip}:{seen.spec.gcs_port}"
    return False, "NoAnswer", f"the operator gets no answer from the head at {address}; only minWorkers are kept"


def _demand_met(seen: Observed, plan: Plan) -> tuple[bool, str, str]:
    return demand_met(seen, plan.decision) if plan.decision else (True, "AllPlaced", "")


def conditions(cluster: RayCluster, now: float, wanted: Mapping[str, tuple[bool, str, str]]) -> list[dict[str, Any]]:
    """Conditions as Kubernetes defines them: the transition time moves only when the status does."""
    old = ClusterStatus.of(cluster.status)
    stamp = timestamp(now)
    conditions = []
    for kind, (met, reason, message) in wanted.items():
        state = "True" if met else "False"
        known = old.condition(kind)
        since = known.since if known.status == state else ""
        conditions.append(
            {
                "type": kind,
                "status": state,
                "reason": reason,
                "message": cut(message),
                "observedGeneration": cluster.generation,
                "lastTransitionTime": since or stamp,
            }
        )
    return conditions
