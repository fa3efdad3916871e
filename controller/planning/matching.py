"""Which Ray node runs in which pod. Pure.

A node says the name of its pod, and names are used again: a pod that took the place of one that died without a word is
not to be judged by the node of that one, which the head goes on to list for a while as alive.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from autoscaler.model import NodeStatus, RayNode
from controller.objects.views import PodView

from .observed import RayView

# Clocks of different machines run so much apart at most that it matters here.
MARGIN_SECONDS = 5.0
# Ray calls a node dead that has been silent for so long, at the latest. Until then an address of its own shows whose
# node it is. After that it may be that of another interface of the pod.
FORGOTTEN_SECONDS = 60.0


def matched(ray: RayView, pods: Sequence[PodView], now: float) -> tuple[RayView, float | None]:
    """The answer without nodes of earlier pods under the names of ``pods``, and when to look at it again."""
    there = {pod.name: pod for pod in pods}
    earlier = {n.node_id: p for n in ray.state.living if (p := there.get(n.instance_id)) and _is_earlier(n, p, now)}
    if not earlier:
        return ray, None
    nodes = tuple(n for n in ray.state.nodes if n.node_id not in earlier)
    return replace(ray, state=replace(ray.state, nodes=nodes)), _looked_at_again(earlier, now)


def _is_earlier(node: RayNode, pod: PodView, now: float) -> bool:
    if node.status is NodeStatus.IDLE and node.idle_seconds > now - pod.started_at + MARGIN_SECONDS:
        return True
    elsewhere = bool(node.ip and pod.ip) and node.ip != pod.ip
    return elsewhere and now < _joined_by(pod)


def _joined_by(pod: PodView) -> float:
    return max(pod.started_at, pod.running_since) + FORGOTTEN_SECONDS


def _looked_at_again(earlier: Mapping[bytes, PodView], now: float) -> float | None:
    return min((due for pod in earlier.values() if (due := _joined_by(pod)) > now), default=None)
