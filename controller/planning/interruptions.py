"""Ends of workers that Kubernetes has announced: how much time is left, and what runs there. Pure.

A worker whose end is announced is drained in Ray at once, with the time that is left as the deadline, and what runs on
it counts as waiting work: its replacement starts before it has gone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from autoscaler.model import Demand, NodeStatus, RayNode, Shape
from controller.objects.nodes import NodeView
from controller.objects.views import PodView
from controller.raycluster.model import ClusterSpec

from .emptied_nodes import notice_of
from .node_types import declared_resources
from .reasons import Label, Reason

DELETED = Reason(Label.INTERRUPTED, "its pod is being deleted")
# Objects are not work: what needs them again computes them again.
_OBJECTS = "object_store_memory"


class Interruption(NamedTuple):
    """Why a pod is about to end, and when it is ended at the latest (whole seconds since the epoch)."""

    reason: Reason
    until: float


def interruption(pod: PodView, now: float, node: NodeView | None = None) -> Interruption | None:
    """The announced end of a pod; None when there is none. ``node``: the pod's, where anything is known of it."""
    if pod.is_terminating(now):
        return Interruption(_disruption(pod) if pod.disrupted else DELETED, pod.delete_by)
    if pod.deleting or (node is None and not pod.disrupted):
        return None
    return min(_ends(pod, now, node), key=lambda end: end.until, default=None)


def _ends(pod: PodView, now: float, node: NodeView | None) -> Iterator[Interruption]:
    if pod.disrupted:
        until = pod.disrupted_at + pod.grace
        yield Interruption(_disruption(pod), float(int(until if until > now else now + pod.grace)))
    if notice := notice_of(pod, node, now):
        yield Interruption(Reason(Label.INTERRUPTED, f"its node is being emptied ({notice.why})"), notice.until)


def _disruption(pod: PodView) -> Reason:
    return Reason(Label.INTERRUPTED, f"Kubernetes is about to end its pod ({pod.disrupted})")


def interrupted_work(spec: ClusterSpec, pods: Iterable[PodView], known: Mapping[str, RayNode]) -> tuple[Demand, ...]:
    """What runs on workers that end without having been asked to: per node all of it, since it fits on one again."""
    declared = {t.name: declared_resources(spec, t) for t in spec.worker_types}
    shapes: Counter[Shape] = Counter()
    for pod in pods:
        node = known.get(pod.name)
        # A drain that the operator has begun for a reason of its own is none of these.
        asked = not pod.drain_by or pod.drain_label == Label.INTERRUPTED.value
        if node and asked and node.status in (NodeStatus.RUNNING, NodeStatus.DRAINING):
            shapes[Shape(tuple(sorted(_used(node, declared.get(pod.node_type, {})))))] += 1
    return tuple(Demand(shape, count) for shape, count in sorted(shapes.items()) if shape.resources)


def _used(node: RayNode, declared: Mapping[str, int]) -> Iterator[tuple[str, int]]:
    for name, amount in node.total.items():
        used = min(amount - node.available.get(name, 0), declared.get(name, 0))
        if used > 0 and name != _OBJECTS:
            yield name, used
