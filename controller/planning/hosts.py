"""Workers of several hosts: pods that are created, replaced and removed together. Pure.

The first host of a worker is created before the others, and is noted to be complete once all of them are there. So
what is missing shows what to do: without the note a worker is still being made, and the rest follows; with it, or
without its first host, a host is lost, and the worker goes as a whole. A single pod is a worker of one host.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from controller.objects.hosts import Host, worker_name
from controller.objects.views import PodView
from controller.raycluster.model import PodType

from .actions import NoteComplete
from .interruptions import Interruption
from .observed import Observed
from .reasons import Label, Reason, reason_of_drain


def count_workers(pods: Iterable[PodView]) -> Counter[str]:
    """Type -> how many workers these pods are."""
    return Counter({p.group or p.key[1]: p.node_type for p in pods}.values())


def number_of_workers(pods: Iterable[PodView]) -> int:
    """How many workers these pods are."""
    return len({p.group or p.key[1] for p in pods})


def by_worker(pods: Iterable[PodView]) -> list[list[PodView]]:
    """The pods of each worker, in the order of the first of them."""
    found: dict[str, list[PodView]] = {}
    for pod in pods:
        found.setdefault(pod.group or pod.key[1], []).append(pod)
    return list(found.values())


def ready_workers(pods: Iterable[PodView]) -> Counter[str]:
    """Type -> how many of these workers are ready, with all their hosts."""
    ready = [p for p in pods if p.ready]
    if not any(p.group for p in ready):
        return Counter([p.node_type for p in ready])
    return Counter([worker[0].node_type for worker in by_worker(ready) if len(worker) >= worker[0].hosts])


def slot_of(pod: PodView) -> str:
    """The name of a worker's slot, which its pods' names begin with."""
    return pod.name.removesuffix(f"-{pod.host}")


@dataclass(frozen=True)
class Groups:
    """The workers of several hosts.

    ``ends``: uid -> the end of a live pod that goes because another host of its worker does. ``missing``: worker -> the
    hosts that are still to be created, after one that is there. ``complete``: the first hosts of workers all of whose
    hosts are there, which is to be noted.
    """

    ends: Mapping[str, Interruption] = field(default_factory=dict)
    missing: Mapping[str, tuple[PodView, tuple[int, ...]]] = field(default_factory=dict)
    complete: tuple[PodView, ...] = ()

    @property
    def notes(self) -> Iterator[NoteComplete]:
        """What has to be noted of workers all of whose hosts are there."""
        return (NoteComplete(pod) for pod in self.complete)


def groups_of(
    seen: Observed,
    pods: Sequence[PodView],
    unfit: Mapping[str, Reason],
    ends: Mapping[str, Interruption],
    outdated: Collection[str],
) -> Groups:
    """What becomes of workers of several hosts.

    ``pods``: all workers, those that are being deleted too. ``unfit``: uid -> why a pod goes whatever the spec says.
    ``ends``: the announced ends. ``outdated``: uids of pods that are replaced for a change of the spec.
    """
    grouped = [p for p in pods if p.group]
    if not grouped:
        return Groups()
    found: dict[str, Interruption] = {}
    missing: dict[str, tuple[PodView, tuple[int, ...]]] = {}
    complete: list[PodView] = []
    for members in by_worker(grouped):
        live = [p for p in members if p.live and p.uid not in unfit]
        end = _end(seen, members, unfit, ends)
        absent = _absent(members)
        if end:
            found.update({p.uid: end for p in live if p.uid not in ends and not p.drain_by})
        elif absent and live and not any(p.uid in outdated for p in live):
            missing[members[0].group] = (_first(live), absent)
        elif not absent:
            complete += [p for p in live if p.host == 0 and not p.complete]
    surplus = _cannot_be_completed(seen, missing)
    found.update({p.uid: end for p in grouped for end in [surplus.get(p.group)] if end and p.live})
    kept = {name: made for name, made in missing.items() if name not in surplus}
    return Groups(found, kept, tuple(complete))


def _end(
    seen: Observed, members: Sequence[PodView], unfit: Mapping[str, Reason], ends: Mapping[str, Interruption]
) -> Interruption | None:
    """Why a worker goes as a whole, and until when; None when it stays."""
    for pod in members:
        if pod.drain_by and not pod.deleting:
            return Interruption(reason_of_drain(pod), pod.drain_by)
    for pod in members:
        if pod.uid in ends:
            return Interruption(_because(pod, ends[pod.uid].reason.text), ends[pod.uid].until)
    for pod in members:
        why = unfit.get(pod.uid)
        if why or pod.ended or pod.deleting:
            text = why.text if why else "it ended" if pod.ended else "its pod is being deleted"
            return Interruption(_because(pod, text), _soon(seen, pod, pod.ended_at if pod.ended else 0.0))
    absent = _absent(members)
    if trouble := _trouble(seen, members, absent):
        return Interruption(
            Reason(Label.INTERRUPTED, f"host {min(absent)} of its worker {trouble}"), _soon(seen, members[0])
        )
    return None


def _trouble(seen: Observed, members: Sequence[PodView], absent: Sequence[int]) -> str:
    """Why a worker cannot be made whole of which no pod is on its way out; empty when it is or can be."""
    first = next((p for p in members if p.host == 0), None)
    if not absent:
        return ""
    # Whoever may edit a pod may have given it to another worker, whose other pods have other names.
    if first is None or first.complete or worker_name(slot_of(first)) != first.group:
        return "is lost"
    names = {Host(slot_of(first), index).pod_name for index in absent} if seen.taken else set()
    return "" if names.isdisjoint(seen.taken) else "cannot be made, since its name is taken"


def _because(pod: PodView, text: str) -> Reason:
    return Reason(Label.INTERRUPTED, f"host {pod.host} of its worker goes: {text}")


def _soon(seen: Observed, pod: PodView, since: float = 0.0) -> float:
    """By when the others have to be done: the time that a pod has which is being deleted."""
    until = since + pod.grace
    return float(int(until if until > seen.now else seen.now + pod.grace))


def _absent(members: Sequence[PodView]) -> tuple[int, ...]:
    there = {p.host for p in members}
    return tuple([index for index in range(members[0].hosts) if index not in there])


def _first(pods: Sequence[PodView]) -> PodView:
    return min(pods, key=lambda p: p.host)


def _cannot_be_completed(
    seen: Observed, missing: Mapping[str, tuple[PodView, tuple[int, ...]]]
) -> dict[str, Interruption]:
    """Workers that give way: of several that wait for hosts which are refused, the eldest alone is kept, so that it
    gets what the others hold.
    """
    found: dict[str, Interruption] = {}
    kept: set[str] = set()
    for name, (pod, _) in sorted(missing.items(), key=lambda item: (item[1][0].started_at, item[0])):
        if pod.node_type in kept and refuses(seen, pod.node_type):
            reason = Reason(Label.STUCK, f"its worker cannot be completed now: {seen.blocks[pod.node_type].reason}")
            found[name] = Interruption(reason, _soon(seen, pod))
        kept.add(pod.node_type)
    return found


def hosts_of(pod_type: PodType, slot: str) -> list[Host]:
    """The pods that a worker of several is."""
    return [Host(slot, index) for index in range(pod_type.hosts)]


def refuses(seen: Observed, node_type: str) -> bool:
    """Whether the API server refuses pods of a type for the time being."""
    block = seen.blocks.get(node_type)
    return block is not None and block.refuses
