"""Which of the pods that are created belong together: those of one placement group, or of one worker. Pure.

A gang's name follows from its placement group, and its size is on each of its pods. So a pass that ends midway is
completed by the next one, whichever process that is: what is launched for a group first fills its gangs up.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from autoscaler.scheduling.scheduler import Decision, Together
from controller.objects.gang import PodGang, gang_name
from controller.objects.hosts import worker_name
from controller.objects.views import PodView
from controller.raycluster.model import PodType

from .observed import Observed
from .scale_up import Fleet

Gangs = Mapping[str, Iterator[PodGang | None]]


def gangs_of(seen: Observed, fleet: Fleet, decision: Decision) -> Gangs:
    """Type -> the gangs of its workers that are launched for placement groups, in turn; None for one alone."""
    if seen.spec.gang is None:
        return {}
    hosts = {t.name: t.hosts for t in seen.spec.worker_types}
    known = _Known.of([*fleet.fit, *fleet.stuck])
    made: dict[str, list[PodGang | None]] = {name: [] for name in hosts}
    for together in decision.together:
        for node_type, gang in _assigned(seen, together, hosts, known):
            made[node_type].append(gang)
    return {name: iter(gangs) for name, gangs in made.items()}


def gang_of_worker(seen: Observed, pod_type: PodType, slot: str) -> PodGang | None:
    """The gang that a worker of several hosts is by itself."""
    return PodGang(worker_name(slot), pod_type.hosts) if seen.spec.gang and pod_type.hosts > 1 else None


def gang_of_rest(seen: Observed, pod: PodView) -> PodGang | None:
    """The gang of a pod that completes another one's worker."""
    return PodGang.read(pod.gang) if seen.spec.gang else None


@dataclass
class _Known:
    """The gangs that are there: name -> size, and how many pods of it are there or are being assigned."""

    sizes: dict[str, int] = field(default_factory=dict)
    members: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of(cls, pods: Iterable[PodView]) -> _Known:
        known = cls()
        for gang in filter(None, map(PodGang.read, [p.gang for p in pods if p.gang])):
            known.sizes[gang.name] = gang.size
            known.members[gang.name] += 1
        return known

    def add(self, gang: PodGang, pods: int) -> None:
        """So many pods belong to it besides."""
        self.sizes[gang.name] = gang.size
        self.members[gang.name] += pods

    def lacking(self, name: str) -> int:
        """How many pods a gang that is there still needs."""
        return self.sizes.get(name, 0) - self.members[name]


def _assigned(
    seen: Observed, together: Together, hosts: Mapping[str, int], known: _Known
) -> Iterator[tuple[str, PodGang | None]]:
    """Each of the workers with its gang. First come the gangs that are there in part."""
    left = [name for name, count in sorted(together.launches.items()) for _ in range(count)]
    groups = [group for group in together.gangs if group]
    for gang in [gang for group in groups for gang in _begun(seen, group, known)]:
        while (at := next((i for i, t in enumerate(left) if hosts[t] <= known.lacking(gang.name)), None)) is not None:
            known.add(gang, hosts[left[at]])
            yield left.pop(at), gang
    for share, name in _shares(seen, left, groups, known):
        size = sum(hosts[t] for t in share)
        gang = PodGang(name, size)
        if name and size > 1:
            known.add(gang, size)
        yield from ((t, gang if name and size > 1 else None) for t in share)


def _begun(seen: Observed, group: str, known: _Known) -> Iterator[PodGang]:
    """The gangs of a placement group that are there, whole or in part."""
    for number in range(len(known.sizes)):
        name = gang_name(seen.cluster, group, number)
        if name not in known.sizes:
            return
        yield PodGang(name, known.sizes[name])


def _shares(
    seen: Observed, workers: Sequence[str], groups: Sequence[str], known: _Known
) -> Iterator[tuple[Sequence[str], str]]:
    """Types of workers, and the name of the new gang that they are. Where equal groups share workers, they are one."""
    if not workers:
        return
    begun = {group: sum(1 for _ in _begun(seen, group, known)) for group in groups}
    fresh = [group for group in groups if not begun[group]] or groups[:1]
    if not fresh:
        yield workers, ""
        return
    counts = Counter(workers)
    if any(count % len(fresh) for count in counts.values()):
        fresh = fresh[:1]
    share = [name for name, count in counts.items() for _ in range(count // len(fresh))]
    for group in fresh:
        yield share, gang_name(seen.cluster, group, begun[group])
