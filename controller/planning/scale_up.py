"""From what Ray and Kubernetes show of a cluster to how many workers it should have: the question to the scheduler.

Without an answer of the last minute the question holds no demand, so that only ``minWorkers`` counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from autoscaler.model import NodeStatus, NodeType, RayNode
from autoscaler.scheduling.scheduler import Decision, Existing, Request, schedule
from controller.objects.hosts import Host
from controller.objects.pod_status import SCHEDULING_GATED
from controller.objects.views import PodView
from controller.raycluster.model import ClusterSpec, PodType

from .actions import most_per_kind
from .hosts import by_worker, count_workers, number_of_workers, slot_of
from .interruptions import interrupted_work
from .node_types import as_node_type
from .observed import RayView


@dataclass(frozen=True)
class Fleet:
    """The pods of the live workers of a cluster, each in one place, and those of one worker in the same.

    ``fit``: as they should be, running or on their way. ``stuck``: they would be, but cannot start. ``outdated``: their
    type has changed or is no more; they work on until they are replaced. ``leaving``: draining.
    ``interrupted``: their end is announced, and they are not draining yet. ``deleting``: are being deleted, the grace
    period has not passed; no capacity.
    ``held_back``: type -> slots of crashed pods that wait for their next try. ``terminating``: type -> workers that are
    being deleted and whose grace period has not passed. ``missing``: worker -> its hosts that are still to be created.
    """

    fit: tuple[PodView, ...] = ()
    stuck: tuple[PodView, ...] = ()
    outdated: tuple[PodView, ...] = ()
    leaving: tuple[PodView, ...] = ()
    interrupted: tuple[PodView, ...] = ()
    deleting: tuple[PodView, ...] = ()
    held_back: Mapping[str, int] = field(default_factory=dict)
    terminating: Mapping[str, int] = field(default_factory=dict)
    missing: Mapping[str, tuple[PodView, tuple[int, ...]]] = field(default_factory=dict)

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
    *,
    pods: int,
) -> Scaling:
    """How many workers there should be of a cluster of so many ``pods``.

    ``blocked``: types that cannot be launched for the time being. ``last_resort``: those of them of which pods are made
    all the same, but only for what no other type can serve: an autoscaler of machines must see every pod that waits.
    """
    known = _known_nodes(ray)
    reserved = _reserved(spec, fleet)
    later = _later(spec, fleet, frozenset(blocked).difference(last_resort), most_per_kind(pods))
    request = replace(
        _request(spec, fleet, ray, known, later=later),
        blocked=frozenset(blocked),
        last_resort=frozenset(last_resort),
        reserved=reserved,
        expected=interrupted_work(spec, (*fleet.going, *fleet.deleting), known),
    )
    decision = schedule(request)
    launched = sum(decision.launches.values()) + sum(later.values())
    room = (
        spec.max_workers
        - sum(fleet.held_back.values())
        - number_of_workers((*fleet.fit, *fleet.outdated, *fleet.going))
    )
    spare = room - sum(reserved.values()) - launched
    waiting = _may_wait(fleet, known, ray, decision, last_resort if ray else ())
    kept = _kept(fleet.stuck, reserved, spare, decision.needed, waiting)
    return Scaling(request, decision, kept, known, later)


def _reserved(spec: ClusterSpec, fleet: Fleet) -> Counter[str]:
    """Stuck workers that a type's minimum asks for: type -> number."""
    fit, stuck = count_workers(fleet.fit), count_workers(fleet.stuck)
    least = {t.name: max(0, t.min_workers - fit[t.name] - fleet.held_back.get(t.name, 0)) for t in spec.worker_types}
    return Counter({name: min(count, least.get(name, 0)) for name, count in stuck.items()})


def _later(spec: ClusterSpec, fleet: Fleet, blocked: Collection[str], most: int) -> dict[str, int]:
    """What minimums ask for beyond what a pass can launch: type -> number. Their room stays theirs."""
    fit = count_workers(fleet.fit)
    missing = {t.name: t.min_workers - fit[t.name] - fleet.held_back.get(t.name, 0) for t in spec.worker_types}
    return {name: n - most for name, n in missing.items() if n > most and name not in blocked}


