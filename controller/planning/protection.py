"""Which pods autoscalers of nodes are told to leave alone: the head, and workers while they are at work. Pure.

A worker counts as at work until it has been idle for a while, so that short tasks with pauses cost no writes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from autoscaler.model import NodeStatus, RayNode
from controller.objects.views import PodView

from .actions import ProtectPod
from .observed import Observed

# By Ray's own clock.
IDLE_SECONDS = 60.0
# Pods whose annotations one pass writes.
MAX_WRITES = 20
WRITE_ON_SECONDS = 1.0


@dataclass(frozen=True)
class Protection:
    """What to write now, and when to look again."""

    actions: tuple[ProtectPod, ...] = ()
    due: float | None = None


def plan_protection(
    seen: Observed, head: PodView | None, workers: Sequence[PodView], going: Collection[str]
) -> Protection:
    """``workers``: the live ones. ``going``: uids of pods that this plan deletes or drains."""
    wanted = seen.spec.do_not_disrupt
    changed = [ProtectPod(head, wanted.head)] if head and head.protected != wanted.head else []
    dues: list[float] = []
    if wanted.busy_workers:
        for pod, node in _known(seen, head, workers):
            if pod.protected and node.status is NodeStatus.IDLE and node.idle_seconds < IDLE_SECONDS:
                dues.append(seen.now + IDLE_SECONDS - node.idle_seconds)
            elif pod.protected == (node.status is NodeStatus.IDLE):
                changed.append(ProtectPod(pod, not pod.protected))
    else:
        changed += [ProtectPod(pod, False) for pod in workers if pod.protected]
    changed = [action for action in changed if action.pod.uid not in going]
    dues += [seen.now + WRITE_ON_SECONDS] if len(changed) > MAX_WRITES else []
    return Protection(tuple(changed[:MAX_WRITES]), min(dues, default=None))


def _known(seen: Observed, head: PodView | None, workers: Sequence[PodView]) -> Iterator[tuple[PodView, RayNode]]:
    """Workers that stay, with what a fresh answer of their head says of them."""
    ray = seen.ray
    if ray is None or head is None or not ray.fresh or ray.head_uid != head.uid:
        return
    nodes = {n.instance_id: n for n in ray.state.living if n.status in (NodeStatus.IDLE, NodeStatus.RUNNING)}
    for pod in workers:
        node = nodes.get(pod.name)
        if node and not pod.drain_by:
            yield pod, node
