"""What to do about the Jobs that delete keys from a Redis: each exists while its cluster does, and runs after it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from controller.objects.cleanup import CleanupView
from controller.objects.labels import HEAD
from controller.objects.views import PodView


def outdated(jobs: Iterable[CleanupView], uid: str, token: str) -> list[CleanupView]:
    """Jobs of the living cluster ``uid`` that are not made from what it is now. ``token``: of the one that is wanted;
    empty for none.
    """
    return [job for job in jobs if job.cluster_uid == uid and job.waits and job.token != token]


def is_missing(jobs: Iterable[CleanupView], uid: str, token: str) -> bool:
    """The Job of the living cluster has to be made; one that is on its way out has its name."""
    return bool(token) and not any(job.cluster_uid == uid for job in jobs)


def due(jobs: Iterable[CleanupView], uid: str, pods: Sequence[PodView]) -> list[CleanupView]:
    """Jobs whose clusters seem to be gone, while no head may be writing any more.

    ``uid``: of the living cluster of that name; empty without one. ``pods``: all that have the name.
    """
    # A head that was left behind on purpose has no owner any more.
    theirs = (pod for pod in pods if not pod.owner_uid or pod.owner_uid != uid)
    if any(pod.kind == HEAD and not pod.ended for pod in theirs):
        return []
    return [job for job in jobs if job.waits and job.cluster_uid != uid]
