"""Decides what to do about one RayCluster. Pure: everything it knows is handed to it, everything it wants is returned.

Invariants, whatever the state it is shown:

* at most one live head is kept, and one is created only when there is none;
* a worker belongs to the head in its annotation: with another head, or none, it is replaced, unless what the head
  knows outlives it, see recovery;
* a pod of another owner is never touched, whatever its labels;
* planning again after some, all or none of the actions were carried out leads to the same end.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from autoscaler.scheduling.scheduler import Decision
from controller.objects.labels import WORKER
from controller.objects.service import is_current, is_current_for_hosts
from controller.objects.views import PodView
from controller.raycluster.idle_termination import DELETE
from controller.wording import counted

from .actions import (
    Action,
    CreateClaim,
    CreatePod,
    CreateService,
    DeleteCluster,
    DeletePod,
    DrainPod,
    PatchClaim,
    PatchService,
    RetirePod,
    portion,
)
from .blocked_types import next_end
from .gang_objects import create_gang_objects, delete_gang_objects
from .head import HeadPlan, plan_head
from .hosts import count_workers, number_of_workers
from .idleness import Idleness, idleness
from .observed import Observed
from .protection import plan_protection
from .reasons import Reason
from .recovery import address_to_keep, plan_claim
from .slots import free_names
from .suspension import Suspension, plan_ending, remaining, suspension
from .workers import plan_workers


@dataclass(frozen=True)
class Announcement:
    """What a change of the spec leads to, reported before it happens, once per generation and ``about``."""

    reason: str
    about: str
    message: str


@dataclass(frozen=True)
class Plan:
    """What to do now, in order, and when to look again though nothing has changed (seconds since the epoch).

    ``workers``: every live one; ``outdated``: uid -> why, of those that a change of the spec replaces. ``put_off``:
    how many more actions are due than one pass carries out. ``suspension``: why it is to have no pods; None while it
    is to run. ``head_waits``: what keeps a head from being made.
    """

    actions: tuple[Action, ...]
    look_again_at: float | None = None
    head: PodView | None = None
    head_change: Reason | None = None
    workers: tuple[PodView, ...] = ()
    outdated: Mapping[str, Reason] = field(default_factory=dict)
    targets: Mapping[str, int] = field(default_factory=dict)
    decision: Decision | None = None
    announcements: tuple[Announcement, ...] = ()
    put_off: int = 0
    suspension: Suspension | None = None
    head_waits: str = ""
    idle: Idleness | None = None

    @property
    def expects_nodes(self) -> bool:
        """Something is on its way up or down, so that the head's next answers matter."""
        moving = any(isinstance(a, CreatePod | RetirePod | DrainPod) for a in self.actions)
        return moving or bool(self.outdated) or any(p.drain_by or not p.ready for p in self.workers)


def make_plan(seen: Observed) -> Plan:
    """The actions that bring what is seen closer to what is wanted."""
    idle = idleness(seen)
    why = suspension(seen, idle)
    made = _suspended(seen, why) if why else _running(seen)
    return _with_idleness(seen, made, idle) if idle else made


def _with_idleness(seen: Observed, plan: Plan, idle: Idleness) -> Plan:
    """The plan, and what comes of the cluster's being used or not. One that is deleted gets nothing else done."""
    dues = [due for due in (plan.look_again_at, idle.look_again_at) if due is not None]
    made = replace(plan, idle=idle, look_again_at=min(dues, default=None))
    if not idle.carry_out:
        return made
    record, cluster = idle.record, seen.cluster
    news = Announcement("IdleTermination", f"idle {record.decided_at}", record.message)
    if idle.carry_out == DELETE:
        delete = DeleteCluster(cluster.uid, cluster.resource_version)
        return replace(made, actions=(delete,), announcements=(news,), put_off=0)
    return replace(made, announcements=(news, *made.announcements)) if remaining(seen) else made


