"""From what Ray and Kubernetes show of a cluster to how many workers it should have: the question to the scheduler.

Without an answer of the last minute the question holds no demand, so that only ``minWorkers`` counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from autoscaler.model import NodeStatus, NodeType, RayNode
from autoscaler.scheduling.scheduler import Decision, Existing, Request, schedule
from controller.objects.views import PodView
from controller.raycluster.model import ClusterSpec, PodType

from .actions import MAX_PER_KIND
from .interruptions import interrupted_work
from .node_types import as_node_type
from .observed import RayView


@dataclass(frozen=True)
class Fleet:
    """The live workers of a cluster, each in one place.

    ``fit``: as they should be, running or on their way. ``stuck``: they would be, but cannot start. ``outdated``: their
    type has changed or is no more; they work on until they are replaced. ``leaving``: draining.
    ``interrupted``: their end is announced, and they are not draining yet. ``deleting``: are being deleted, the grace
    period has not passed; no capacity.
    ``held_back``: type -> slots of crashed pods that wait for their next try. ``terminating``: type -> pods that are
    being deleted and whose grace period has not passed.
    """

    fit: tuple[PodView, ...] = ()
    stuck: tuple[PodView, ...] = ()
    outdated: tuple[PodView, ...] = ()
    leaving: tuple[PodView, ...] = ()
    interrupted: tuple[PodView, ...] = ()
    deleting: tuple[PodView, ...] = ()
    held_back: Mapping[str, int] = field(default_factory=dict)
    terminating: Mapping[str, int] = field(default_factory=dict)

    @property
    def every(self) -> tuple[PodView, ...]:
        """All that live."""
        return (*self.fit, *self.stuck, *self.outdated, *self.going)

    @property
    def going(self) -> tuple[PodView, ...]:
        """Those that live and take no new work."""
        return (*self.leaving, *self.interrupted)


@dataclass(frozen=True)
class Scaling:
    """What was asked, what is to be launched, which stuck pods may stay, and Ray's living workers by pod name.

    ``later``: type -> workers that its minimum asks for beyond those of this decision.
    """

    request: Request
    decision: Decision
    kept_stuck: tuple[PodView, ...]
    known: Mapping[str, RayNode]
    later: Mapping[str, int] = field(default_factory=dict)

    @property
    def missing(self) -> int:
        """How many workers are to be launched, now and later."""
        return sum(self.decision.launches.values()) + sum(self.later.values())


def scale(
    spec: ClusterSpec,
    fleet: Fleet,
    ray: RayView | None,
    blocked: Collection[str] = (),
    last_resort: Collection[str] = (),
) -> Scaling:
    """How many workers there should be.

    ``blocked``: types that cannot be launched for the time being. ``last_resort``: those of them of which pods are made
    all the same, but only for what no other type can serve: an autoscaler of machines must see every pod that waits.
    """
    known = _known_nodes(ray)
    reserved = _reserved(spec, fleet)
    later = _later(spec, fleet, frozenset(blocked).difference(last_resort))
    request = replace(
        _request(spec, fleet, ray, known, later=later),
        blocked=frozenset(blocked),
        last_resort=frozenset(last_resort),
        reserved=reserved,
        expected=interrupted_work(spec, (*fleet.going, *fleet.deleting), known),
    )
    decision = schedule(request)
    launched = sum(decision.launches.values()) + sum(later.values())
    unmet = ray is None or decision.unplaced or decision.unplaced_gangs or decision.unplaced_requested
    room = spec.max_workers - sum(fleet.held_back.values()) - len(fleet.fit) - len(fleet.outdated) - len(fleet.going)
    spare = max(0, room - sum(reserved.values()) - launched) if unmet else 0
    kept = _kept(fleet.stuck, reserved, spare, decision.needed, last_resort if ray else ())
    return Scaling(request, decision, kept, known, later)


def _reserved(spec: ClusterSpec, fleet: Fleet) -> Counter[str]:
    """Stuck pods that a type's minimum asks for: type -> number."""
    fit = Counter(p.node_type for p in fleet.fit)
    stuck = Counter(p.node_type for p in fleet.stuck)
    least = {t.name: max(0, t.min_workers - fit[t.name] - fleet.held_back.get(t.name, 0)) for t in spec.worker_types}
    return Counter({name: min(count, least.get(name, 0)) for name, count in stuck.items()})


