"""What to do about the workers of one RayCluster: who stays, who is made, who goes. Pure.

Invariant: a worker belongs to the head in its annotation; with another head, or none, it is replaced. Where what the
head knows outlives it, a worker belongs to the head Service's address, see recovery.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from autoscaler.scheduling.scheduler import Decision
from controller.objects.labels import WORKER
from controller.objects.views import PodView

from .actions import Action, DeletePod, HeadAddress, TellHead
from .blocked_types import can_start, next_stuck
from .departure import ScaleDownInputs
from .hosts import Groups, by_worker, count_workers, groups_of, refuses
from .interruptions import Interruption, interruption
from .launches import plan_launches
from .missing import given_up, next_given_up
from .observed import Observed, RayView
from .reasons import NODE_LOST, Label, Reason, reason_of_drain, reason_of_end
from .recovery import address_of_head, belongs, rejoins_until, stayed_away
from .scale_down import Departures, departures
from .scale_up import Fleet, Scaling, scale
from .slots import Slots, slots_of

HEAD_LOST = Reason(Label.HEAD_LOST, "its head is gone")
RESTARTED = Reason(Label.SPEC_CHANGED, "headRecovery or the head's version of Ray changed")
STAYED_AWAY = Reason(Label.HEAD_LOST, "it did not come back to its head")


@dataclass(frozen=True)
class Workers:
    """The workers that are there, what to do about them, when to look again, and the scheduler's decision.

    ``outdated``: uid -> why it is to be replaced. ``targets``: type -> how many there should be.
    ``put_off``: workers that are missing as well, and are too many for one pass.
    """

    live: tuple[PodView, ...]
    outdated: Mapping[str, Reason]
    actions: tuple[Action, ...]
    due: float | None
    targets: Mapping[str, int]
    decision: Decision
    put_off: int = 0


def plan_workers(seen: Observed, names: Mapping[str, Iterator[str]], head: PodView | None) -> Workers:
    """``names``: for each pod type, the names of its free slots."""
    ray = seen.ray if head and seen.ray and seen.ray.head_uid == head.uid else None
    workers = [p for p in seen.pods if p.kind == WORKER and not p.deleting]
    address = address_of_head(seen, head)
    unfit = {p.uid: reason for p in workers if (reason := _unfit(seen, p, head, ray))}
    fit = [p for p in workers if p.uid not in unfit]
    outdated = _outdated(seen, fit)
    slots = _slots_by_type(seen, [p for p in fit if p.uid not in outdated and not p.drain_by])
    groups, ends = _ends_of_groups(seen, head, unfit, outdated)
    fleet = _fleet(seen, [p for p in fit if p.live], outdated, (slots, ends, groups))
    blocks = {t.name: seen.blocks[t.name] for t in seen.spec.worker_types if t.name in seen.blocks}
    last_resort = [name for name, block in blocks.items() if block.last_resort]
    scaling = scale(seen.spec, fleet, ray, blocks, last_resort, pods=len(seen.pods))
    at = ScaleDownInputs(
        seen.spec,
        fleet,
        scaling,
        outdated,
        ray,
        seen.silence,
        seen.now,
        seen.settings.drain_seconds,
        rejoins_until(seen, head),
        ends,
        groups.ends.keys(),
    )
    leave = departures(at)
    actions: list[Action] = [DeletePod(p, unfit[p.uid]) for p in workers if p.uid in unfit]
    actions += (*_over(fit, slots), *leave.actions)
    launches = plan_launches(seen, names, fleet, slots, scaling, head=address)
    actions += (*launches.actions, *groups.notes)
    going = {a.pod.uid for a in leave.actions}
    actions += _tell_head([p for p in fleet.every if p.uid not in going], address)
    targets = _targets(seen, fleet, slots, scaling, going)
    due = _due(seen, fleet, slots, leave, ray)
    put_off = scaling.missing - launches.workers + leave.put_off
    return Workers(fleet.every, outdated, tuple(actions), due, targets, scaling.decision, put_off)


def _unfit(seen: Observed, pod: PodView, head: PodView | None, ray: RayView | None) -> Reason | None:
    """Why a worker has no place in the cluster whatever the spec says; None when it has one."""
    if pod.recovery != seen.spec.recovery_token:
        return RESTARTED
    if pod.head_uid and not belongs(seen, pod, head):
        return HEAD_LOST
    if stayed_away(seen, head, ray, pod):
        return STAYED_AWAY
    if pod.phase == "Unknown" or (pod.node_lost and ray and ray.fresh and pod.name not in ray.alive):
        return NODE_LOST
    if pod.uid in seen.missing and pod.live and ray and ray.fresh:
        return given_up(pod, seen.missing[pod.uid], ray, seen.now)
    return None


def _outdated(seen: Observed, workers: Sequence[PodView]) -> dict[str, Reason]:
    """Who was made for a type that has changed or is no more, and why that matters."""
    hashes = {t.name: seen.spec.hash_of(t) for t in seen.spec.worker_types}
    reasons = {}
    for pod in workers:
        if pod.node_type not in hashes:
            text = f"the pod type {pod.node_type} is no longer a worker type"
            reasons[pod.uid] = Reason(Label.SPEC_CHANGED, text)
        elif pod.config_hash != hashes[pod.node_type]:
            text = f"the pod type {pod.node_type} or its start commands changed"
            reasons[pod.uid] = Reason(Label.SPEC_CHANGED, text)
    for worker in by_worker([p for p in workers if p.group]) if reasons else ():
        found = next((reasons[p.uid] for p in worker if p.uid in reasons), None)
        reasons.update({p.uid: found for p in worker if found})
    return reasons


def _slots_by_type(seen: Observed, workers: Sequence[PodView]) -> dict[str, Slots]:
    # One pod holds the slot of a worker, until all of its others are gone: only then is there room for the next one.
    ended = [worker[0] for worker in by_worker([p for p in workers if p.ended])]
    busy = {p.group for p in seen.pods if p.group and not p.ended and (not p.deleting or p.is_terminating(seen.now))}
    held = {p.uid for p in ended if p.group in busy}
    return {
        t.name: slots_of([p for p in ended if p.node_type == t.name], seen.now, held) for t in seen.spec.worker_types
    }


def _fleet(
    seen: Observed,
    live: Sequence[PodView],
    outdated: Mapping[str, Reason],
    known: tuple[Mapping[str, Slots], Mapping[str, Interruption], Groups],
) -> Fleet:
    slots, ends, groups = known
    working = [p for p in live if p.uid not in ends and not p.drain_by]
    staying = [p for p in working if p.uid not in outdated]
    graces = seen.settings.graces
    # One host that cannot start, or cannot be made, keeps its whole worker from working.
    stuck = {p.group or p.uid for p in staying if not can_start(p, seen.now, graces)}
    stuck |= {name for name, (p, _) in groups.missing.items() if refuses(seen, p.node_type)}
    there = {p.group for p in live if p.group}
    made = {p.group for p in staying if p.group}
    return Fleet(
        fit=tuple([p for p in staying if (p.group or p.uid) not in stuck]),
        stuck=tuple([p for p in staying if (p.group or p.uid) in stuck]),
        outdated=tuple(p for p in working if p.uid in outdated),
        leaving=tuple(p for p in live if p.drain_by),
        interrupted=tuple(p for p in live if p.uid in ends and not p.drain_by),
        deleting=tuple(p for p in seen.pods if p.deleting and p.uid in ends),
        held_back={name: len(s.waiting) for name, s in slots.items() if s.waiting},
        terminating=count_workers([p for p in _terminating(seen) if p.group not in there]),
        missing={name: rest for name, rest in groups.missing.items() if name in made},
    )


def _ends(seen: Observed, head: PodView | None) -> dict[str, Interruption]:
    """The announced ends of workers: uid -> end. Those that are being deleted count while they are this head's."""
    workers = (p for p in seen.pods if p.kind == WORKER and (not p.deleting or (head and belongs(seen, p, head))))
    return {p.uid: end for p in workers if (end := interruption(p, seen.now, seen.nodes.get(p.node)))}


