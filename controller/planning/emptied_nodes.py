"""Nodes that are being emptied: by when the pods on them have to be done. Pure.

A pod that tolerates a taint is not meant by it, and one that was made after its node was marked as being deleted was
put there knowingly. So what replaces a worker never counts as being about to end itself, wherever it is scheduled.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from controller.objects.nodes import KNOWN, NO_EXECUTE, NodeView, Taint
from controller.objects.views import PodView

# Whoever may edit a pod may have it tolerate a taint for longer than a time has digits.
LONGEST_SECONDS = 1e7


class Notice(NamedTuple):
    """That a pod's node is being emptied: why, and when the pod is ended at the latest (seconds since the epoch)."""

    why: str
    until: float


def notice_of(pod: PodView, node: NodeView | None, now: float) -> Notice | None:
    """What a pod's node announces; the soonest end of several. None when it announces nothing, or is not known."""
    if node is None:
        return None
    return min(_notices(pod, node, now), key=lambda notice: notice.until, default=None)


def _notices(pod: PodView, node: NodeView, now: float) -> Iterator[Notice]:
    if 0 < pod.started_at <= node.deleted_at:
        yield _notice(pod, now, "it is being deleted", node.deleted_at, pod.grace)
    for taint in node.taints:
        tolerated = taint.tolerated_for(pod.tolerations)
        if tolerated is not None:
            yield _notice(pod, now, taint.why, taint.since, _seconds_left(pod, taint, tolerated))


def _seconds_left(pod: PodView, taint: Taint, tolerated: float) -> float:
    """From the taint to the kill: Kubernetes evicts with the pod's grace period once the taint is not tolerated."""
    known = KNOWN[taint.key].seconds if taint.key in KNOWN else None
    if taint.effect != NO_EXECUTE:
        return pod.grace if known is None else known
    evicted = tolerated + pod.grace
    return evicted if known is None else min(known, evicted)


def _notice(pod: PodView, now: float, why: str, since: float, left: float) -> Notice:
    # By whichever clock it was tainted.
    until = (min(since, now) if since else now) + min(left, LONGEST_SECONDS)
    return Notice(why, float(int(until if until > now else now + pod.grace)))
