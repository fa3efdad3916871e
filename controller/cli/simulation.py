"""A small Kubernetes and a small Ray around the operator's own planner: what would be launched and removed, and when.

Time is simulated and jumps from one thing that happens to the next. Time 0 is when the head answers.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from autoscaler.model import Gang, RayUsage, Shape
from autoscaler.provider import ProviderError
from autoscaler.scheduling.request import Cause, Decision
from controller.objects.gang import PodGang
from controller.objects.labels import HEAD
from controller.objects.service import build_hosts_service, build_service
from controller.objects.views import ServiceView
from controller.planning.actions import (
    CreatePod,
    CreateService,
    DeleteCluster,
    DeletePod,
    NoteComplete,
    RetirePod,
    TellHead,
)
from controller.planning.blocked_types import Block, LaunchHistory
from controller.planning.idle_record import DECIDED, FIELD, IdleRecord
from controller.planning.idleness import Idleness
from controller.planning.observed import Observed, RayView, Settings, UsageView
from controller.planning.plan import make_plan
from controller.raycluster.idle_termination import DELETE as DELETE_CLUSTER
from controller.raycluster.model import ClusterSpec, RayCluster
from controller.status.obstacles import INFEASIBLE, words
from controller.wording import duration

from .demand_rules import meant
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
SUSPEND, DELETE = "suspend", "delete"
# The reason of a block: the commonest one that passes.
BLOCKED_BY_FILE = "QuotaExceeded"


@dataclass(frozen=True)
class Happening:
    """One line of what happens. ``what``: a launch, join or removal of ``count`` workers of a type; or that so much
    demand of one shape has to wait, or can never be met. ``workers``: how many pods there are after it. ``gangs``: how
    many groups of so many ``pods`` a scheduler is told to place together, which those of a launch are part of; 0 where
    it is told of none.
    """

    at: float
    what: str
    subject: str
    count: int
    why: str
    workers: int
    gangs: int = 0
    pods: int = 0


# What is counted of a pass: what happens, the type, why, and the gang.
_Counts = Counter[tuple[str, str, str, PodGang | None]]


@dataclass(frozen=True)
class _Applied:
    """What became of a pass: nothing is refused."""

    removed: frozenset[str]
    launched: frozenset[str]
    refused: Mapping[str, ProviderError] = field(default_factory=dict)


class Simulation:
    """One cluster from the moment its head answers. ``run`` may be called once."""

    def __init__(self, cluster: RayCluster, spec: ClusterSpec, scenario: Scenario) -> None:
        # What would be launched once the cluster is resumed.
        self._spec = replace(spec, suspend=False, gang=replace(spec.gang, objects=()) if spec.gang else None)
        self._raycluster, self._steps = cluster, list(scenario.steps)
        self._cluster = SimulatedCluster(cluster, self._spec, scenario.pod_seconds)
        self._told: tuple[tuple[str, str, int, str], ...] = ()
        # Types that cannot be launched: by the demand file, by what became of their pods, and as reported last.
        self._given: dict[str, Block] = {}
        self._history = LaunchHistory()
        self._blocks: Mapping[str, Block] = {}
        self._service = ServiceView.from_object(_made(build_service(cluster, spec)))
        self._hosts_service: ServiceView | None = None
        self._deleted = False

    def run(self, until: float) -> Iterator[Happening]:
        """All that happens up to ``until`` (seconds), or until nothing would happen any more."""
        while self._cluster.now <= until:
            yield from self._joined()
            self._cluster.end_work()
            self._take_steps()
            yield from self._blocked()
            decision, due = None, None
            counts: _Counts = Counter()
            for _ in range(MAX_PASSES):
                # The first pass makes the head, which may have room.
                self._cluster.place()
                plan = make_plan(self._observed())
                counts += self._carry_out(plan.actions)
                decision, due = plan.decision, plan.look_again_at
                yield from self._judged(plan.idle)
                # A decision about the whole cluster is carried out once it is written down.
                if self._deleted or (not plan.actions and due != self._cluster.now):
                    break
            yield from self._changed(counts)
            if decision:
                yield from self._held_back(decision)
            if self._deleted:
                return
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

    def _take_steps(self) -> None:
        while self._steps and self._steps[0].at <= self._cluster.now:
            step = self._steps.pop(0)
            self._cluster.waiting += wishes(step)
            if step.requested is not None:
                self._cluster.requested = step.requested
            if step.gated is not None:
                self._cluster.gate(step.gated)
            if step.blocked is not None:
                block = Block(BLOCKED_BY_FILE, "the demand file says so", self._cluster.now)
                self._given = {name: self._given.get(name, block) for name in step.blocked}

    def _blocked(self) -> Iterator[Happening]:
        """The types that can be launched no more, and those that can be again."""
        before, self._blocks = self._blocks, self._observed().blocks
        for name in sorted(before.keys() ^ self._blocks.keys()):
            blocked = name in self._blocks
            yield self._happening(BLOCK if blocked else UNBLOCK, name, 1, self._blocks[name].reason if blocked else "")

    def _observed(self) -> Observed:
        head, now = self._cluster.head, self._cluster.now
        ray = RayView(self._cluster.state(), head.uid, 0.0) if head else None
        pods = sorted(self._cluster.pods.values(), key=lambda p: p.name)
        # What runs and waits is all that uses it. It is looked at when that may change anything.
        usage = UsageView(RayUsage(now, cost=math.inf), "", head.uid, 0.0) if head else None
        self._history = self._history.seen(pods, self._spec.current_hashes, now, Settings().graces)
        return Observed(
            self._raycluster,
            self._spec,
            pods,
            self._service,
            now,
            ray=ray,
            blocks={**self._history.active(now), **self._given},
            hosts_service=self._hosts_service,
            usage=usage,
        )

    def _judged(self, idle: Idleness | None) -> Iterator[Happening]:
        """Whether the cluster is used, as its status would keep it, and what is decided about that."""
        if idle is None:
            return
        before = IdleRecord.of(self._raycluster.status)
        self._raycluster = replace(self._raycluster, status={FIELD: idle.record.status})
        if idle.record.state == DECIDED != before.state:
            minutes = self._spec.idle.minutes if self._spec.idle else 0
            what = DELETE if idle.record.action == DELETE_CLUSTER else SUSPEND
            yield self._happening(what, "the cluster", 1, f"nothing has used it for {duration(minutes)}")

    def _carry_out(self, actions: Sequence[object]) -> _Counts:
        """Returns how many workers of which type come and go, and why. A pass does a part of what is due."""
        counts: _Counts = Counter()
        removed = frozenset(a.pod.uid for a in actions if isinstance(a, DeletePod | RetirePod))
        launched = frozenset(a.pod_type.name for a in actions if isinstance(a, CreatePod))
        self._history = self._history.after(_Applied(removed, launched), self._cluster.now)
        for action in actions:
            if isinstance(action, CreatePod):
                self._cluster.create(action)
                # A worker of several hosts is one.
                if not action.pod_type.is_head and (action.host is None or action.host.index == 0):
                    counts[LAUNCH, action.pod_type.name, action.why.text, action.gang] += 1
            elif isinstance(action, TellHead):
                head = action.head
                self._cluster.pods[action.pod.name] = replace(action.pod, head_ip=head.ip, head_uid=head.uid)
            elif isinstance(action, NoteComplete):
                self._cluster.complete(action.pod)
            elif isinstance(action, CreateService):
                self._hosts_service = ServiceView.from_object(_made(build_hosts_service(self._raycluster)))
            elif isinstance(action, DeletePod | RetirePod):
                self._cluster.delete(action.pod.name)
                if action.pod.kind != HEAD and action.pod.host == 0:
                    counts[REMOVE, action.pod.node_type, action.reason.text, None] += 1
            elif isinstance(action, DeleteCluster):
                self._deleted = True
                for pod in list(self._cluster.pods.values()):
                    self._cluster.delete(pod.name)
                    if pod.kind != HEAD and pod.host == 0:
                        counts[REMOVE, pod.node_type, "the cluster is deleted", None] += 1
        return counts

    def _changed(self, counts: _Counts) -> Iterator[Happening]:
        """Gangs of one size are told of together."""
        totals: Counter[tuple[str, str, str, int]] = Counter()
        gangs: Counter[tuple[str, str, str, int]] = Counter()
        for (what, node_type, why, gang), count in counts.items():
            totals[what, node_type, why, gang.size if gang else 0] += count
            gangs[what, node_type, why, gang.size if gang else 0] += 1 if gang else 0
        for (what, node_type, why, size), count in totals.items():
            made = self._happening(what, node_type, count, why)
            yield replace(made, gangs=gangs[what, node_type, why, size], pods=size)

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
        held += [(NEVER, demand_text(d.shape), d.count, self._infeasible([d.shape])) for d in never]
        hopeless = Counter(map(nameless, decision.infeasible_gangs))
        held += [(NEVER, gang_text(g), n, self._infeasible(b.shape for b in g.bundles)) for g, n in hopeless.items()]
        for line in held:
            if line not in self._told:
                yield self._happening(*line)
        self._told = tuple(held)

    def _infeasible(self, shapes: Iterable[Shape]) -> str:
        return INFEASIBLE + meant([name for shape in shapes for name, _ in shape.resources], self._spec)

    def _why(self, causes: Sequence[Cause]) -> str:
        return words(causes, self._spec, {name: block.reason for name, block in self._blocks.items()})

    def _happening(self, what: str, subject: str, count: int, why: str) -> Happening:
        return Happening(self._cluster.now, what, subject, count, why, self._cluster.workers)


def _made(service: dict[str, Any]) -> dict[str, Any]:
    """A Service as it is once it has been created."""
    return {**service, "metadata": {**service["metadata"], "uid": "service", "resourceVersion": "1"}}
