"""Decides what to do about one RayCluster. Pure: everything it knows is handed to it, everything it wants is returned.

Invariants, whatever the state it is shown:

* at most one live head is kept, and one is created only when there is none;
* a worker belongs to the head it was told about: with another head, or none, it is replaced;
* a pod of another owner is never touched, whatever its labels;
* planning again after some, all or none of the actions were carried out leads to the same end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from autoscaler.scheduling.scheduler import Decision
from controller.objects.labels import HEAD, WORKER
from controller.objects.pod import slot_name
from controller.objects.service import is_current
from controller.objects.views import PodView

from .actions import Action, CreatePod, CreateService, DeletePod, PatchService
from .blocked_types import next_end
from .observed import Observed
from .workers import plan_workers, slots_of

# A head whose kubelet is silent is given up when it does not answer for so long either.
LOST_HEAD_SECONDS = 20.0


@dataclass(frozen=True)
class Announcement:
    """What a change of the spec leads to, told before it happens. ``about``: told once per generation and this."""

    reason: str
    about: str
    message: str


@dataclass(frozen=True)
class Plan:
    """What to do now, in order, and when to look again though nothing has changed (seconds since the epoch).

    ``workers``: every live one; ``outdated``: uid -> why, of those that a change of the spec replaces.
    """

    actions: tuple[Action, ...]
    look_again_at: float | None = None
    head: PodView | None = None
    head_change: str = ""
    workers: tuple[PodView, ...] = ()
    outdated: Mapping[str, str] = field(default_factory=dict)
    targets: Mapping[str, int] = field(default_factory=dict)
    decision: Decision | None = None
    announcements: tuple[Announcement, ...] = ()


@dataclass(frozen=True)
class _Head:
    """The head to keep (or none), why one is given up for a change of the spec, what to do, when to look again."""

    kept: PodView | None
    change: str
    actions: tuple[Action, ...]
    due: float | None = None


def make_plan(seen: Observed) -> Plan:
    """The actions that bring what is seen closer to what is wanted."""
    names = _free_names(seen)
    head = _plan_head(seen, names)
    workers = plan_workers(seen, names, head.kept)
    service = tuple(_plan_service(seen))
    dues = [head.due, workers.due, next_end(seen.blocks)]
    return Plan(
        actions=(*service, *head.actions, *workers.actions),
        look_again_at=min((due for due in dues if due is not None), default=None),
        head=head.kept,
        head_change=head.change,
        workers=workers.live,
        outdated=workers.outdated,
        targets=workers.targets,
        decision=workers.decision,
        announcements=tuple(_announcements(seen, head, workers.live, workers.outdated, service)),
    )


def _plan_service(seen: Observed) -> Iterator[Action]:
    service = seen.service
    if service is None or service.owner_uid != seen.cluster.uid:
        # Somebody else's Service is not touched: that creating ours is refused tells the user.
        yield CreateService()
    elif not service.deleting and not is_current(service, seen.cluster, seen.spec):
        yield PatchService(service)


def _free_names(seen: Observed) -> dict[str, Iterator[str]]:
    """For each pod type, the names of its free slots, lowest first."""
    used = {pod.name for pod in seen.pods} | set(seen.taken)

    def free(index: int) -> Iterator[str]:
        ordinal = 0
        while True:
            name = slot_name(seen.cluster, seen.spec.pod_types[index], ordinal)
            ordinal += 1
            if name not in used:
                # Two slots of one cluster can hash to one name: each name is handed out once.
                used.add(name)
                yield name

    return {t.name: free(index) for index, t in enumerate(seen.spec.pod_types)}


def _plan_head(seen: Observed, names: Mapping[str, Iterator[str]]) -> _Head:
    heads = sorted((p for p in seen.pods if p.kind == HEAD), key=lambda p: (p.started_at, p.name))
    live = [p for p in heads if p.live]
    lost = {p.uid for p in heads if not p.deleting and _is_lost(seen, p)}
    head = next((p for p in live if not _head_change(seen, p) and p.uid not in lost), None)
    change = _head_change(seen, live[0]) if live and not head else ""
    actions = [
        DeletePod(p, _head_change(seen, p) or "another head is live")
        for p in live
        if p is not head and p.uid not in lost
    ]
    actions += [DeletePod(p, "its node is lost") for p in heads if p.uid in lost]
    ended = [p for p in heads if p.ended and not p.deleting]
    # What became of a head that is not wanted any more says nothing about the one that is.
    slots = slots_of([p for p in ended if not _head_change(seen, p)], seen.now)
    actions += [DeletePod(p, f"it ended ({p.problem or p.phase})") for p in ended if head or p not in slots.waiting]
    if head:
        return _Head(head, "", tuple(actions), _lost_at(seen, head))
    if live:
        # Only once the API server has accepted their deletion is there room for another.
        return _Head(None, change, tuple(actions), seen.now)
    if slots.waiting:
        return _Head(None, "", tuple(actions), slots.due)
    block = seen.blocks.get(seen.spec.head_pod_type)
    if block and block.refuses:
        return _Head(None, "", tuple(actions))
    create = CreatePod(seen.spec.head, next(names[seen.spec.head.name]), max(slots.attempts, default=0))
    return _Head(None, "", (*actions, create))


def _is_lost(seen: Observed, head: PodView) -> bool:
    """Gone with its machine. While it answers, that its kubelet is silent is no reason to end everybody's work."""
    if head.phase == "Unknown":
        return True
    return head.node_lost and _alone(seen, head) >= LOST_HEAD_SECONDS


def _lost_at(seen: Observed, head: PodView) -> float | None:
    """When it counts as lost if all stays silent. Nothing else need happen that brings another look."""
    return seen.now + LOST_HEAD_SECONDS - _alone(seen, head) if head.node_lost and seen.silence else None


def _alone(seen: Observed, head: PodView) -> float:
    """For how many seconds neither the head nor its kubelet has been heard of."""
    return min(seen.silence, seen.now - head.unready_since)


def _head_change(seen: Observed, head: PodView) -> str:
    if head.node_type != seen.spec.head_pod_type:
        return f"headPodType is now {seen.spec.head_pod_type}"
    if head.config_hash != seen.spec.hash_of(seen.spec.head):
        return "the head's pod type or start commands changed"
    return ""


def _announcements(
    seen: Observed, head: _Head, workers: Sequence[PodView], outdated: Mapping[str, str], service: Sequence[Action]
) -> Iterator[Announcement]:
    if head.change:
        others = sum(p.kind == WORKER and p.live for p in seen.pods)
        pods = f"the head and {others} workers are replaced" if others else "the head is replaced"
        yield Announcement("Restarting", "head", f"{head.change}: {pods}, what runs in Ray is lost")
        return
    counts = Counter(p.node_type for p in workers if p.uid in outdated)
    reasons = {p.node_type: outdated[p.uid] for p in workers if p.uid in outdated}
    kept = {t.name for t in seen.spec.worker_types}
    for name, count in sorted(counts.items()):
        what = "replaced" if name in kept else "removed"
        subject = "its worker is" if count == 1 else f"its {count} workers are"
        yield Announcement("ReplacingWorkers", name, f"{reasons[name]}: {subject} drained and {what}")
    if any(isinstance(action, PatchService) for action in service):
        yield Announcement("UpdatingService", "service", "the head Service is changed to what the spec says")
