"""From what Ray and Kubernetes show of a cluster to how many workers it should have: the question to the scheduler.

Without an answer of the last minute the question holds no demand, so that only ``minWorkers`` counts; without one of
the last seconds nothing shrinks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from autoscaler.model import QUANTUM, NodeStatus, NodeType, RayNode, RayState
from autoscaler.scheduler import Decision, Existing, Request, removable, schedule

from .model import ClusterSpec, PodType
from .pods import ray_resources
from .views import PodView

# Older answers of a head are no ground to remove anything.
FRESH_SECONDS = 5.0
# Older ones count for nothing at all.
WORTHLESS_SECONDS = 60.0
# Workers retired in one pass: each drain may wait for a raylet, and other clusters wait with it.
MAX_RETIREMENTS = 16


@dataclass(frozen=True)
class RayView:
    """The newest answer of a head, which pod that head is, and how many seconds ago it was asked."""

    state: RayState
    head_uid: str
    age: float

    @property
    def fresh(self) -> bool:
        """Young enough to remove workers on."""
        return self.age <= FRESH_SECONDS


@dataclass(frozen=True)
class Retirement:
    """A worker that nobody needs any more, and why."""

    pod: PodView
    node: RayNode
    reason: str


@dataclass(frozen=True)
class Scaling:
    """What to launch per type, whom to retire, and in how many seconds somebody's idle time is over."""

    decision: Decision
    retirements: tuple[Retirement, ...] = ()
    look_again_in: float | None = None


def scale(spec: ClusterSpec, workers: Sequence[PodView], held_back: Mapping[str, int], ray: RayView | None) -> Scaling:
    """How many workers there should be.

    ``workers`` are the live pods that may stay; ``held_back`` counts, per type, the slots of crashed pods that wait.
    """
    if ray and ray.age > WORTHLESS_SECONDS:
        ray = None
    known = _known_nodes(ray)
    request = _request(spec, workers, held_back, ray, known)
    decision = schedule(request)
    if ray is None or not ray.fresh:
        return Scaling(decision)
    idle, soonest = _idle_enough(spec, workers, known)
    allowed = removable(request, decision, list(idle))
    retirements = [Retirement(p, known[p.name], idle[p.name]) for p in workers if p.name in allowed]
    return Scaling(decision, tuple(retirements[:MAX_RETIREMENTS]), soonest)


def _known_nodes(ray: RayView | None) -> dict[str, RayNode]:
    """Ray's living workers by pod name."""
    nodes = ray.state.nodes if ray else ()
    return {n.instance_id: n for n in nodes if n.status is not NodeStatus.DEAD and not n.is_head}


def _request(
    spec: ClusterSpec,
    workers: Sequence[PodView],
    held_back: Mapping[str, int],
    ray: RayView | None,
    known: Mapping[str, RayNode],
) -> Request:
    types = {t.name: _node_type(t, workers, held_back.get(t.name, 0), known) for t in spec.worker_types}
    state = ray.state if ray else None
    heads = [n for n in state.nodes if n.is_head and n.status is not NodeStatus.DEAD] if state else []
    return Request(
        types=tuple(types.values()),
        max_workers=max(0, spec.max_workers - sum(held_back.values())),
        upscaling_speed=spec.upscaling_speed,
        nodes=(
            *(_existing(n.instance_id, n) for n in heads),
            *(_worker(p, types[p.node_type], known.get(p.name)) for p in workers),
        ),
        demands=state.demands if state else (),
        gangs=state.gangs if state else (),
        requested=state.requested if state else (),
    )


def _node_type(pod_type: PodType, workers: Sequence[PodView], held_back: int, known: Mapping[str, RayNode]) -> NodeType:
    """A type as the scheduler sees it. What Ray measures is known better from a running node; the rest is declared.

    While pods of a type wait out a crash, the type keeps its minimum but takes no demand: another type may serve.
    """
    running = next((known[p.name] for p in workers if p.node_type == pod_type.name and p.name in known), None)
    live = sum(p.node_type == pod_type.name for p in workers)
    least = max(0, pod_type.min_workers - held_back)
    return NodeType(
        name=pod_type.name,
        resources={**_declared(pod_type), **_measured(pod_type, running)},
        min_workers=least,
        max_workers=max(live, least) if held_back else pod_type.max_workers,
        labels={"ray.io/node-group": pod_type.name},
    )


def _declared(pod_type: PodType) -> dict[str, int]:
    return {name: round(float(amount) * QUANTUM) for name, amount in ray_resources(pod_type).items() if amount}


def _measured(pod_type: PodType, running: RayNode | None) -> dict[str, int]:
    names = {"CPU", "GPU", "memory", "object_store_memory"} - set(pod_type.ray_resources)
    return {name: amount for name, amount in running.total.items() if name in names} if running else {}


def _own(resources: Mapping[str, int]) -> dict[str, int]:
    """Without the resource that stands for one node alone."""
    return {name: amount for name, amount in resources.items() if not name.startswith("node:")}


def _existing(name: str, node: RayNode) -> Existing:
    return Existing(
        name=name,
        node_type=node.node_type,
        total=_own(node.total),
        free=_own(node.available),
        labels=node.labels,
        is_head=node.is_head,
        draining=node.status is NodeStatus.DRAINING,
    )


def _worker(pod: PodView, node_type: NodeType, node: RayNode | None) -> Existing:
    """A worker pod. Until Ray knows it, it is capacity on its way."""
    if node is None:
        resources = node_type.resources
        return Existing(pod.name, pod.node_type, resources, resources, node_type.labels, pending=True)
    # The pod says what type it is; a node's own word could be anything.
    return Existing(**{**vars(_existing(pod.name, node)), "node_type": pod.node_type})


def _idle_enough(
    spec: ClusterSpec, workers: Sequence[PodView], known: Mapping[str, RayNode]
) -> tuple[dict[str, str], float | None]:
    """Who may go if nobody needs it, and why, the longest idle first; and when the next one's time is over."""
    timeout = spec.idle_timeout_minutes * 60
    surplus = _surplus(spec, workers)
    idle = [(known[p.name], p) for p in workers if p.name in known and known[p.name].status is NodeStatus.IDLE]
    reasons: dict[str, str] = {}
    waits: list[float] = []
    for node, pod in sorted(idle, key=lambda pair: (-pair[0].idle_seconds, pair[1].name)):
        if node.idle_seconds >= timeout:
            reasons[pod.name] = f"it has been idle for {spec.idle_timeout_minutes:g} minutes"
        elif surplus[pod.node_type] > 0:
            reasons[pod.name] = "there are more workers than maxWorkers allows, and it is idle"
        else:
            waits.append(timeout - node.idle_seconds)
            continue
        surplus[pod.node_type] -= 1
    return reasons, min(waits, default=None)


def _surplus(spec: ClusterSpec, workers: Sequence[PodView]) -> dict[str, int]:
    """How many workers of each type are beyond its maxWorkers, or beyond the cluster's."""
    counts = {t.name: sum(p.node_type == t.name for p in workers) for t in spec.worker_types}
    surplus = {t.name: max(0, counts[t.name] - t.max_workers) for t in spec.worker_types}
    rest = max(0, len(workers) - sum(surplus.values()) - spec.max_workers)
    for name, count in counts.items():
        more = min(rest, count - surplus[name])
        surplus[name] += more
        rest -= more
    return surplus