def _later(spec: ClusterSpec, fleet: Fleet, blocked: Collection[str]) -> dict[str, int]:
    """What minimums ask for beyond what a pass can launch: type -> number. Their room stays theirs."""
    fit = Counter(p.node_type for p in fleet.fit)
    missing = {t.name: t.min_workers - fit[t.name] - fleet.held_back.get(t.name, 0) for t in spec.worker_types}
    return {name: n - MAX_PER_KIND for name, n in missing.items() if n > MAX_PER_KIND and name not in blocked}


def _kept(
    stuck: Sequence[PodView],
    reserved: Counter[str],
    spare: int,
    needed: Collection[str],
    counted: Collection[str],
) -> tuple[PodView, ...]:
    """The minimum's and the needed ones. Of types whose pods were not ``counted`` for demand, as many more as there is
    room for: one of them may be the first to start.
    """
    left = Counter(reserved)
    kept = []
    for pod in sorted(stuck, key=lambda p: (p.name not in needed, p.started_at, p.name)):
        if left[pod.node_type] > 0:
            left[pod.node_type] -= 1
            kept.append(pod)
        elif pod.name in needed or (spare > 0 and pod.node_type not in counted):
            spare -= 1
            kept.append(pod)
    return tuple(kept)


def _known_nodes(ray: RayView | None) -> dict[str, RayNode]:
    """Ray's living workers by pod name."""
    return {n.instance_id: n for n in ray.state.living if not n.is_head} if ray else {}


def _request(
    spec: ClusterSpec,
    fleet: Fleet,
    ray: RayView | None,
    known: Mapping[str, RayNode],
    *,
    later: Mapping[str, int],
) -> Request:
    types = {t.name: _node_type(spec, t, fleet, known, later.get(t.name, 0)) for t in spec.worker_types}
    state = ray.state if ray else None
    heads = [n for n in state.living if n.is_head] if state else []
    going = {p.uid for p in (*fleet.outdated, *fleet.going)}
    return Request(
        types=tuple(types.values()),
        max_workers=max(0, spec.max_workers - sum(fleet.held_back.values()) - sum(later.values())),
        upscaling_speed=spec.upscaling_speed,
        nodes=(
            *(_existing(n.instance_id, n) for n in heads),
            *(
                _worker(p, types.get(p.node_type), known.get(p.name), p.uid in going)
                for p in (*fleet.fit, *fleet.outdated, *fleet.going)
            ),
        ),
        demands=state.demands if state else (),
        gangs=state.gangs if state else (),
        requested=state.requested if state else (),
        terminating=fleet.terminating,
        stuck=tuple(_coming(p.name, p.node_type, types.get(p.node_type)) for p in fleet.stuck),
    )


def _node_type(
    spec: ClusterSpec, pod_type: PodType, fleet: Fleet, known: Mapping[str, RayNode], later: int
) -> NodeType:
    """A type as the scheduler sees it. What Ray measures is known better from a running node; the rest is declared.

    While pods of a type wait out a crash, the type keeps its minimum but takes no demand: another type may serve.
    ``later``: how much of the minimum is left to later passes.
    """
    mine = [p for p in fleet.fit if p.node_type == pod_type.name]
    held_back = fleet.held_back.get(pod_type.name, 0)
    # Those that are there already count for the minimum, whichever others have crashed.
    least = min(pod_type.min_workers, max(len(mine), pod_type.min_workers - held_back)) - later
    return replace(
        as_node_type(spec, pod_type, [known[p.name] for p in mine if p.name in known]),
        min_workers=least,
        max_workers=max(len(mine), least) if held_back else pod_type.max_workers,
    )


def _existing(name: str, node: RayNode) -> Existing:
    return Existing(
        name=name,
        node_type=node.node_type,
        total=node.total,
        free=node.available,
        labels=node.labels,
        is_head=node.is_head,
        draining=node.status is NodeStatus.DRAINING,
    )


def _coming(name: str, type_name: str, node_type: NodeType | None) -> Existing:
    """A node on its way, as big as its type says."""
    resources = node_type.resources if node_type else {}
    return Existing(name, type_name, resources, resources, node_type.labels if node_type else {}, pending=True)


def _worker(pod: PodView, node_type: NodeType | None, node: RayNode | None, going: bool) -> Existing:
    """A worker pod. Until Ray knows it, it is capacity on its way; one that goes takes no new work."""
    if node is None:
        return replace(_coming(pod.name, pod.node_type, node_type), draining=going)
    # The pod says what type it is; a node's own word could be anything.
    shown = _existing(pod.name, node)
    return replace(shown, node_type=pod.node_type, draining=shown.draining or going)
