"""Pods and Services cut down to what decisions need: a few hundred bytes each, whatever the API server sends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from sys import intern
from typing import Any

from controller.raycluster.hosts import MAX_HOSTS
from controller.raycluster.model import KIND, Json, Key
from controller.raycluster.service_ports import ServicePort

from .announced import GRACE_SECONDS, deleted_at, disruption, grace_of
from .labels import (
    ATTEMPT_ANNOTATION,
    CLUSTER_LABEL,
    COMPLETE_ANNOTATION,
    CONFIG_ANNOTATION,
    DRAIN_BY_ANNOTATION,
    DRAIN_LABEL_ANNOTATION,
    DRAIN_REASON_ANNOTATION,
    GANG_ANNOTATION,
    HEAD_IP_ANNOTATION,
    HEAD_UID_ANNOTATION,
    HOST_LABEL,
    HOSTS_ANNOTATION,
    KIND_LABEL,
    PROTECTED_ANNOTATION,
    RECOVERY_ANNOTATION,
    TYPE_LABEL,
    WORKER_LABEL,
)
from .nodes import Toleration, tolerations_of
from .pod_status import ENDED, ended_at, is_ready, node_lost, phase_of, problem_of, ray_status, seconds, stuck

# What is kept of an annotation: anyone who may edit a pod may write 256 KiB there. The operator's own are shorter.
MAX_TEXT = 1024


@dataclass(frozen=True, slots=True)
class PodView:
    """One Ray pod. Times are seconds since the epoch; ``problem`` repeats what kubelet or scheduler said.

    Only Ray's container counts. Webhooks put others beside it, before it even, and those come and go on their own.

    ``running_since``: when Ray's container started, 0 unless it runs. ``drain_by``: it is leaving, and is deleted then
    at the latest; 0 when it is not. ``drain_label``: its reason, as metrics count it. ``stuck``: why it cannot start,
    since when, empty when nothing keeps it. ``node_lost``: its kubelet has gone silent, and it counts as unready since
    ``unready_since``, which of a ready one is when it became ready. ``delete_by``: when the grace period of its
    deletion is over. ``deleted_at``: when its deletion was asked for, 0 when it was not. ``disrupted``: why Kubernetes
    is about to end it, since ``disrupted_at``. ``grace``: seconds from a deletion to the kill. ``recovery``: what head
    and workers have to agree on, see ClusterSpec.recovery_token. ``whole``: it was read from more than metadata.
    ``protected``: the operator has told autoscalers of nodes to leave it alone. ``node``: where it is, empty before it
    has one. ``gang``: see PodGang.

    Of a worker of several hosts, ``group``: the worker's name, empty for a pod that is one by itself; ``host``: which
    of the ``hosts`` it is; ``complete``: of the first host, that all of them have been there.
    """

    key: Key
    uid: str
    resource_version: int
    owner_uid: str
    cluster: Key
    kind: str
    node_type: str
    phase: str
    ip: str
    ready: bool
    deleting: bool
    head_ip: str
    head_uid: str
    config_hash: str
    attempt: int
    started_at: float
    ended_at: float
    problem: str
    running_since: float = 0.0
    drain_by: float = 0.0
    drain_reason: str = ""
    drain_label: str = ""
    stuck: str = ""
    stuck_since: float = 0.0
    node_lost: bool = False
    delete_by: float = 0.0
    unready_since: float = 0.0
    recovery: str = ""
    deleted_at: float = 0.0
    disrupted: str = ""
    disrupted_at: float = 0.0
    grace: float = GRACE_SECONDS
    group: str = ""
    host: int = 0
    hosts: int = 1
    complete: bool = False
    whole: bool = True
    protected: bool = False
    node: str = ""
    tolerations: tuple[Toleration, ...] = ()
    gang: str = ""

    @property
    def name(self) -> str:
        """The pod's name."""
        return self.key.name

    @property
    def ended(self) -> bool:
        """Its container is over; the pod will never run again."""
        return self.phase in ENDED

    def is_terminating(self, now: float) -> bool:
        """It is being deleted and has its time left to end in, so that its machine is still paid for."""
        return self.deleting and not self.ended and now < self.delete_by

    @property
    def live(self) -> bool:
        """It counts as a node: exists, is not on its way out, is not over, is not lost with its machine."""
        return not self.deleting and not self.ended and self.phase != "Unknown"

    @classmethod
    def from_object(cls, obj: Json) -> PodView:
        """Read a pod as the API server answers it."""
        metadata, status = obj["metadata"], obj.get("status") or {}
        labels, given = metadata.get("labels") or {}, metadata.get("annotations") or {}
        annotations = {name: given[name][:MAX_TEXT] if given[name].__class__ is str else given[name] for name in given}
        conditions = {c["type"]: c for c in status.get("conditions") or ()}
        ray = ray_status(obj, status)
        state = ray.get("state") or {}
        reason, since = stuck(obj, state, conditions)
        return cls(
            **_identity(metadata),
            kind=labels.get(KIND_LABEL, ""),
            node_type=labels.get(TYPE_LABEL, ""),
            phase=phase_of(status, state),
            ip=status.get("podIP", ""),
            ready=is_ready(ray, conditions),
            head_ip=annotations.get(HEAD_IP_ANNOTATION, ""),
            head_uid=annotations.get(HEAD_UID_ANNOTATION, ""),
            config_hash=annotations.get(CONFIG_ANNOTATION, ""),
            attempt=_number(annotations.get(ATTEMPT_ANNOTATION)),
            started_at=seconds(metadata.get("creationTimestamp")),
            ended_at=ended_at(status, state) or seconds(metadata.get("creationTimestamp")),
            problem=problem_of(obj, state, conditions),
            running_since=seconds((state.get("running") or {}).get("startedAt")),
            drain_by=float(_number(annotations.get(DRAIN_BY_ANNOTATION))),
            drain_reason=annotations.get(DRAIN_REASON_ANNOTATION, ""),
            drain_label=annotations.get(DRAIN_LABEL_ANNOTATION, ""),
            stuck=reason,
            stuck_since=since,
            node_lost=node_lost(obj, conditions),
            unready_since=seconds(conditions.get("Ready", {}).get("lastTransitionTime")),
            recovery=annotations.get(RECOVERY_ANNOTATION, ""),
            whole="spec" in obj,
            protected=PROTECTED_ANNOTATION in annotations,
            gang=annotations.get(GANG_ANNOTATION, ""),
            **_announced(obj, conditions),
            **(_host(labels, annotations) if WORKER_LABEL in labels else {}),
        )


