"""Decides what to do about one RayCluster. Pure: everything it knows is handed to it, everything it wants is returned.

Invariants, whatever the state it is shown:

* at most one live head is kept, and one is created only when there is none;
* a worker belongs to the head it was told about: with another head, or none, it is replaced;
* a pod of another owner is never touched, whatever its labels;
* planning again after some, all or none of the actions were carried out leads to the same end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from autoscaler.scheduler import Decision

from .model import ClusterSpec, PodType, RayCluster
from .pods import config_hash, slot_name
from .scaling import RayView, scale
from .service import is_current
from .views import HEAD, WORKER, PodView, ServiceView

# A pod that lived this long had a good start: what ended it is not counted as a crash loop.
QUIET_SECONDS = 600.0
BACKOFF_BASE_SECONDS = 5.0
BACKOFF_LIMIT_SECONDS = 300.0


@dataclass(frozen=True)
class CreateService:
    """Make the head Service."""


@dataclass(frozen=True)
class PatchService:
    """Put an edited or outdated head Service right."""

    service: ServiceView


@dataclass(frozen=True)
class CreatePod:
    """Make a pod. ``attempt`` counts the pods of its slot that ended soon after they had started."""

    pod_type: PodType
    name: str
    attempt: int = 0
    head: PodView | None = None


@dataclass(frozen=True)
class DeletePod:
    """Delete this incarnation of a pod, and tell why."""

    pod: PodView
    reason: str


@dataclass(frozen=True)
class TellHead:
    """Let a worker know where its head is."""

    pod: PodView
    head: PodView


@dataclass(frozen=True)
class RetirePod:
    """Drain a worker that nobody needs, and delete its pod if Ray agrees that it is idle."""

    pod: PodView
    node_id: bytes
    reason: str


Action = CreateService | PatchService | CreatePod | DeletePod | TellHead | RetirePod


@dataclass(frozen=True)
class Observed:
    """What is there: the cluster's own pods, and the Service under the head Service's name, whoever owns it.

    ``taken`` holds pod names that turned out to belong to somebody else. ``ray`` is the newest answer of the head.
    """

    cluster: RayCluster
    spec: ClusterSpec
    pods: Sequence[PodView]
    service: ServiceView | None
    now: float
    taken: Collection[str] = ()
    ray: RayView | None = None


@dataclass(frozen=True)
class Plan:
    """What to do now, in order, and when to look again though nothing has changed (seconds since the epoch)."""

    actions: tuple[Action, ...]
    look_again_at: float | None = None
    head: PodView | None = None
    head_change: str = ""
    workers: tuple[PodView, ...] = ()
    targets: Mapping[str, int] = field(default_factory=dict)
    decision: Decision | None = None


@dataclass(frozen=True)
class _Slots:
    """What an ended pod means for its slot: wait until ``due``, or go on with these attempt numbers."""

    waiting: tuple[PodView, ...]
    attempts: tuple[int, ...]
    due: float | None


@dataclass(frozen=True)
class _Workers:
    """The workers that stay, what to do about workers, when to look again, and the scheduler's word."""

    kept: tuple[PodView, ...]
    actions: tuple[Action, ...]
    due: float | None
    targets: Mapping[str, int]
    decision: Decision


def make_plan(seen: Observed) -> Plan:
    """The actions that bring what is seen closer to what is wanted."""
    names = _free_names(seen)
    head, change, head_actions, head_due = _plan_head(seen, names)
    workers = _plan_workers(seen, names, head)
    actions = (*_plan_service(seen), *head_actions, *workers.actions)
    due = min((t for t in (head_due, workers.due) if t is not None), default=None)
    return Plan(actions, due, head, change, workers.kept, workers.targets, workers.decision)