def _may_wait(
    fleet: Fleet, known: Mapping[str, RayNode], ray: RayView | None, decision: Decision, counted: Collection[str]
) -> frozenset[str]:
    """Stuck pods that need not go while there is room, by name: one of them may be the first to start.

    Those of types that were not ``counted`` for demand, while there is some that nothing serves. Those that wait for a
    gate, while nothing else has started in their stead: made again they would be the last in their queue.
    """
    if not fleet.stuck:
        return frozenset()
    stuck = {p.name for p in fleet.stuck}
    unmet = ray is None or decision.unplaced or decision.unplaced_gangs or decision.unplaced_requested
    coming = decision.launches or decision.needed & stuck or any(p.name not in known for p in fleet.fit)
    other = {p.name for p in fleet.stuck if p.node_type not in counted} if unmet else set()
    gated = {p.name for p in fleet.stuck if p.stuck == SCHEDULING_GATED} if coming else set()
    return frozenset(other | gated)


def _kept(
    stuck: Sequence[PodView],
    reserved: Counter[str],
    spare: int,
    needed: Collection[str],
    waiting: Collection[str],
) -> tuple[PodView, ...]:
    """The minimum's and the needed ones, and of the ``waiting`` as many more as there is room for."""
    left = Counter(reserved)
    kept: list[PodView] = []
    asked = [(not any(p.name in needed for p in worker), worker) for worker in by_worker(stuck)]
    for idle, worker in sorted(asked, key=lambda a: (a[0], a[1][0].started_at, a[1][0].name)):
        node_type = worker[0].node_type
        if left[node_type] > 0:
            left[node_type] -= 1
            kept += worker
        elif not idle or (spare > 0 and any(p.name in waiting for p in worker)):
            spare -= 1
            kept += worker
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
    stuck = {p.group for p in fleet.stuck if p.group}
    coming = list(_coming_hosts(fleet, types))
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
            *(n for n in coming if n.worker not in stuck),
        ),
        demands=state.demands if state else (),
        gangs=state.gangs if state else (),
        requested=state.requested if state else (),
        terminating=fleet.terminating,
        stuck=(
            *(_coming(p, types.get(p.node_type)) for p in fleet.stuck),
            *(n for n in coming if n.worker in stuck),
        ),
    )


def _node_type(
    spec: ClusterSpec, pod_type: PodType, fleet: Fleet, known: Mapping[str, RayNode], later: int
) -> NodeType:
    """A type as the scheduler sees it. What Ray measures is known better from a running node; the rest is declared.

    While pods of a type wait out a crash, the type keeps its minimum but takes no demand: another type may serve.
    ``later``: how much of the minimum is left to later passes.
    """
    mine = [p for p in fleet.fit if p.node_type == pod_type.name]
    there = number_of_workers(mine)
    held_back = fleet.held_back.get(pod_type.name, 0)
    # Those that are there already count for the minimum, whichever others have crashed.
    least = min(pod_type.min_workers, max(there, pod_type.min_workers - held_back)) - later
    return replace(
        as_node_type(spec, pod_type, [known[p.name] for p in mine if p.name in known]),
        min_workers=least,
        max_workers=max(there, least) if held_back else pod_type.max_workers,
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


def _coming(pod: PodView, node_type: NodeType | None, *, going: bool = False) -> Existing:
    """A node on its way, as big as its type says. ``going``: it takes no new work."""
    resources = node_type.host_resources(pod.host) if node_type else {}
    labels = node_type.host_labels(pod.host) if node_type else {}
    name, group = pod.key[1], pod.group
    return Existing(name, pod.node_type, resources, resources, labels, draining=going, pending=True, worker=group)


def _coming_hosts(fleet: Fleet, types: Mapping[str, NodeType]) -> Iterator[Existing]:
    """The hosts that are still to be created, of workers that are there in part."""
    for pod, indices in fleet.missing.values():
        for index in indices:
            host = replace(pod, host=index, key=pod.key._replace(name=Host(slot_of(pod), index).pod_name))
            yield _coming(host, types.get(pod.node_type))


def _worker(pod: PodView, node_type: NodeType | None, node: RayNode | None, going: bool) -> Existing:
    """A worker pod. Until Ray knows it, it is capacity on its way; one that goes takes no new work."""
    if node is None:
        return _coming(pod, node_type, going=going)
    # The pod says what type it is; a node's own word could be anything.
    shown = _existing(pod.name, node)
    return replace(shown, node_type=pod.node_type, draining=shown.draining or going, worker=pod.group)