def _ends_of_groups(
    seen: Observed, head: PodView | None, unfit: Mapping[str, Reason], outdated: Mapping[str, Reason]
) -> tuple[Groups, dict[str, Interruption]]:
    """The workers of several hosts, and the ends of all workers, those that follow from them among them."""
    announced = _ends(seen, head)
    groups = groups_of(seen, [p for p in seen.pods if p.kind == WORKER], unfit, announced, outdated)
    return groups, {**announced, **groups.ends}


def _terminating(seen: Observed) -> list[PodView]:
    return [p for p in seen.pods if p.kind == WORKER and p.is_terminating(seen.now)]


def _tell_head(workers: Sequence[PodView], head: PodView | HeadAddress | None) -> Iterator[Action]:
    if head and head.ip:
        yield from (TellHead(p, head) for p in workers if not p.head_uid)


def _targets(
    seen: Observed, fleet: Fleet, slots: Mapping[str, Slots], scaling: Scaling, going: Collection[str]
) -> dict[str, int]:
    staying = count_workers([p for p in (*fleet.fit, *scaling.kept_stuck) if p.uid not in going])
    launched = scaling.decision.launches
    return {
        t.name: max(
            min(t.min_workers, t.max_workers),
            staying[t.name] + len(slots[t.name].waiting) + launched.get(t.name, 0),
        )
        for t in seen.spec.worker_types
    }


def _due(
    seen: Observed, fleet: Fleet, slots: Mapping[str, Slots], leave: Departures, ray: RayView | None
) -> float | None:
    dues = [s.due for s in slots.values()]
    dues.append(seen.now + leave.look_again_in if leave.look_again_in is not None else None)
    # A pod that is not gone by then counts no more.
    dues += [pod.delete_by for pod in _terminating(seen)]
    dues.append(next_given_up(seen.missing, fleet.every, ray, seen.now) if ray else None)
    dues.append(next_stuck(fleet.fit, seen.now, seen.settings.graces))
    return min((due for due in dues if due is not None), default=None)


def _over(workers: Sequence[PodView], slots: Mapping[str, Slots]) -> Iterator[DeletePod]:
    """Those that have ended, less those that hold their slots."""
    waiting = {p.uid for s in slots.values() for p in s.waiting}
    yield from (DeletePod(p, _ended(p)) for p in workers if p.ended and p.uid not in waiting)


def _ended(pod: PodView) -> Reason:
    return reason_of_drain(pod) if pod.drain_by else reason_of_end(pod)