def backoff_seconds(attempt: int) -> float:
    """How long the pod of this attempt is held back: the first at once, then 5 s doubling to 5 minutes."""
    # Attempts are counted for as long as a pod keeps crashing: the exponent is bounded before the power is.
    return min(BACKOFF_BASE_SECONDS * 2.0 ** min(attempt - 2, 30), BACKOFF_LIMIT_SECONDS) if attempt > 1 else 0.0


def _plan_service(seen: Observed) -> Iterator[Action]:
    service = seen.service
    if service is None or (service.owner_uid != seen.cluster.uid and not service.deleting):
        # Somebody else's Service is not touched: that creating ours is refused tells the user.
        yield CreateService()
    elif not service.deleting and not is_current(service, seen.cluster, seen.spec):
        yield PatchService(service)


def _free_names(seen: Observed) -> dict[str, Iterator[str]]:
    """For each pod type, the names of its free slots, lowest first."""
    used = {pod.name for pod in seen.pods} | set(seen.taken)

    def free(pod_type: PodType) -> Iterator[str]:
        ordinal = 0
        while True:
            name = slot_name(seen.cluster, pod_type, ordinal)
            ordinal += 1
            if name not in used:
                # Two slots of one cluster can hash to one name: each name is handed out once.
                used.add(name)
                yield name

    return {t.name: free(t) for t in seen.spec.pod_types}


def _plan_head(
    seen: Observed, names: dict[str, Iterator[str]]
) -> tuple[PodView | None, str, list[Action], float | None]:
    """The head to keep (or none), why an existing one is given up, what to do, and when to look again."""
    heads = sorted((p for p in seen.pods if p.kind == HEAD), key=lambda p: (p.started_at, p.name))
    live = [p for p in heads if p.live]
    head = next((p for p in live if not _head_change(seen, p)), None)
    change = _head_change(seen, live[0]) if live and not head else ""
    actions: list[Action] = [
        DeletePod(p, _head_change(seen, p) or "another head is live") for p in live if p is not head
    ]
    actions += [DeletePod(p, "its node is lost") for p in heads if p.phase == "Unknown" and not p.deleting]
    ended = [p for p in heads if p.ended and not p.deleting]
    # What became of a head that is not wanted any more says nothing about the one that is.
    slots = _slots([p for p in ended if not _head_change(seen, p)], seen.now)
    actions += [DeletePod(p, _ended(p)) for p in ended if head or p not in slots.waiting]
    if head:
        return head, "", actions, None
    if live:
        # Only once the API server has accepted their deletion is there room for another.
        return None, change, actions, seen.now
    if slots.waiting:
        return None, "", actions, slots.due
    attempt = max(slots.attempts, default=0)
    actions.append(CreatePod(seen.spec.head, next(names[seen.spec.head.name]), attempt))
    return None, "", actions, None


def _head_change(seen: Observed, head: PodView) -> str:
    if head.node_type != seen.spec.head_pod_type:
        return f"headPodType is now {seen.spec.head_pod_type}"
    if head.config_hash != config_hash(seen.spec, seen.spec.head):
        return "the head's pod type or start commands changed"
    return ""


