"""What a plan is made from: one cluster as it is wanted, as Kubernetes shows it, as its head reports it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from autoscaler.model import RayState, RayUsage
from controller.objects.claim import ClaimView
from controller.objects.gang import GangObject
from controller.objects.nodes import NodeView
from controller.objects.pod_status import SCHEDULING_GATED, UNSCHEDULABLE
from controller.objects.views import PodView, ServiceView
from controller.raycluster.model import ClusterSpec, RayCluster

from .blocked_types import Block, Graces

# Older answers of a head are no ground to remove anything.
FRESH_SECONDS = 5.0

# Older ones count for nothing at all.
EXPIRED_SECONDS = 60.0


@dataclass(frozen=True)
class Settings:
    """What an administrator may choose.

    ``drain_seconds``: how long a busy worker that has to go may take to finish. ``unschedulable_grace_seconds``: how
    long a pod may wait for room before its type is set aside; ``gated_grace_seconds``: and for its scheduling gates.
    ``gang_objects``: the resources, each ``<plural>.<group>``, of which ``spec.gang.objects`` may have objects made.
    """

    drain_seconds: float = 600.0
    unschedulable_grace_seconds: float = 30.0
    gated_grace_seconds: float = 5.0
    gang_objects: tuple[str, ...] = ()

    @property
    def graces(self) -> Graces:
        """How long a pod may be stuck for what reason."""
        return {UNSCHEDULABLE: self.unschedulable_grace_seconds, SCHEDULING_GATED: self.gated_grace_seconds}


@dataclass(frozen=True)
class Observed:
    """What is there: the cluster's own pods, and the Services under the names of the cluster's, whoever owns them.

    ``earlier_heads``: names of heads of earlier clusters of this name, which the head Service finds as well.
    ``taken``: pod names that turned out to belong to other owners. ``ray``: the newest answer of the head.
    ``silence``: for how many seconds the head has been failing to answer. ``blocks``: types that cannot be launched.
    ``claim``: the one of the head's store that the operator makes; None also while claims are not listed.
    ``doubt_until``: then a node that seems to be of an earlier pod is looked at again.
    ``hosts_service``: the one of workers of several hosts.
    ``usage``: the head's newest answer about who uses the cluster; None before the first.
    ``missing``: uid -> since when a worker's pod is ready and Ray has no node in it.
    ``nodes``: by name, those with pods on them that are being emptied. ``gang_objects``: those that are known to exist.
    """

    cluster: RayCluster
    spec: ClusterSpec
    pods: Sequence[PodView]
    service: ServiceView | None
    now: float
    taken: Collection[str] = ()
    ray: RayView | None = None
    silence: float = 0.0
    blocks: Mapping[str, Block] = field(default_factory=dict)
    settings: Settings = Settings()
    earlier_heads: Sequence[str] = ()
    claim: ClaimView | None = None
    claims_listed: bool = True
    doubt_until: float | None = None
    missing: Mapping[str, float] = field(default_factory=dict)
    hosts_service: ServiceView | None = None
    usage: UsageView | None = None
    nodes: Mapping[str, NodeView] = field(default_factory=dict)
    gang_objects: Sequence[GangObject] = ()


@dataclass(frozen=True)
class RayView:
    """The newest answer of a head, which pod that head is, and how many seconds ago it was asked."""

    state: RayState
    head_uid: str
    age: float

    @property
    def expires_in(self) -> float:
        """Seconds until it counts for nothing."""
        return max(0.0, EXPIRED_SECONDS - self.age) + 0.1

    @property
    def expired(self) -> bool:
        """Too old to count for anything."""
        return self.age > EXPIRED_SECONDS

    @property
    def fresh(self) -> bool:
        """Young enough to remove workers on."""
        return self.age <= FRESH_SECONDS

    @cached_property
    def alive(self) -> frozenset[str]:
        """The pods in which a Ray node lives, by name."""
        return frozenset(n.instance_id for n in self.state.living)


@dataclass(frozen=True)
class UsageView:
    """What came of the last question who uses a cluster: an answer, or why there is none. ``age``: since then."""

    usage: RayUsage | None
    error: str
    head_uid: str
    age: float
