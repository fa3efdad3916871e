"""What can be done about a RayCluster: the vocabulary of a plan, and its messages for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from controller.objects.claim import ClaimView
from controller.objects.gang import GangObject, PodGang
from controller.objects.hosts import Host
from controller.objects.views import PodView, ServiceView
from controller.raycluster.gang import ObjectTemplate
from controller.raycluster.model import PodType
from controller.wording import counted

from .reasons import Reason

# A pass carries out so many actions of a kind at most, and then lets other clusters have their turn.
MAX_PER_KIND = 100
# Of a large cluster, a part of its pods: each pass looks at all of them, and passes of one size would cost the more for
# each pod the larger the cluster is.
PODS_PER_ACTION = 16


def most_per_kind(pods: int) -> int:
    """How many actions of a kind a pass carries out at most for a cluster of so many pods."""
    return max(MAX_PER_KIND, pods // PODS_PER_ACTION)


@dataclass(frozen=True)
class HeadAddress:
    """Where workers find their head, and how it differs from another one: a pod's uid, or of what outlives the pod."""

    ip: str
    uid: str


@dataclass(frozen=True)
class CreateService:
    """Make the head Service. ``ip``: its address, where workers know it by one; empty for any. ``for_hosts``: make the
    Service of workers of several hosts instead.
    """

    ip: str = ""
    for_hosts: bool = False


@dataclass(frozen=True)
class CreateClaim:
    """Make the claim for what the head knows, or take over the one that has its name."""


@dataclass(frozen=True)
class PatchClaim:
    """Put the claim right."""

    claim: ClaimView


@dataclass(frozen=True)
class PatchService:
    """Put an edited or outdated Service right."""

    service: ServiceView
    for_hosts: bool = False


@dataclass(frozen=True)
class CreatePod:
    """Make a pod. ``attempt`` counts the pods of its slot that ended soon after they had started. ``host``: which one
    it is of a worker of several. ``gang``: the pods that it belongs with.
    """

    pod_type: PodType
    name: str
    why: Reason
    attempt: int = 0
    head: PodView | HeadAddress | None = None
    host: Host | None = None
    gang: PodGang | None = None


@dataclass(frozen=True)
class CreateGangObject:
    """Have an object that goes with a gang, before the gang's pods."""

    template: ObjectTemplate
    gang: PodGang


@dataclass(frozen=True)
class DeleteGangObject:
    """Delete this incarnation of an object whose gang has no pods left."""

    object: GangObject


@dataclass(frozen=True)
class DeletePod:
    """Delete this incarnation of a pod, for a reason."""

    pod: PodView
    reason: Reason


@dataclass(frozen=True)
class TellHead:
    """Let a worker know where its head is."""

    pod: PodView
    head: PodView | HeadAddress


@dataclass(frozen=True)
class NoteComplete:
    """Note on the first host of a worker that all of its hosts have been there."""

    pod: PodView


@dataclass(frozen=True)
class RetirePod:
    """Drain a worker that is not needed, and delete its pod if Ray agrees that it is idle."""

    pod: PodView
    node_id: bytes
    reason: Reason


@dataclass(frozen=True)
class DrainPod:
    """Let a worker that may be busy finish: Ray starts nothing new there.

    ``deadline``: Unix seconds, then it is deleted. It is written on the pod first, so that it survives this process.
    """

    pod: PodView
    node_id: bytes
    reason: Reason
    deadline: float


@dataclass(frozen=True)
class DeleteCluster:
    """Delete the RayCluster in the very version that was seen: an edit meanwhile keeps it."""

    uid: str
    resource_version: int


@dataclass(frozen=True)
class ProtectPod:
    """Tell autoscalers of nodes to leave a pod alone, or that they need not any more."""

    pod: PodView
    protect: bool


Action = (
    CreateService
    | PatchService
    | CreateClaim
    | PatchClaim
    | CreatePod
    | CreateGangObject
    | DeleteGangObject
    | DeletePod
    | TellHead
    | NoteComplete
    | RetirePod
    | DrainPod
    | DeleteCluster
    | ProtectPod
)


def portion(actions: Iterable[Action], pods: int) -> tuple[tuple[Action, ...], int]:
    """What one pass carries out of the actions, in their order, and how many are left for the next one.

    ``pods``: how many the cluster has.
    """
    most = most_per_kind(pods)
    kept: list[Action] = []
    counts: Counter[type[Action]] = Counter()
    for action in actions:
        counts[type(action)] += 1
        if counts[type(action)] <= most:
            kept.append(action)
    return tuple(kept), counts.total() - len(kept)


def summarize(actions: Sequence[Action]) -> list[tuple[str, str]]:
    """One (reason, message) per kind of thing done, for Events, the log and the status."""
    lines = []
    for (node_type, why), count in _counted(actions, DeletePod).items():
        lines.append(("DeletedPods", f"deleted {_pods(count)} of type {node_type}: {why}"))
    for (node_type, why), count in _counted(actions, RetirePod).items():
        lines.append(("RetiredPods", f"retired {_pods(count)} of type {node_type}: {why}"))
    for (node_type, why), count in _counted(actions, DrainPod).items():
        lines.append(("DrainingPods", f"draining {_pods(count)} of type {node_type}: {why}"))
    created = Counter(
        (_kind_of(a) if a.host else a.pod_type.name, a.why.text) for a in actions if isinstance(a, CreatePod)
    )
    if created:
        parts = ", ".join(f"{count} {name}{f' for {why}' if why else ''}" for (name, why), count in created.items())
        lines.append(("CreatedPods", f"created {_pods(sum(created.values()))}: {parts}"))
    return lines


def _kind_of(action: CreatePod) -> str:
    """The type of a worker of several hosts, with how many pods it takes."""
    return f"{action.pod_type.name} ({action.pod_type.hosts} are a worker)"


def _counted(
    actions: Sequence[Action], kind: type[DeletePod] | type[RetirePod] | type[DrainPod]
) -> Counter[tuple[str, str]]:
    # That a pod which is leaving is drained once more is no news.
    told = (a for a in actions if isinstance(a, kind) and not (isinstance(a, DrainPod) and a.pod.drain_by))
    return Counter((a.pod.node_type, a.reason.text) for a in told)


def _pods(count: int) -> str:
    return counted(count, "pod")