def _plan_workers(seen: Observed, names: dict[str, Iterator[str]], head: PodView | None) -> _Workers:
    """The workers to keep, what to do, and when to look again."""
    workers = [p for p in seen.pods if p.kind == WORKER and not p.deleting]
    hashes = {t.name: config_hash(seen.spec, t) for t in seen.spec.worker_types}
    unfit = {p.uid: reason for p in workers if (reason := _unfit(p, hashes, head))}
    actions: list[Action] = [DeletePod(p, unfit[p.uid]) for p in workers if p.uid in unfit]
    fit = [p for p in workers if p.uid not in unfit]
    live = [p for p in fit if p.live]
    types = seen.spec.worker_types
    slots = {t.name: _slots([p for p in fit if p.ended and p.node_type == t.name], seen.now) for t in types}
    waiting = {p.uid for s in slots.values() for p in s.waiting}
    actions += [DeletePod(p, _ended(p)) for p in fit if p.ended and p.uid not in waiting]
    ray = seen.ray if head and seen.ray and seen.ray.head_uid == head.uid else None
    scaling = scale(seen.spec, live, {n: len(s.waiting) for n, s in slots.items() if s.waiting}, ray)
    for pod_type in types:
        missing = scaling.decision.launches.get(pod_type.name, 0)
        attempts = (slots[pod_type.name].attempts + (0,) * missing)[:missing]
        known = head if head and head.ip else None
        actions += [CreatePod(pod_type, next(names[pod_type.name]), attempt, known) for attempt in attempts]
    actions += _tell_head(live, head)
    actions += [RetirePod(r.pod, r.node.node_id, r.reason) for r in scaling.retirements]
    targets = {t.name: len(slots[t.name].waiting) + scaling.decision.launches.get(t.name, 0) for t in types}
    for pod in live:
        targets[pod.node_type] += 1
    for retirement in scaling.retirements:
        targets[retirement.pod.node_type] -= 1
    dues = [s.due for s in slots.values() if s.due is not None]
    dues += [seen.now + scaling.look_again_in] if scaling.look_again_in is not None else []
    return _Workers(tuple(live), tuple(actions), min(dues, default=None), targets, scaling.decision)


def _unfit(pod: PodView, hashes: Mapping[str, str], head: PodView | None) -> str:
    """Why a worker has no place in the cluster as it is wanted now; empty when it has one.

    ``hashes``: worker type -> the configuration that its pods should have.
    """
    if pod.node_type not in hashes:
        return f"the pod type {pod.node_type} is no longer a worker type"
    if pod.config_hash != hashes[pod.node_type]:
        return f"the pod type {pod.node_type} or its start commands changed"
    if pod.head_uid and (head is None or pod.head_uid != head.uid):
        return "its head is gone"
    if pod.phase == "Unknown":
        return "its node is lost"
    return ""


def _tell_head(workers: Sequence[PodView], head: PodView | None) -> Iterator[Action]:
    if head and head.ip:
        yield from (TellHead(p, head) for p in workers if not p.head_uid)


def _slots(ended: Sequence[PodView], now: float) -> _Slots:
    waiting: list[PodView] = []
    attempts: list[int] = []
    dues: list[float] = []
    for pod in ended:
        quiet = pod.ended_at - pod.started_at >= QUIET_SECONDS
        attempt = 1 if quiet else pod.attempt + 1
        due = pod.ended_at + backoff_seconds(attempt)
        if due > now:
            waiting.append(pod)
            dues.append(due)
        else:
            attempts.append(attempt)
    return _Slots(tuple(waiting), tuple(attempts), min(dues, default=None))


def _ended(pod: PodView) -> str:
    return f"it ended ({pod.problem or pod.phase})"


def summarize(actions: Sequence[Action]) -> list[tuple[str, str]]:
    """One (reason, message) per kind of thing done, for Events and the log."""
    retired = Counter((a.pod.node_type, a.reason) for a in actions if isinstance(a, RetirePod))
    created = Counter(a.pod_type.name for a in actions if isinstance(a, CreatePod))
    deleted = Counter((a.pod.node_type, a.reason) for a in actions if isinstance(a, DeletePod))
    lines = []
    for (node_type, reason), count in deleted.items():
        lines.append(("DeletedPods", f"deleted {_pods(count)} of type {node_type}: {reason}"))
    for (node_type, reason), count in retired.items():
        lines.append(("RetiredPods", f"retired {_pods(count)} of type {node_type}: {reason}"))
    if created:
        parts = ", ".join(f"{count} {name}" for name, count in created.items())
        lines.append(("CreatedPods", f"created {_pods(sum(created.values()))}: {parts}"))
    return lines


def _pods(count: int) -> str:
    return "1 pod" if count == 1 else f"{count} pods"