def _running(seen: Observed) -> Plan:
    # A name is not used again while Ray lists a node under it: nothing would distinguish the two.
    living = [n.instance_id for n in seen.ray.state.living if not n.is_head] if seen.ray else []
    names = free_names(seen.cluster, seen.spec, {*(pod.name for pod in seen.pods), *seen.taken, *living})
    head = plan_head(seen, names)
    workers = plan_workers(seen, names, head.kept)
    service = tuple(_plan_service(seen))
    claim = tuple(plan_claim(seen))
    going = {a.pod.uid for a in workers.actions if isinstance(a, DeletePod | RetirePod | DrainPod)}
    protection = plan_protection(seen, head.kept, workers.live, going)
    actions, put_off = portion((*service, *claim, *head.actions, *workers.actions, *protection.actions), len(seen.pods))
    unused, unused_due = delete_gang_objects(seen, actions)
    dues = [head.due, workers.due, protection.due, next_end(seen.blocks), seen.doubt_until, unused_due]
    dues += [seen.now] if any(isinstance(a, CreateClaim) for a in claim) else []
    return Plan(
        actions=(*create_gang_objects(seen, actions), *actions, *unused),
        look_again_at=min((due for due in dues if due is not None), default=None),
        head=head.kept,
        head_change=head.change,
        workers=workers.live,
        outdated=workers.outdated,
        targets=workers.targets,
        decision=workers.decision,
        announcements=tuple(_announcements(seen, head, workers.live, workers.outdated, service)),
        put_off=put_off + workers.put_off,
        head_waits=head.waits,
    )


def _suspended(seen: Observed, why: Suspension) -> Plan:
    """The Service stays: clients that know its address find the cluster there when it is back."""
    ending = plan_ending(seen, why)
    # A claim that is to stay when the cluster is deleted must not depend on its running.
    claim = [a for a in plan_claim(seen) if isinstance(a, PatchClaim)]
    actions, put_off = portion((*_plan_service(seen), *claim, *ending.actions), len(seen.pods))
    unused, unused_due = delete_gang_objects(seen, actions)
    message = f"{why.message}; workers may finish what they run and are deleted, then the head"
    told = (Announcement("Suspending", f"suspend{why.about}", message),) if remaining(seen) else ()
    return Plan(
        actions=(*actions, *unused),
        look_again_at=min((due for due in (ending.due, unused_due) if due is not None), default=None),
        head=ending.head,
        workers=ending.workers,
        announcements=told,
        put_off=put_off,
        suspension=why,
    )


def _plan_service(seen: Observed) -> Iterator[Action]:
    service = seen.service
    if service is None or service.owner_uid != seen.cluster.uid:
        # A foreign Service is not touched: the refusal to create ours is reported to the user.
        yield CreateService(address_to_keep(seen))
    elif not service.deleting and not is_current(service, seen.cluster, seen.spec):
        yield PatchService(service)
    if any(t.hosts > 1 for t in seen.spec.worker_types):
        yield from _plan_hosts_service(seen)


def _plan_hosts_service(seen: Observed) -> Iterator[Action]:
    """It stays when the last type with several hosts goes: its pods may still be there."""
    service = seen.hosts_service
    if service is None or service.owner_uid != seen.cluster.uid:
        yield CreateService(for_hosts=True)
    elif not service.deleting and not is_current_for_hosts(service, seen.cluster):
        yield PatchService(service, for_hosts=True)


def _announcements(
    seen: Observed,
    head: HeadPlan,
    workers: Sequence[PodView],
    outdated: Mapping[str, Reason],
    service: Sequence[Action],
) -> Iterator[Announcement]:
    if head.change:
        others = number_of_workers([p for p in seen.pods if p.kind == WORKER and p.live])
        if head.alone:
            stay = counted(others, "worker stays and goes on", "workers stay and go on")
            message = f"{head.change.text}: the head is replaced, its {stay}"
            yield Announcement("ReplacingHead", "head", message)
            return
        pods = f"the head and {counted(others, 'worker')} are replaced" if others else "the head is replaced"
        yield Announcement("Restarting", "head", f"{head.change.text}: {pods}, what runs in Ray is lost")
        return
    counts = count_workers([p for p in workers if p.uid in outdated])
    reasons = {p.node_type: outdated[p.uid].text for p in workers if p.uid in outdated}
    kept = {t.name for t in seen.spec.worker_types}
    for name, count in sorted(counts.items()):
        what = "replaced" if name in kept else "removed"
        subject = "its worker is" if count == 1 else f"its {count} workers are"
        yield Announcement("ReplacingWorkers", name, f"{reasons[name]}: {subject} drained and {what}")
    if any(isinstance(action, PatchService) and not action.for_hosts for action in service):
        yield Announcement("UpdatingService", "service", "the head Service is changed to what the spec says")
