"""What to do about the pods of a suspended cluster: workers finish what runs there, and the head goes last. Pure.

A suspended cluster has no pods. Its Service stays, and so does all that other objects hold, such as volume claims.
"""

from __future__ import annotations

from dataclasses import dataclass

from autoscaler.model import NodeStatus, RayNode
from controller.objects.labels import HEAD, WORKER
from controller.objects.views import PodView

from .actions import Action, DeletePod, DrainPod, RetirePod
from .departure import ASK_AGAIN_SECONDS, JOIN_SECONDS, SILENT_SECONDS, Choice
from .idleness import Idleness
from .observed import Observed, RayView
from .reasons import NODE_LOST, Label, Reason, reason_of_drain, reason_of_end
from .recovery import belongs, rejoins_until
from .scale_down import bounded
from .workers import HEAD_LOST

SUSPENDED = Reason(Label.SUSPENDED, "the cluster is suspended")


@dataclass(frozen=True)
class Suspension:
    """Why a cluster has no pods. ``reason``: a word for conditions; ``message``: a sentence with the remedy. ``about``:
    what makes it another one than an earlier one. ``holds``: its pods stay until the head has been asked once more.
    """

    reason: str
    message: str
    about: str = ""
    holds: bool = False


@dataclass(frozen=True)
class Ending:
    """What is done about the pods of a suspended cluster. ``head``: the one that is kept until its workers are gone."""

    head: PodView | None
    workers: tuple[PodView, ...]
    actions: tuple[Action, ...]
    due: float | None = None


def suspension(seen: Observed, idle: Idleness | None) -> Suspension | None:
    """Why the cluster is to have no pods; None when it is to run."""
    if seen.spec.suspend:
        return Suspension("Requested", "spec.suspend is true; set it to false to resume the cluster")
    if idle and idle.suspends:
        return Suspension("Idle", idle.record.message, f" {idle.record.decided_at}", idle.holds)
    return None


def remaining(seen: Observed) -> list[PodView]:
    """The pods that may still use something: those that live, and those that have time left to end in."""
    return [p for p in seen.pods if p.live or p.is_terminating(seen.now)]


def plan_ending(seen: Observed, why: Suspension) -> Ending:
    """The workers' actions while there are workers, then the heads'."""
    heads = sorted((p for p in seen.pods if p.kind == HEAD), key=lambda p: (p.started_at, p.name))
    head = next((p for p in heads if p.live), None)
    workers = [p for p in seen.pods if p.kind == WORKER and not p.deleting]
    if why.holds:
        return Ending(head, tuple(p for p in workers if p.live), ())
    leaving = _Leaving.of(seen, head)
    choices = [leaving.choice(p) for p in workers]
    actions: list[Action] = list(bounded(c.action for c in choices if c.action))
    terminating = [p.delete_by for p in remaining(seen) if p.deleting]
    due = min([seen.now + c.look_again_in for c in choices if c.look_again_in is not None] + terminating, default=None)
    is_last = not workers and not any(p.kind == WORKER for p in remaining(seen))
    gone = [p for p in heads if not p.deleting and (is_last or p is not head)]
    actions += [DeletePod(p, SUSPENDED if p.live else _reason_of_loss(p)) for p in gone]
    return Ending(None if is_last else head, tuple(p for p in workers if p.live), tuple(actions), due)


def _reason_of_loss(pod: PodView) -> Reason:
    return reason_of_end(pod) if pod.ended else NODE_LOST


@dataclass(frozen=True)
class _Leaving:
    """How workers leave. ``ray``: the answer of the head that is there; ``deaf``: it does not answer."""

    seen: Observed
    head: PodView | None
    ray: RayView | None
    deaf: bool

    @classmethod
    def of(cls, seen: Observed, head: PodView | None) -> _Leaving:
        ray = seen.ray if head and seen.ray and seen.ray.head_uid == head.uid else None
        # A head that is not ready and has said nothing for a minute has nothing that could be finished.
        never = head is None or not head.ip or (ray is None and not head.ready and seen.silence > 0)
        return cls(seen, head, ray, never or seen.silence > SILENT_SECONDS)

    def choice(self, pod: PodView) -> Choice:
        """What comes of one worker now."""
        if not pod.live:
            return Choice(DeletePod(pod, _reason_of_loss(pod)))
        reason = reason_of_drain(pod) if pod.drain_by else SUSPENDED
        if pod.drain_by and self.seen.now >= pod.drain_by:
            return Choice(DeletePod(pod, reason.extended("; its time to finish is over")))
        if self.head is None or not belongs(self.seen, pod, self.head):
            return Choice(DeletePod(pod, HEAD_LOST if pod.head_uid else reason))
        if self.ray is None or not self.ray.fresh:
            silent = Choice(DeletePod(pod, reason.extended(", and the head does not answer")))
            return silent if self.deaf else Choice(look_again_in=ASK_AGAIN_SECONDS)
        return self._known(pod, next((n for n in self.ray.state.living if n.instance_id == pod.name), None), reason)

    def _known(self, pod: PodView, node: RayNode | None, reason: Reason) -> Choice:
        """Of a worker whose head has just said whether it has a node there."""
        now = self.seen.now
        if node is None:
            # One that has just become ready may have joined since the head was asked, and be at work already.
            joins_until = max(pod.running_since + JOIN_SECONDS, rejoins_until(self.seen, self.head))
            if pod.ready and not pod.drain_by and now < joins_until:
                return Choice(look_again_in=min(ASK_AGAIN_SECONDS, joins_until - now))
            return Choice(DeletePod(pod, reason))
        if node.status is NodeStatus.IDLE:
            return Choice(RetirePod(pod, node.node_id, reason))
        if node.status is NodeStatus.DRAINING and pod.drain_by:
            return Choice(look_again_in=pod.drain_by - now)
        deadline = pod.drain_by or float(int(now + self.seen.settings.drain_seconds))
        return Choice(DrainPod(pod, node.node_id, reason, deadline))
