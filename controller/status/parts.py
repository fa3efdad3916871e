"""Parts of the status that a cluster has whether it runs or is suspended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from controller.objects.service import service_name
from controller.objects.views import PodView
from controller.planning.actions import Action, CreatePod, DrainPod, RetirePod, summarize
from controller.raycluster.model import Json, RayCluster, timestamp

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


def type_status(name: str, desired: int, workers: Sequence[PodView]) -> dict[str, Any]:
    """The pods of one worker type."""
    mine = [p for p in workers if p.node_type == name]
    return {"name": name, "desired": desired, "pods": len(mine), "ready": sum(p.ready for p in mine)}


def last_decision(before: Json, now: float, done: Sequence[Action], held_back: str = "") -> dict[str, Any]:
    """What was decided last about how many workers there are, and why. ``held_back``: what is still to follow."""
    told = [message for _, message in summarize([a for a in done if isinstance(a, SCALING_ACTIONS)])]
    if told:
        told += [held_back] if held_back else []
        return {"lastDecision": {"time": timestamp(now), "message": "; ".join(told)}}
    return {"lastDecision": before["lastDecision"]} if "lastDecision" in before else {}
