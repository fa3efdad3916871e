"""The simulated cluster: its pods, their Ray nodes, and the work that waits and runs.

Pods start in a fixed time, unless a gate holds them, and never fail. Work goes to the first node that has room, in the
order in which they joined.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from autoscaler.model import HEAD_RESOURCE, QUANTUM, Demand, NodeStatus, RayNode, RayState, Shape
from controller.objects.labels import HEAD
from controller.objects.pod import build_pod
from controller.objects.pod_status import SCHEDULING_GATED
from controller.objects.views import PodView
from controller.planning.actions import CreatePod
from controller.planning.hosts import count_workers, number_of_workers
from controller.planning.node_types import declared_labels, declared_resources
from controller.raycluster.model import ClusterSpec, RayCluster
from controller.raycluster.node_labels import SLICE_LABEL

from .simulated_ray import NODE_ID_BYTES, Held, Node, Wish, gang_places, task_places


class SimulatedCluster:
    """What is there at ``now`` (seconds). ``pods``: by name. ``requested``: of request_resources()."""

    def __init__(self, cluster: RayCluster, spec: ClusterSpec, pod_seconds: float) -> None:
        self._cluster, self._spec, self._pod_seconds = cluster, spec, pod_seconds
        self.now = 0.0
        self.pods: dict[str, PodView] = {}
        self.waiting: list[Wish] = []
        self.requested: tuple[Demand, ...] = ()
        self._numbers = itertools.count(1)
        self._gated: frozenset[str] = frozenset()
        self._joins: dict[str, float] = {}
        self._nodes: dict[str, Node] = {}
        self._running: list[tuple[float, Held]] = []

    @property
    def head(self) -> PodView | None:
        """The head's pod."""
        return next((p for p in self.pods.values() if p.kind == HEAD), None)

    @property
    def workers(self) -> int:
        """How many workers there are."""
        return number_of_workers([p for p in self.pods.values() if p.kind != HEAD])

    @property
    def upcoming(self) -> Iterable[float]:
        """When pods join and work ends."""
        return [*self._joins.values(), *(end for end, _ in self._running if end < math.inf)]

    def joined(self) -> Counter[str]:
        """Let the pods join whose time it is; returns how many of which type."""
        due = [name for name, at in self._joins.items() if at <= self.now]
        for name in due:
            del self._joins[name]
            self.pods[name] = replace(
                self.pods[name], phase="Running", ready=True, ip=f"10.0.0.{len(self._nodes)}", unready_since=self.now
            )
            self._join(self.pods[name])
        return count_workers([self.pods[name] for name in due])

    def end_work(self) -> None:
        """Take what is over off its nodes."""
        over = [held for end, held in self._running if end <= self.now]
        self._running = [(end, held) for end, held in self._running if end > self.now]
        for node, shape, count in itertools.chain.from_iterable(over):
            node.take(shape, -count)
            if not node.uses:
                node.idle_since = self.now

    def place(self) -> None:
        """Start what waits where there is room."""
        nodes = list(self._nodes.values())
        for wish in self.waiting:
            held = gang_places(wish.gang, nodes) if wish.gang else task_places(wish, nodes)
            if held:
                wish.left -= sum(count for _, _, count in held) if wish.gang is None else 1
                end = math.inf if wish.seconds is None else self.now + wish.seconds
                self._running.append((end, held))
        self.waiting = [wish for wish in self.waiting if wish.left]

    def state(self) -> RayState:
        """The head's answer."""
        tasks: Counter[Shape] = Counter()
        for wish in self.waiting:
            if wish.shape is not None:
                tasks[wish.shape] += wish.left
        return RayState(
            session="simulated",
            taken_at=self.now,
            nodes=tuple(map(self._ray_node, self._nodes.values())),
            demands=tuple(Demand(shape, count) for shape, count in sorted(tasks.items())),
            gangs=tuple(wish.gang for wish in self.waiting if wish.gang),
            requested=self.requested,
        )

    def create(self, action: CreatePod) -> None:
        """Make a pod. A head runs at once, a worker later."""
        pod = self._new_pod(action)
        if pod.kind == HEAD:
            pod = replace(pod, phase="Running", ready=True, ip="10.0.0.1")
            self._join(pod)
        elif pod.node_type in self._gated:
            pod = replace(pod, stuck=SCHEDULING_GATED, stuck_since=self.now)
        else:
            self._joins[pod.name] = self.now + self._pod_seconds
        self.pods[pod.name] = pod

    def gate(self, types: Iterable[str]) -> None:
        """Hold the new pods of these types by a scheduling gate, and open those of all others."""
        self._gated = frozenset(types)
        for pod in [p for p in self.pods.values() if p.stuck and p.node_type not in self._gated]:
            self.pods[pod.name] = replace(pod, stuck="")
            self._joins[pod.name] = self.now + self._pod_seconds

    def delete(self, name: str) -> None:
        """Delete a pod that is idle or has not joined: the spec does not change, so none is drained."""
        assert name not in self._nodes or not self._nodes[name].uses
        self.pods.pop(name, None)
        self._joins.pop(name, None)
        self._nodes.pop(name, None)

    def _join(self, pod: PodView) -> None:
        pod_type = next(t for t in self._spec.pod_types if t.name == pod.node_type)
        host = pod.host if pod.group else -1
        total = declared_resources(self._spec, pod_type, host)
        labels = declared_labels(self._spec, pod_type, host)
        if pod.kind == HEAD:
            # By which programs keep an actor on the head.
            total[HEAD_RESOURCE] = QUANTUM
        if pod.group:
            labels.setdefault(SLICE_LABEL, pod.group)
        self._nodes[pod.name] = Node(pod, next(self._numbers), total, labels, dict(total), idle_since=self.now)

    def complete(self, pod: PodView) -> None:
        """Note that all hosts of a worker have been there."""
        self.pods[pod.name] = replace(self.pods[pod.name], complete=True)

    def _new_pod(self, action: CreatePod) -> PodView:
        head, name = self.head, action.name
        ip, uid = (head.ip, head.uid) if head else ("", "")
        of: dict[str, Any] = {"head_ip": ip, "head_uid": uid, "host": action.host, "gang": action.gang}
        raw = build_pod(self._cluster, self._spec, action.pod_type, name, **of)
        raw["metadata"] |= {"uid": f"{name}/{next(self._numbers)}", "resourceVersion": "1"}
        # Whatever gates the podConfig has: they are open.
        return replace(PodView.from_object(raw), started_at=self.now, stuck="", problem="")

    def _ray_node(self, node: Node) -> RayNode:
        return RayNode(
            node_id=node.number.to_bytes(NODE_ID_BYTES, "big"),
            instance_id=node.pod.name,
            node_type=node.pod.node_type,
            status=NodeStatus.RUNNING if node.uses else NodeStatus.IDLE,
            total=node.total,
            available={name: amount for name, amount in node.free.items() if amount > 0},
            labels=node.labels,
            idle_seconds=0.0 if node.uses else self.now - node.idle_since,
            is_head=node.pod.kind == HEAD,
        )
