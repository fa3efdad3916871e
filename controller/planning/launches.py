"""The pods of one RayCluster's workers that are to be created: of new workers, and of those that are there in part."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, islice, repeat

from autoscaler.scheduling.scheduler import EXPECTED, GANG
from controller.objects.hosts import Host
from controller.objects.views import PodView

from .actions import CreatePod, HeadAddress, most_per_kind
from .gangs import gang_of_rest, gang_of_worker, gangs_of
from .hosts import hosts_of, refuses, slot_of
from .observed import Observed
from .reasons import reason_to_create
from .scale_up import Fleet, Scaling
from .slots import Slots

# The scheduler's reasons, as messages show them.
_WHY = {
    "min workers": "minWorkers",
    "demand": "waiting work",
    "gang": "a placement group",
    "requested": "request_resources",
    EXPECTED: "work of workers that are about to end",
}
# Why a host is made of a worker whose others are there.
_REST = "the rest of a worker"


@dataclass(frozen=True)
class Launches:
    """What one pass creates. ``workers``: how many workers are begun by it."""

    actions: tuple[CreatePod, ...]
    workers: int


def plan_launches(
    seen: Observed,
    names: Mapping[str, Iterator[str]],
    fleet: Fleet,
    slots: Mapping[str, Slots],
    scaling: Scaling,
    *,
    head: PodView | HeadAddress | None,
) -> Launches:
    """``names``: for each pod type, the names of its free slots. ``head``: where workers find it."""
    known = head if head and head.ip else None
    # What has been begun comes first: room that is scarce goes to one worker, not to parts of many.
    rest = list(_completions(seen, fleet, known))
    begun = {pod.node_type for pod, _ in fleet.missing.values()}
    new = _new(seen, names, fleet, slots, scaling, known=known, begun=begun)
    actions = tuple(islice(chain(rest, new), most_per_kind(len(seen.pods))))
    return Launches(actions, sum([a.host is None or a.host.index == 0 for a in actions]))


def _new(
    seen: Observed,
    names: Mapping[str, Iterator[str]],
    fleet: Fleet,
    slots: Mapping[str, Slots],
    scaling: Scaling,
    *,
    known: PodView | HeadAddress | None,
    begun: set[str],
) -> Iterator[CreatePod]:
    gangs = gangs_of(seen, fleet, scaling.decision)
    for pod_type in [t for t in seen.spec.worker_types if t.name not in begun]:
        reasons = scaling.decision.reasons.get(pod_type.name, {})
        whys = chain.from_iterable(repeat(reason, count) for reason, count in reasons.items())
        for why, attempt in zip(whys, chain(slots[pod_type.name].attempts, repeat(0)), strict=False):
            slot, reason = next(names[pod_type.name]), reason_to_create(_WHY[why], attempt)
            gang = next(gangs[pod_type.name], None) if why == GANG and gangs else None
            if pod_type.hosts == 1:
                yield CreatePod(pod_type, slot, reason, attempt, known, None, gang)
                continue
            for host in hosts_of(pod_type, slot):
                own = gang or gang_of_worker(seen, pod_type, slot)
                yield CreatePod(pod_type, host.pod_name, reason, attempt, known, host, own)


def _completions(seen: Observed, fleet: Fleet, known: PodView | HeadAddress | None) -> Iterator[CreatePod]:
    """The hosts that are missing of workers of which others are there."""
    types = {t.name: t for t in seen.spec.worker_types}
    for pod, indices in fleet.missing.values():
        if refuses(seen, pod.node_type):
            continue
        reason = reason_to_create(_REST, pod.attempt)
        for host in [Host(slot_of(pod), index) for index in indices]:
            gang = gang_of_rest(seen, pod)
            yield CreatePod(types[pod.node_type], host.pod_name, reason, pod.attempt, known, host, gang)
