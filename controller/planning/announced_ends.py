"""Workers whose end Kubernetes has announced leave Ray in good order. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from autoscaler.model import NodeStatus
from controller.objects.views import PodView

from .actions import DeletePod, DrainPod
from .departure import ASK_AGAIN_SECONDS, Choice, ScaleDownInputs, let_go
from .reasons import reason_of_drain

# Answers that were asked for so long after a deletion show what it led to; times of deletions are whole seconds.
SETTLED_SECONDS = 2.0
# With less time than this, that is not waited for.
SHORT_GRACE_SECONDS = 5.0


def announced_ends(at: ScaleDownInputs) -> Iterator[Choice]:
    """What comes of each of them."""
    yield from _interrupted(at)
    yield from _deleted(at)


def _interrupted(at: ScaleDownInputs) -> Iterator[Choice]:
    """Those whose end is announced, and that are not being deleted yet: drained, or deleted where Ray has no node.

    So are those that follow another host of their worker.
    """
    for pod in at.fleet.interrupted:
        node, end = at.node(pod), at.ends[pod.uid]
        if at.silent and pod.uid in at.following:
            # Nothing but the operator ends these.
            yield Choice(DeletePod(pod, end.reason.extended(", and the head does not answer")))
        elif node is None:
            yield let_go(at, pod, end.reason)
        elif at.fresh:
            yield Choice(DrainPod(pod, node.node_id, end.reason, end.until))


def _deleted(at: ScaleDownInputs) -> Iterator[Choice]:
    """Those that are being deleted, by any client, and that Ray still counts on: Ray gets their deadline."""
    for pod in at.fleet.deleting:
        node, end = at.node(pod), at.ends[pod.uid]
        if node is None or 0 < pod.drain_by <= at.now:
            continue
        draining = node.status is NodeStatus.DRAINING
        if pod.drain_by:
            # Whoever deleted it may give it less time than it was told of.
            reason, told = reason_of_drain(pod), draining and pod.drain_by <= end.until
        else:
            reason, told = end.reason, not _is_time_to_tell(at, pod, draining)
        if at.fresh and not told:
            yield Choice(DrainPod(pod, node.node_id, reason, min(pod.drain_by or end.until, end.until)))
        if not (draining and pod.drain_by):
            yield Choice(look_again_in=ASK_AGAIN_SECONDS)


def _is_time_to_tell(at: ScaleDownInputs, pod: PodView, draining: bool) -> bool:
    """Ray's own drain at the end of a pod does not know the grace period of the deletion: it is corrected afterwards.

    That an idle node was drained and its pod deleted by this operator shows in answers that are young enough.
    """
    node = at.node(pod)
    busy = node is not None and node.status is NodeStatus.RUNNING
    short = busy and pod.delete_by - pod.deleted_at < SHORT_GRACE_SECONDS
    return draining or short or at.answered_at > pod.deleted_at + SETTLED_SECONDS
