"""Ray heads played by the test: what they answer, and what they were asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from autoscaler.model import NodeStatus, RayNode, RayState, RayUsage, ReportedState
from controller.objects.views import PodView
from controller.planning.observed import RayView, UsageView
from controller.raycluster.model import Key


@dataclass
class FakeHeads:
    """One head at most. ``state`` None: it has not answered. ``busy`` nodes refuse to be drained without a deadline.

    ``user``: who uses the cluster, None while the head does not say. ``asked``: how often it was asked that,
    ``answer``: what it said, and which head it was.
    ``on_drain`` is called when a node has agreed to go, before the operator hears of it.
    """

    state: RayState | None = None
    age: float = 0.0
    silent_for: float = 0.0
    busy: set[bytes] = field(default_factory=set)
    head: PodView | None = None
    expects: bool = False
    drained: list[bytes] = field(default_factory=list)
    deadlines: dict[bytes, float] = field(default_factory=dict)
    reports: list[ReportedState] = field(default_factory=list)
    user: str | None = ""
    last_end: int = 0
    asked: int = 0
    clock: Callable[[], float] = lambda: 0.0
    answer: tuple[RayUsage, str] | None = None
    on_drain: Callable[[], object] = lambda: None

    def follow(self, cluster: Key, head: PodView | None, port: int, *, busy: bool) -> None:
        self.head, self.expects = head, busy

    def view(self, cluster: Key) -> RayView | None:
        return RayView(self.state, self.head.uid, self.age) if self.state and self.head else None

    def silence(self, cluster: Key) -> float:
        return self.silent_for

    def usage(self, cluster: Key) -> UsageView | None:
        if self.answer is None or self.head is None:
            return None
        found, uid = self.answer
        return UsageView(found, "", uid, self.clock() - found.taken_at)

    def ask_usage(self, cluster: Key) -> None:
        self.asked += 1
        if self.user is not None and self.head:
            self.answer = RayUsage(self.clock(), self.user, self.last_end), self.head.uid

    def drain(self, cluster: Key, node_id: bytes, message: str, deadline: float | None = None) -> bool:
        if node_id in self.busy and deadline is None:
            return False
        self.drained.append(node_id)
        if deadline is not None:
            self.deadlines[node_id] = deadline
        self._become(node_id, NodeStatus.DRAINING if node_id in self.busy else NodeStatus.DEAD)
        self.on_drain()
        return True

    def finish(self, node_id: bytes) -> None:
        """What runs on a node is over; one that drains goes."""
        self.busy.discard(node_id)
        self._become(node_id, NodeStatus.DEAD)

    def _become(self, node_id: bytes, status: NodeStatus) -> None:
        if self.state:
            nodes = (replace(n, status=status) if n.node_id == node_id else n for n in self.state.nodes)
            self.state = replace(self.state, nodes=tuple(nodes))

    def report(self, cluster: Key, report: ReportedState) -> None:
        self.reports.append(report)


def node(number: int, pod: str, node_type: str, *, idle: float | None = None, free: int = 10_000) -> RayNode:
    """A worker with one CPU: idle since some seconds, or at work."""
    return RayNode(
        node_id=bytes([number]) * 28,
        instance_id=pod,
        node_type=node_type,
        status=NodeStatus.RUNNING if idle is None else NodeStatus.IDLE,
        total={"CPU": 10_000},
        available={"CPU": free} if free else {},
        idle_seconds=idle or 0.0,
    )
