"""A small Kubernetes and a small Ray around the operator's own planner: what would be launched and removed, and when.

Time is simulated and jumps from one thing that happens to the next. Time 0 is when the head answers. Pods start in a
fixed time and never fail; work goes to the first node that has room, in the order in which nodes joined.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from autoscaler.model import Demand, Gang, NodeStatus, RayNode, RayState, Shape
from autoscaler.scheduling.request import Cause, Decision
from controller.objects.labels import HEAD
from controller.objects.pod import build_pod
from controller.objects.service import build_service
from controller.objects.views import PodView, ServiceView
from controller.planning.actions import CreatePod, DeletePod, RetirePod, TellHead
from controller.planning.blocked_types import Block
from controller.planning.node_types import declared_labels, declared_resources
from controller.planning.observed import Observed, RayView
from controller.planning.plan import make_plan
from controller.raycluster.model import ClusterSpec, PodType, RayCluster
from controller.status.obstacles import INFEASIBLE, words

from .scenario import Scenario
from .simulated_ray import (
    NODE_ID_BYTES,
    Held,
    Node,
    Wish,
    demand_text,
    gang_places,
    gang_text,
    nameless,
    task_places,
    wishes,
)

# No cluster needs so many passes at one moment; if one does, something is wrong with the planner.
MAX_PASSES = 1_000
LAUNCH, JOIN, REMOVE, WAIT, NEVER = "launch", "join", "remove", "wait", "never"
BLOCK, UNBLOCK = "block", "unblock"
# The reason of a block: the commonest one that passes.
BLOCKED_BY_FILE = "QuotaExceeded"


@dataclass(frozen=True)
class Happening:
    """One line of what happens. ``what``: a launch, join or removal of ``count`` workers of a type; or that so much
    demand of one shape has to wait, or can never be met. ``workers``: how many pods there are after it.
    """

    at: float
    what: str
    subject: str
    count: int
    why: str
    workers: int


# What runs: (node, shape, count) of one batch of tasks, or of one placement group.


class Simulation:
    """One cluster from the moment its head answers. ``run`` may be called once."""

    def __init__(self, cluster: RayCluster, spec: ClusterSpec, scenario: Scenario) -> None:
        self._cluster, self._scenario = cluster, scenario
        # What would be launched once the cluster is resumed.
        self._spec = replace(spec, suspend=False)
        self._now = 0.0
        self._numbers = itertools.count(1)
        self._steps = list(scenario.steps)
        self._pods: dict[str, PodView] = {}
        self._joins: dict[str, float] = {}
        self._nodes: dict[str, Node] = {}
        self._waiting: list[Wish] = []
        self._running: list[tuple[float, Held]] = []
        self._requested: tuple[Demand, ...] = ()
        self._told: tuple[tuple[str, str, int, str], ...] = ()
        # Type -> the block of it, while the demand file says that it cannot be launched.
        self._blocks: dict[str, Block] = {}
        service = build_service(cluster, spec)
        service["metadata"] |= {"uid": "service", "resourceVersion": "1"}
        self._service = ServiceView.from_object(service)

    def run(self, until: float) -> Iterator[Happening]:
        """All that happens up to ``until`` (seconds), or until nothing would happen any more."""
        while self._now <= until:
            yield from self._joined()
            self._end_work()
            yield from self._take_steps()
            decision, due = None, None
            counts: Counter[tuple[str, str, str]] = Counter()
            for _ in range(MAX_PASSES):
                # The first pass makes the head, which may have room.
                self._place()
                plan = make_plan(self._observed())
                counts += self._carry_out(plan.actions)
                decision, due = plan.decision, plan.look_again_at
                if not plan.actions:
                    break
            for (what, node_type, why), count in counts.items():
                yield self._happening(what, node_type, count, why)
            if decision:
                yield from self._held_back(decision)
            upcoming = self._upcoming(due)
            if upcoming is None:
                return
            self._now = upcoming

    @property
    def waiting(self) -> int:
        """How many tasks and placement groups wait."""
        return sum(wish.left for wish in self._waiting)

    def _upcoming(self, due: float | None) -> float | None:
        times = [step.at for step in self._steps[:1]]
        times += [*self._joins.values(), *(end for end, _ in self._running if end < math.inf)]
        times += [due] if due is not None else []
        # Whole milliseconds, upwards: a time that is over must be over for the planner too.
        later = [max(math.ceil(t * 1000) / 1000, self._now + 0.001) for t in times]
        return min(later, default=None)

    def _joined(self) -> Iterator[Happening]:
        due = [name for name, at in self._joins.items() if at <= self._now]
        for name in due:
            del self._joins[name]
            self._pods[name] = replace(self._pods[name], phase="Running", ready=True, ip=f"10.0.0.{len(self._nodes)}")
            self._join(self._pods[name])
        for node_type, count in Counter(self._pods[name].node_type for name in due).items():
            yield self._happening(JOIN, node_type, count, "")

    def _join(self, pod: PodView) -> None:
        pod_type = next(t for t in self._spec.pod_types if t.name == pod.node_type)
        total = declared_resources(self._spec, pod_type)
        labels = declared_labels(self._spec, pod_type)
        self._nodes[pod.name] = Node(pod, next(self._numbers), total, labels, dict(total), idle_since=self._now)

    def _end_work(self) -> None:
        over = [held for end, held in self._running if end <= self._now]
        self._running = [(end, held) for end, held in self._running if end > self._now]
        for node, shape, count in itertools.chain.from_iterable(over):
            node.take(shape, -count)
            if not node.uses:
                node.idle_since = self._now

    def _take_steps(self) -> Iterator[Happening]:
        while self._steps and self._steps[0].at <= self._now:
            step = self._steps.pop(0)
            self._waiting += wishes(step)
            self._requested = self._requested if step.requested is None else step.requested
            if step.blocked is not None:
                yield from self._block(step.blocked)

    def _block(self, names: Sequence[str]) -> Iterator[Happening]:
        before = self._blocks
        block = Block(BLOCKED_BY_FILE, "the demand file says so", self._now)
        self._blocks = {name: before.get(name, block) for name in names}
        for name in sorted(before.keys() ^ self._blocks.keys()):
            blocked = name in self._blocks
            yield self._happening(BLOCK if blocked else UNBLOCK, name, 1, BLOCKED_BY_FILE if blocked else "")

    def _place(self) -> None:
        nodes = list(self._nodes.values())
        for wish in self._waiting:
            held = gang_places(wish.gang, nodes) if wish.gang else task_places(wish, nodes)
            if held:
                wish.left -= sum(count for _, _, count in held) if wish.gang is None else 1
                end = math.inf if wish.seconds is None else self._now + wish.seconds
                self._running.append((end, held))
        self._waiting = [wish for wish in self._waiting if wish.left]

    def _observed(self) -> Observed:
        head = self._head()
        ray = RayView(self._state(), head.uid, 0.0) if head else None
        pods = sorted(self._pods.values(), key=lambda p: p.name)
        return Observed(self._cluster, self._spec, pods, self._service, self._now, ray=ray, blocks=self._blocks)

    def _head(self) -> PodView | None:
        return next((p for p in self._pods.values() if p.kind == HEAD), None)

    def _state(self) -> RayState:
        tasks: Counter[Shape] = Counter()
        for wish in self._waiting:
            if wish.shape is not None:
                tasks[wish.shape] += wish.left
        return RayState(
            session="simulated",
            taken_at=self._now,
            nodes=tuple(map(self._ray_node, self._nodes.values())),
            demands=tuple(Demand(shape, count) for shape, count in sorted(tasks.items())),
            gangs=tuple(wish.gang for wish in self._waiting if wish.gang),
            requested=self._requested,
        )

    def _ray_node(self, node: Node) -> RayNode:
        return RayNode(
            node_id=node.number.to_bytes(NODE_ID_BYTES, "big"),
            instance_id=node.pod.name,
            node_type=node.pod.node_type,
            status=NodeStatus.RUNNING if node.uses else NodeStatus.IDLE,
            total=node.total,
            available={name: amount for name, amount in node.free.items() if amount > 0},
            labels=node.labels,
            idle_seconds=0.0 if node.uses else self._now - node.idle_since,
            is_head=node.pod.kind == HEAD,
        )

    def _carry_out(self, actions: Sequence[object]) -> Counter[tuple[str, str, str]]:
        """Returns how many workers of which type come and go, and why. A pass does a part of what is due."""
        counts: Counter[tuple[str, str, str]] = Counter()
        for action in actions:
            if isinstance(action, CreatePod):
                self._create(action)
                if not action.pod_type.is_head:
                    counts[LAUNCH, action.pod_type.name, action.why.text] += 1
            elif isinstance(action, TellHead):
                head = action.head
                self._pods[action.pod.name] = replace(action.pod, head_ip=head.ip, head_uid=head.uid)
            elif isinstance(action, DeletePod | RetirePod):
                self._delete(action.pod.name)
                if action.pod.kind != HEAD:
                    counts[REMOVE, action.pod.node_type, action.reason.text] += 1
        return counts

    def _create(self, action: CreatePod) -> None:
        pod = self._new_pod(action.pod_type, action.name)
        if pod.kind == HEAD:
            pod = replace(pod, phase="Running", ready=True, ip="10.0.0.1")
            self._join(pod)
        else:
            self._joins[pod.name] = self._now + self._scenario.pod_seconds
        self._pods[pod.name] = pod

    def _new_pod(self, pod_type: PodType, name: str) -> PodView:
        head = self._head()
        ip, uid = (head.ip, head.uid) if head else ("", "")
        raw = build_pod(self._cluster, self._spec, pod_type, name, head_ip=ip, head_uid=uid)
        raw["metadata"] |= {"uid": f"{name}/{next(self._numbers)}", "resourceVersion": "1"}
        return replace(PodView.from_object(raw), started_at=self._now)

    def _delete(self, name: str) -> None:
        """Only who is idle, or has not joined: the spec does not change, so nobody is drained."""
        assert name not in self._nodes or not self._nodes[name].uses
        self._pods.pop(name, None)
        self._joins.pop(name, None)
        self._nodes.pop(name, None)

    def _held_back(self, decision: Decision) -> Iterator[Happening]:
        """What waits though all was done that may be done; told when it changes."""
        causes = {nameless(what) if isinstance(what, Gang) else what: why for what, why in decision.causes.items()}
        held = [
            (WAIT, demand_text(d.shape), d.count, self._why(causes.get(d.shape, ())))
            for d in (*decision.unplaced, *decision.unplaced_requested)
        ]
        waiting = Counter(map(nameless, decision.unplaced_gangs))
        held += [(WAIT, gang_text(g), n, self._why(causes.get(g, ()))) for g, n in waiting.items()]
        never = (*decision.infeasible, *decision.infeasible_requested)
        held += [(NEVER, demand_text(d.shape), d.count, INFEASIBLE) for d in never]
        hopeless = Counter(map(nameless, decision.infeasible_gangs))
        held += [(NEVER, gang_text(g), n, INFEASIBLE) for g, n in hopeless.items()]
        for line in held:
            if line not in self._told:
                yield self._happening(*line)
        self._told = tuple(held)

    def _why(self, causes: Sequence[Cause]) -> str:
        return words(causes, self._spec, {name: block.reason for name, block in self._blocks.items()})

    def _happening(self, what: str, subject: str, count: int, why: str) -> Happening:
        workers = sum(p.kind != HEAD for p in self._pods.values())
        return Happening(self._now, what, subject, count, why, workers)
