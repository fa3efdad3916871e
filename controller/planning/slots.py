"""Slots of a type: the names of its pods, and how long a crashed pod holds its own."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from controller.objects.pod import slot_name
from controller.objects.views import PodView
from controller.raycluster.model import ClusterSpec, RayCluster

BASE_SECONDS = 5.0
LIMIT_SECONDS = 300.0

# What went well for this long had a good start: what ended it is not counted with what came before.
QUIET_SECONDS = 600.0


@dataclass(frozen=True)
class Slots:
    """What ended pods mean for their slots: wait until ``due``, or go on with these attempt numbers."""

    waiting: tuple[PodView, ...]
    attempts: tuple[int, ...]
    due: float | None


def slots_of(ended: Sequence[PodView], now: float, held: Collection[str] = ()) -> Slots:
    """Ended pods hold their slots until their backoff is over, so that crashes never multiply pods.

    ``held``: uids of those whose slots wait for something else as well.
    """
    waiting: list[PodView] = []
    attempts: list[int] = []
    dues: list[float] = []
    for pod in ended:
        quiet = pod.ended_at - pod.started_at >= QUIET_SECONDS
        attempt = 1 if quiet else pod.attempt + 1
        due = pod.ended_at + backoff_seconds(attempt)
        if pod.uid in held:
            waiting.append(pod)
        elif due > now:
            waiting.append(pod)
            dues.append(due)
        else:
            attempts.append(attempt)
    return Slots(tuple(waiting), tuple(attempts), min(dues, default=None))


def free_names(cluster: RayCluster, spec: ClusterSpec, used: Iterable[str]) -> dict[str, Iterator[str]]:
    """For each pod type, the names of its free slots, lowest first. ``used``: names that other pods have.

    The hosts of a worker of several have such a name, and their numbers behind it.
    """
    taken = set(used)
    # A worker of several hosts needs all of its names.
    slots = {name.rpartition("-")[0] for name in taken}

    def free(index: int) -> Iterator[str]:
        ordinal = 0
        while True:
            name = slot_name(cluster, spec.pod_types[index], ordinal)
            ordinal += 1
            if name not in (slots if spec.pod_types[index].hosts > 1 else taken):
                # Two slots of one cluster can hash to one name: each name is handed out once.
                taken.add(name)
                slots.add(name)
                yield name

    return {t.name: free(index) for index, t in enumerate(spec.pod_types)}


def backoff_seconds(attempt: int) -> float:
    """How long the next try is held back after so many failures: the first at once, then 5 s doubling to 5 minutes."""
    # Attempts are counted for as long as a pod keeps crashing: the exponent is bounded before the power is.
    return min(BASE_SECONDS * 2.0 ** min(attempt - 2, 30), LIMIT_SECONDS) if attempt > 1 else 0.0