@dataclass(frozen=True, slots=True)
class ServiceView:
    """A Service of the cluster as it is: the head's, or the one of workers of several hosts."""

    key: Key
    uid: str
    resource_version: int
    owner_uid: str
    cluster: Key
    ports: tuple[ServicePort, ...]
    selector: tuple[tuple[str, str], ...]
    deleting: bool
    ip: str = ""
    publishes_unready: bool = False

    @classmethod
    def from_object(cls, obj: Json) -> ServiceView:
        """Read a Service as the API server answers it."""
        metadata, spec = obj["metadata"], obj.get("spec") or {}
        return cls(
            **_identity(metadata),
            ports=tuple(
                ServicePort(p.get("name", ""), p["port"], p.get("targetPort", p["port"]))
                for p in spec.get("ports") or ()
            ),
            selector=tuple(sorted((spec.get("selector") or {}).items())),
            deleting="deletionTimestamp" in metadata,
            ip=spec.get("clusterIP") or "",
            publishes_unready=bool(spec.get("publishNotReadyAddresses")),
        )


def _identity(metadata: Json) -> dict[str, Any]:
    """The fields that say which object it is, and which cluster it belongs to."""
    namespace, labels = metadata["namespace"], metadata.get("labels") or {}
    owners = (o for o in metadata.get("ownerReferences") or () if o.get("controller") and o["kind"] == KIND)
    return {
        "key": Key(namespace, metadata["name"]),
        "uid": metadata["uid"],
        "resource_version": int(metadata["resourceVersion"]),
        "owner_uid": next((o["uid"] for o in owners), ""),
        "cluster": Key(namespace, labels.get(CLUSTER_LABEL, "")),
    }


def _announced(obj: Json, conditions: Mapping[str, Json]) -> dict[str, Any]:
    """The fields about an end that is announced, or that its node may announce."""
    spec = obj.get("spec") or {}
    delete_by = seconds(obj["metadata"].get("deletionTimestamp"))
    disrupted, since = disruption(conditions)
    return {
        "deleting": "deletionTimestamp" in obj["metadata"],
        "delete_by": delete_by,
        "deleted_at": deleted_at(obj["metadata"], delete_by),
        "disrupted": disrupted,
        "disrupted_at": seconds(since),
        "grace": grace_of(obj),
        "node": intern(spec.get("nodeName") or ""),
        "tolerations": tolerations_of(spec["tolerations"]) if spec.get("tolerations") else (),
    }


def _host(labels: Json, annotations: Json) -> dict[str, Any]:
    """The fields about a worker of several hosts."""
    return {
        "group": labels[WORKER_LABEL],
        "host": _number(labels.get(HOST_LABEL)),
        "hosts": min(_number(annotations.get(HOSTS_ANNOTATION)), MAX_HOSTS),
        "complete": COMPLETE_ANNOTATION in annotations,
    }


def _number(text: str | None) -> int:
    # Anyone who may edit a pod may write anything here. Ten digits hold a time of this century.
    return int(text) if text and text.isdecimal() and len(text) <= 10 else 0
