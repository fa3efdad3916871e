"""Nodes cut down to what says that they are being emptied, and what pods tolerate.

Kubernetes has no one sign for it. A node that is being deleted has a ``deletionTimestamp``; a taint with the effect
NoExecute evicts the pods that do not tolerate it; and those who empty nodes announce it by taints of their own, most of
them with the effect NoSchedule, because they evict the pods themselves:

==================================================  ====================================================================
ToBeDeletedByClusterAutoscaler                      Cluster Autoscaler removes the node; the value is the time in
                                                    seconds. (``DeletionCandidateOf...`` is a candidate: no sign.)
karpenter.sh/disrupted, karpenter.sh/disruption     Karpenter 1.x, and before it: replacements are being made, then the
                                                    pods are evicted. It leaves pods alone that tolerate the taint.
cloud.google.com/impending-node-termination         GKE, of nodes that Compute Engine is about to stop
aws-node-termination-handler/spot-itn               AWS takes a spot instance back, two minutes after its notice
aws-node-termination-handler/asg-lifecycle-...      the Auto Scaling group terminates the instance
aws-node-termination-handler/scheduled-maintenance  maintenance of the instance is due
remediator.kubernetes.azure.com/unschedulable       AKS drains the node: a spot eviction, a redeployment, a repair
==================================================  ====================================================================

Sources: the clouds' documentation of these taints; ``pkg/node/node.go`` of AWS's handler; ``taints`` of Cluster
Autoscaler; ``pkg/apis/v1/taints.go`` of Karpenter; Kubernetes' page "Taints and Tolerations".

No sign are taints that nodes have for good (``kubernetes.azure.com/scalesetpriority``), risks
(``aws-node-termination-handler/rebalance-recommendation``), a cordon, and a kubelet that is silent: that may come back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from controller.raycluster.model import Json, Key

from .pod_status import seconds

NO_EXECUTE, NO_SCHEDULE = "NoExecute", "NoSchedule"
_AWS = "aws-node-termination-handler"
_CLUSTER_AUTOSCALER = "ToBeDeletedByClusterAutoscaler"
_SILENT_KUBELET = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
# Whoever may edit a node or a pod may write anything.
_LONGEST_KEY = 100
_MOST_TOLERATIONS = 64


class Announces(NamedTuple):
    """What a taint announces. ``seconds``: from the taint to the end of the machine; None where it is not known."""

    why: str
    seconds: float | None = None


KNOWN: Mapping[str, Announces] = {
    _CLUSTER_AUTOSCALER: Announces("the cluster autoscaler removes it"),
    "karpenter.sh/disrupted": Announces("Karpenter replaces it"),
    "karpenter.sh/disruption": Announces("Karpenter replaces it"),
    "cloud.google.com/impending-node-termination": Announces("Google Cloud is about to stop it"),
    f"{_AWS}/spot-itn": Announces("AWS takes the spot instance back", 120.0),
    f"{_AWS}/asg-lifecycle-termination": Announces("its Auto Scaling group terminates it"),
    f"{_AWS}/scheduled-maintenance": Announces("its maintenance is due"),
    "remediator.kubernetes.azure.com/unschedulable": Announces("Azure drains it"),
}


class Toleration(NamedTuple):
    """One of a pod. ``seconds``: for how long a taint with the effect NoExecute is tolerated; None for ever."""

    key: str
    operator: str
    value: str
    effect: str
    seconds: float | None


class Taint(NamedTuple):
    """One of a node. ``since``: in seconds since the epoch, 0 when it does not say."""

    key: str
    value: str
    effect: str
    since: float

    @property
    def why(self) -> str:
        """What it says about the node."""
        return KNOWN[self.key].why if self.key in KNOWN else f"its taint {self.key[:_LONGEST_KEY]} evicts pods"

    def tolerated_for(self, tolerations: Sequence[Toleration]) -> float | None:
        """For how many seconds it is tolerated; None for ever. The first toleration that matches it counts."""
        found = next((t for t in tolerations if self._matches(t)), None)
        if found is None:
            return 0.0
        return found.seconds if self.effect == NO_EXECUTE else None

    def _matches(self, toleration: Toleration) -> bool:
        key, operator, value, effect, _ = toleration
        # An operator that is not known here may match: then nothing is done before the pod's own end is announced.
        return (
            effect in ("", self.effect)
            and (key == self.key or (not key and operator == "Exists"))
            and (operator != "Equal" or value == self.value)
        )


@dataclass(frozen=True, slots=True)
class NodeView:
    """One node. ``deleted_at``: when its deletion was asked for, 0 when it was not. ``taints``: those that announce."""

    key: Key
    uid: str
    resource_version: int
    deleted_at: float = 0.0
    taints: tuple[Taint, ...] = ()

    @property
    def deleting(self) -> bool:
        """Its deletion was asked for."""
        return self.deleted_at > 0

    @property
    def signs(self) -> tuple[float, tuple[Taint, ...]]:
        """All that says that it is being emptied."""
        return self.deleted_at, self.taints

    @classmethod
    def from_object(cls, obj: Json) -> NodeView:
        """Read a node as the API server answers it."""
        metadata = obj["metadata"]
        return cls(
            Key("", metadata["name"]),
            metadata["uid"],
            int(metadata["resourceVersion"]),
            seconds(metadata.get("deletionTimestamp")),
            tuple(_announcing((obj.get("spec") or {}).get("taints") or ())),
        )


def _announcing(taints: Sequence[Json]) -> Iterator[Taint]:
    for taint in taints:
        key, effect = taint["key"], taint.get("effect", "")
        known = key in KNOWN and effect in (NO_SCHEDULE, NO_EXECUTE)
        if known or (effect == NO_EXECUTE and key not in _SILENT_KUBELET):
            value = taint.get("value") or ""
            yield Taint(key, value, effect, _since(key, value) or seconds(taint.get("timeAdded")))


def _since(key: str, value: str) -> float:
    dated = key == _CLUSTER_AUTOSCALER and value.isdecimal() and len(value) <= 10
    return float(value) if dated else 0.0


def tolerations_of(raw: Sequence[Json]) -> tuple[Toleration, ...]:
    """What a pod tolerates. Pods that tolerate the same share the value."""
    return _shared(tuple([_toleration(one) for one in raw[:_MOST_TOLERATIONS]]))


@lru_cache(maxsize=512)
def _shared(tolerations: tuple[Toleration, ...]) -> tuple[Toleration, ...]:
    return tolerations


def _toleration(raw: Json) -> Toleration:
    limit = raw.get("tolerationSeconds")
    until = None if limit is None else max(0.0, float(limit))
    return Toleration(
        raw.get("key") or "", raw.get("operator") or "Equal", raw.get("value") or "", raw.get("effect") or "", until
    )
