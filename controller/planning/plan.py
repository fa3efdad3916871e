"""Decides what to do about one RayCluster. Pure: everything it knows is handed to it, everything it wants is returned.

Invariants, whatever the state it is shown:

* at most one live head is kept, and one is created only when there is none;
* a worker belongs to the head in its annotation: with another head, or none, it is replaced, unless what the head
  knows outlives it, see recovery;
* a pod of another owner is never touched, whatever its labels;
* planning again after some, all or none of the actions were carried out leads to the same end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from autoscaler.scheduling.scheduler import Decision
from controller.objects.labels import WORKER
from controller.objects.service import is_current
from controller.objects.views import PodView

from .actions import Action, CreateClaim, CreateService, PatchClaim, PatchService, portion
from .blocked_types import next_end
from .head import HeadPlan, plan_head
from .observed import Observed
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


def make_plan(seen: Observed) -> Plan:
    """The actions that bring what is seen closer to what is wanted."""
    if why := suspension(seen):
        return _suspended(seen, why)
    # A name is not used again while Ray lists a node under it: nothing would distinguish the two.
    living = [n.instance_id for n in seen.ray.state.living if not n.is_head] if seen.ray else []
    names = free_names(seen.cluster, seen.spec, {*(pod.name for pod in seen.pods), *seen.taken, *living})
    head = plan_head(seen, names)
    workers = plan_workers(seen, names, head.kept)
    service = tuple(_plan_service(seen))
    claim = tuple(plan_claim(seen))
    actions, put_off = portion((*service, *claim, *head.actions, *workers.actions))
    dues = [head.due, workers.due, next_end(seen.blocks), seen.doubt_until]
    dues += [seen.now] if any(isinstance(a, CreateClaim) for a in claim) else []
    return Plan(
        actions=actions,
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
    ending = plan_ending(seen)
    # A claim that is to stay when the cluster is deleted must not depend on its running.
    claim = [a for a in plan_claim(seen) if isinstance(a, PatchClaim)]
    actions, put_off = portion((*_plan_service(seen), *claim, *ending.actions))
    message = f"{why.message}; workers may finish what they run and are deleted, then the head"
    told = (Announcement("Suspending", "suspend", message),) if remaining(seen) else ()
    return Plan(
        actions=actions,
        look_again_at=ending.due,
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


def _announcements(
    seen: Observed,
    head: HeadPlan,
    workers: Sequence[PodView],
    outdated: Mapping[str, Reason],
    service: Sequence[Action],
) -> Iterator[Announcement]:
    if head.change:
        others = sum(p.kind == WORKER and p.live for p in seen.pods)
        if head.alone:
            message = f"{head.change.text}: the head is replaced, its {others} workers stay and go on"
            yield Announcement("ReplacingHead", "head", message)
            return
        pods = f"the head and {others} workers are replaced" if others else "the head is replaced"
        yield Announcement("Restarting", "head", f"{head.change.text}: {pods}, what runs in Ray is lost")
        return
    counts = Counter(p.node_type for p in workers if p.uid in outdated)
    reasons = {p.node_type: outdated[p.uid].text for p in workers if p.uid in outdated}
    kept = {t.name for t in seen.spec.worker_types}
    for name, count in sorted(counts.items()):
        what = "replaced" if name in kept else "removed"
        subject = "its worker is" if count == 1 else f"its {count} workers are"
        yield Announcement("ReplacingWorkers", name, f"{reasons[name]}: {subject} drained and {what}")
    if any(isinstance(action, PatchService) for action in service):
        yield Announcement("UpdatingService", "service", "the head Service is changed to what the spec says")
