"""How one worker goes: with Ray's consent when idle, with time to finish when busy, deleted where unknown. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from autoscaler.model import NodeStatus, RayNode
from controller.objects.views import PodView
from controller.raycluster.model import ClusterSpec

from .actions import DeletePod, DrainPod, RetirePod
from .interruptions import Interruption
from .observed import RayView
from .reasons import Reason
from .scale_up import Fleet, Scaling

# A head that has not answered for so long is not asked before workers of a changed type are replaced.
SILENT_SECONDS = 30.0
# A pod that has not joined Ray is given so long at least, whatever the idle timeout.
JOIN_SECONDS = 60.0
# While nothing can be decided for want of a fresh answer.
ASK_AGAIN_SECONDS = 1.0

Departure = DeletePod | DrainPod | RetirePod


@dataclass(frozen=True)
class Choice:
    """What comes of one worker: it goes now, or it is looked at again in some seconds, or neither."""

    action: Departure | None = None
    look_again_in: float | None = None


@dataclass(frozen=True)
class ScaleDownInputs:
    """What departures depend on.

    ``outdated``: uid -> why. ``silence``: for how many seconds the head has been failing to answer. ``drain_seconds``:
    how long a busy worker may take to finish. ``rejoins_until``: until when workers that the head does not know may be
    on their way back to it. ``ends``: uid -> the end that Kubernetes has announced, or that follows from the end of
    another host of the worker; ``following``: uids of the latter.
    """

    spec: ClusterSpec
    fleet: Fleet
    scaling: Scaling
    outdated: Mapping[str, Reason]
    ray: RayView | None
    silence: float
    now: float
    drain_seconds: float
    rejoins_until: float = 0.0
    ends: Mapping[str, Interruption] = field(default_factory=dict)
    following: Collection[str] = ()

    @property
    def fresh(self) -> bool:
        """The head's answer is young enough to remove workers on."""
        return self.ray is not None and self.ray.fresh

    @property
    def answered_at(self) -> float:
        """When the head was asked for the answer, in seconds since the epoch; 0 unless that is fresh."""
        return self.now - self.ray.age if self.ray is not None and self.ray.fresh else 0.0

    @property
    def silent(self) -> bool:
        """The head has not answered for so long that it is not waited for."""
        return self.now >= self.rejoins_until and not self.fresh and self.silence > SILENT_SECONDS

    def node(self, pod: PodView) -> RayNode | None:
        """The living Ray node in a pod, as far as the head says."""
        return self.scaling.known.get(pod.name)


def let_go(at: ScaleDownInputs, pod: PodView, reason: Reason) -> Choice:
    """In the way that its state asks for; nothing while that is not known.

    A container that has just started may have joined Ray since the head was asked, and be at work already.
    """
    node = at.node(pod)
    joins_until = max(pod.running_since + JOIN_SECONDS, at.rejoins_until)
    if pod.head_uid and at.fresh and node is None and at.now < joins_until:
        return Choice(look_again_in=joins_until - at.now)
    return Choice(_way_out(at, pod, node, reason))


def let_go_together(at: ScaleDownInputs, worker: Sequence[PodView], reason: Reason) -> Iterator[Choice]:
    """All hosts of a worker, in the way that the busiest of them asks for; none while one of them has to wait."""
    choices = [let_go(at, pod, reason) for pod in worker]
    if any(c.action is None for c in choices):
        yield from (replace(c, action=None) for c in choices)
        return
    drains = [c.action for c in choices if isinstance(c.action, DrainPod)]
    for choice in choices:
        action = choice.action
        if drains and isinstance(action, RetirePod):
            yield Choice(DrainPod(action.pod, action.node_id, reason, drains[0].deadline))
        else:
            yield choice


def _way_out(at: ScaleDownInputs, pod: PodView, node: RayNode | None, reason: Reason) -> Departure | None:
    if not pod.head_uid:
        return DeletePod(pod, reason)
    if not at.fresh:
        return None
    if node is None:
        return DeletePod(pod, reason.extended(", and it has not joined Ray"))
    if node.status is NodeStatus.IDLE:
        return RetirePod(pod, node.node_id, reason)
    if node.status is NodeStatus.RUNNING:
        return DrainPod(pod, node.node_id, reason, float(int(at.now + at.drain_seconds)))
    return None
