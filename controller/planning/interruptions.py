"""Ends of workers that Kubernetes has announced: how much time is left, and what runs there. Pure.

A worker whose end is announced is drained in Ray at once, with the time that is left as the deadline, and what runs on
it counts as waiting work: its replacement starts before it has gone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from autoscaler.model import Demand, NodeStatus, RayNode, Shape
from controller.objects.views import PodView
from controller.raycluster.model import ClusterSpec

from .node_types import declared_resources
from .reasons import Label, Reason

DELETED = Reason(Label.INTERRUPTED, "its pod is being deleted")
# Objects are not work: what needs them again computes them again.
_OBJECTS = "object_store_memory"


class Interruption(NamedTuple):
    """Why a pod is about to end, and when it is ended at the latest (whole seconds since the epoch)."""

    reason: Reason
    until: float


def interruption(pod: PodView, now: float) -> Interruption | None:
    """The announced end of a pod; None when there is none."""
    why = (
        Reason(Label.INTERRUPTED, f"Kubernetes is about to end its pod ({pod.disrupted})") if pod.disrupted else DELETED
    )
    if pod.is_terminating(now):
        return Interruption(why, pod.delete_by)
    if pod.deleting or not pod.disrupted:
        return None
    until = pod.disrupted_at + pod.grace
    return Interruption(why, float(int(until if until > now else now + pod.grace)))


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
