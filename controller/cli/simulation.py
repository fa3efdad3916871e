"""A small Kubernetes and a small Ray around the operator's own planner: what would be launched and removed, and when.

Time is simulated and jumps from one thing that happens to the next. Time 0 is when the head answers.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from autoscaler.model import Gang
from autoscaler.scheduling.request import Cause, Decision
from controller.objects.labels import HEAD
from controller.objects.service import build_service
from controller.objects.views import ServiceView
from controller.planning.actions import CreatePod, DeletePod, RetirePod, TellHead
from controller.planning.blocked_types import Block
from controller.planning.observed import Observed, RayView
from controller.planning.plan import make_plan
from controller.raycluster.model import ClusterSpec, RayCluster
from controller.status.obstacles import INFEASIBLE, words

from .scenario import Scenario
from .simulated_cluster import SimulatedCluster
from .simulated_ray import (
    demand_text,
    gang_text,
    nameless,
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


class Simulation:
    """One cluster from the moment its head answers. ``run`` may be called once."""

    def __init__(self, cluster: RayCluster, spec: ClusterSpec, scenario: Scenario) -> None:
        # What would be launched once the cluster is resumed.
        self._spec = replace(spec, suspend=False)
        self._raycluster, self._steps = cluster, list(scenario.steps)
        self._cluster = SimulatedCluster(cluster, self._spec, scenario.pod_seconds)
        self._told: tuple[tuple[str, str, int, str], ...] = ()
        # Type -> the block of it, while the demand file says that it cannot be launched.
        self._blocks: dict[str, Block] = {}
        service = build_service(cluster, spec)
        service["metadata"] |= {"uid": "service", "resourceVersion": "1"}
        self._service = ServiceView.from_object(service)

    def run(self, until: float) -> Iterator[Happening]:
        """All that happens up to ``until`` (seconds), or until nothing would happen any more."""
        while self._cluster.now <= until:
            yield from self._joined()
            self._cluster.end_work()
            yield from self._take_steps()
            decision, due = None, None
            counts: Counter[tuple[str, str, str]] = Counter()
            for _ in range(MAX_PASSES):
                # The first pass makes the head, which may have room.
                self._cluster.place()
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
            self._cluster.now = upcoming

    @property
    def waiting(self) -> int:
        """How many tasks and placement groups wait."""
        return sum(wish.left for wish in self._cluster.waiting)

    def _upcoming(self, due: float | None) -> float | None:
        times = [step.at for step in self._steps[:1]]
        times += [*self._cluster.upcoming, *([] if due is None else [due])]
        # Whole milliseconds, upwards: a time that is over must be over for the planner too.
        later = [max(math.ceil(t * 1000) / 1000, self._cluster.now + 0.001) for t in times]
        return min(later, default=None)

    def _joined(self) -> Iterator[Happening]:
        for node_type, count in self._cluster.joined().items():
            yield self._happening(JOIN, node_type, count, "")

    def _take_steps(self) -> Iterator[Happening]:
        while self._steps and self._steps[0].at <= self._cluster.now:
            step = self._steps.pop(0)
            self._cluster.waiting += wishes(step)
            if step.requested is not None:
                self._cluster.requested = step.requested
            if step.blocked is not None:
                yield from self._block(step.blocked)

    def _block(self, names: Sequence[str]) -> Iterator[Happening]:
        before = self._blocks
        block = Block(BLOCKED_BY_FILE, "the demand file says so", self._cluster.now)
        self._blocks = {name: before.get(name, block) for name in names}
        for name in sorted(before.keys() ^ self._blocks.keys()):
            blocked = name in self._blocks
            yield self._happening(BLOCK if blocked else UNBLOCK, name, 1, BLOCKED_BY_FILE if blocked else "")

    def _observed(self) -> Observed:
        head, now = self._cluster.head, self._cluster.now
        ray = RayView(self._cluster.state(), head.uid, 0.0) if head else None
        pods = sorted(self._cluster.pods.values(), key=lambda p: p.name)
        return Observed(self._raycluster, self._spec, pods, self._service, now, ray=ray, blocks=self._blocks)

    def _carry_out(self, actions: Sequence[object]) -> Counter[tuple[str, str, str]]:
        """Returns how many workers of which type come and go, and why. A pass does a part of what is due."""
        counts: Counter[tuple[str, str, str]] = Counter()
        for action in actions:
            if isinstance(action, CreatePod):
                self._cluster.create(action)
                if not action.pod_type.is_head:
                    counts[LAUNCH, action.pod_type.name, action.why.text] += 1
            elif isinstance(action, TellHead):
                head = action.head
                self._cluster.pods[action.pod.name] = replace(action.pod, head_ip=head.ip, head_uid=head.uid)
            elif isinstance(action, DeletePod | RetirePod):
                self._cluster.delete(action.pod.name)
                if action.pod.kind != HEAD:
                    counts[REMOVE, action.pod.node_type, action.reason.text] += 1
        return counts

    def _held_back(self, decision: Decision) -> Iterator[Happening]:
        """What waits though all was done that may be done; reported when it changes."""
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
        return Happening(self._cluster.now, what, subject, count, why, self._cluster.workers)
