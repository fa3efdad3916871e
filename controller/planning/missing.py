"""Workers whose pods are ready while Ray has no node in them: a program of the user goes on without Ray. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from autoscaler.model import NodeStatus
from controller.objects.labels import WORKER
from controller.objects.views import PodView

from .observed import RayView
from .reasons import Label, Reason

# A raylet that ends takes its container along, unless a program of the user's keeps that: it may start another one.
DEAD_SECONDS = 60.0
# A program may have much to do before it starts Ray.
JOIN_SECONDS = 600.0
ASK_AGAIN_SECONDS = 1.0


def missing_since(
    before: Mapping[str, float], pods: Iterable[PodView], ray: RayView | None, now: float
) -> dict[str, float]:
    """uid -> since when (seconds since the epoch) the pod is ready and Ray, asked again and again, has no node in it.

    Nothing is known without a fresh answer of the head that the pod belongs to: then it stays as it was.
    """
    there = {p.uid: p for p in pods if p.kind == WORKER and p.live and p.ready and p.head_uid}
    if ray is None or not ray.fresh:
        return {uid: since for uid, since in before.items() if uid in there}
    mine = (p for p in there.values() if p.head_uid == ray.head_uid and p.name not in ray.alive)
    return {p.uid: before.get(p.uid, now) for p in mine}


def given_up(pod: PodView, since: float, ray: RayView, now: float) -> Reason | None:
    """Why a pod in which Ray has had no node since then is replaced; None while it may still join."""
    if now < since + _patience(pod, ray):
        return None
    what = "its Ray node is dead" if _is_dead(pod, ray) else "no Ray node has joined from it"
    return Reason(Label.NODE_LOST, f"it is ready, and {what}")


def next_given_up(since: Mapping[str, float], pods: Sequence[PodView], ray: RayView, now: float) -> float | None:
    """When to look at the first of these; in a moment where its time is over and the head's answer is old."""
    dues = (max(since[p.uid] + _patience(p, ray), now + ASK_AGAIN_SECONDS) for p in pods if p.uid in since)
    return min(dues, default=None)


def _patience(pod: PodView, ray: RayView) -> float:
    return DEAD_SECONDS if _is_dead(pod, ray) else JOIN_SECONDS


def _is_dead(pod: PodView, ray: RayView) -> bool:
    """Names of pods are used again, addresses seldom: a node of an earlier pod says nothing of this one."""
    dead = (n for n in ray.state.nodes if n.status is NodeStatus.DEAD and n.instance_id == pod.name)
    return any(not n.ip or n.ip == pod.ip for n in dead)
