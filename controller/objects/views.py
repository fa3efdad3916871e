"""Pods and Services cut down to what decisions need: a few hundred bytes each, whatever the API server sends."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from controller.raycluster.model import KIND, Json, Key, ServicePort

from .announced import GRACE_SECONDS, deleted_at, disruption, grace_of
from .labels import (
    ATTEMPT_ANNOTATION,
    CLUSTER_LABEL,
    CONFIG_ANNOTATION,
    DRAIN_BY_ANNOTATION,
    DRAIN_LABEL_ANNOTATION,
    DRAIN_REASON_ANNOTATION,
    HEAD_IP_ANNOTATION,
    HEAD_UID_ANNOTATION,
    INSTANCE_VARIABLE,
    KIND_LABEL,
    RECOVERY_ANNOTATION,
    TYPE_LABEL,
)

_ENDED = ("Failed", "Succeeded")
# Why a container has ended that never ran: containerd's word, and the older ones.
_NEVER_STARTED = ("StartError", "ContainerCannotRun", "RunContainerError")

# Why a pod that exists cannot start.
UNSCHEDULABLE, IMAGE_MISSING, CONFIG_MISSING = "Unschedulable", "ImageMissing", "ConfigMissing"
_WAITING_STUCK = {
    **dict.fromkeys(
        ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError"),
        IMAGE_MISSING,
    ),
    **dict.fromkeys(("CreateContainerConfigError", "CreateContainerError"), CONFIG_MISSING),
}


@dataclass(frozen=True)
class PodView:
    """One Ray pod. Times are seconds since the epoch; ``problem`` repeats what kubelet or scheduler said.

    Only Ray's container counts. Webhooks put others beside it, before it even, and those come and go on their own.

    ``running_since``: when Ray's container started, 0 unless it runs. ``drain_by``: it is leaving, and is deleted then
    at the latest; 0 when it is not. ``drain_label``: its reason, as metrics count it. ``stuck``: why it cannot start,
    since when, empty when nothing keeps it. ``node_lost``: its kubelet has gone silent, and it counts as unready since
    ``unready_since``, which of a ready one is when it became ready. ``delete_by``: when the grace period of its
    deletion is over. ``deleted_at``: when its deletion was asked for, 0 when it was not. ``disrupted``: why Kubernetes
    is about to end it, since ``disrupted_at``. ``grace``: seconds from a deletion to the kill. ``recovery``: what head
    and workers have to agree on, see ClusterSpec.recovery_token.
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

    @property
    def name(self) -> str:
        """The pod's name."""
        return self.key.name

    @property
    def ended(self) -> bool:
        """Its container is over; the pod will never run again."""
        return self.phase in _ENDED

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
        labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
        conditions = {c["type"]: c for c in status.get("conditions") or ()}
        ray = _ray_status(obj, status)
        state = ray.get("state") or {}
        stuck, stuck_since = _stuck(status, state, conditions)
        return cls(
            key=Key(metadata["namespace"], metadata["name"]),
            uid=metadata["uid"],
            resource_version=int(metadata["resourceVersion"]),
            owner_uid=_owner_uid(metadata),
            cluster=Key(metadata["namespace"], labels.get(CLUSTER_LABEL, "")),
            kind=labels.get(KIND_LABEL, ""),
            node_type=labels.get(TYPE_LABEL, ""),
            phase=_phase(status, state),
            ip=status.get("podIP", ""),
            ready=_is_ready(ray, conditions),
            head_ip=annotations.get(HEAD_IP_ANNOTATION, ""),
            head_uid=annotations.get(HEAD_UID_ANNOTATION, ""),
            config_hash=annotations.get(CONFIG_ANNOTATION, ""),
            attempt=_number(annotations.get(ATTEMPT_ANNOTATION)),
            started_at=_seconds(metadata.get("creationTimestamp")),
            ended_at=_ended_at(status, state) or _seconds(metadata.get("creationTimestamp")),
            problem=_problem(status, state, conditions),
            running_since=_seconds((state.get("running") or {}).get("startedAt")),
            drain_by=float(_number(annotations.get(DRAIN_BY_ANNOTATION))),
            drain_reason=annotations.get(DRAIN_REASON_ANNOTATION, ""),
            drain_label=annotations.get(DRAIN_LABEL_ANNOTATION, ""),
            stuck=stuck,
            stuck_since=stuck_since,
            node_lost=_node_lost(obj, conditions),
            unready_since=_seconds(conditions.get("Ready", {}).get("lastTransitionTime")),
            recovery=annotations.get(RECOVERY_ANNOTATION, ""),
            **_announced(obj, conditions),
        )


@dataclass(frozen=True)
class ServiceView:
    """The head Service as it is."""

    key: Key
    uid: str
    resource_version: int
    owner_uid: str
    cluster: Key
    ports: tuple[ServicePort, ...]
    selector: tuple[tuple[str, str], ...]
    deleting: bool
    ip: str = ""

    @classmethod
    def from_object(cls, obj: Json) -> ServiceView:
        """Read a Service as the API server answers it."""
        metadata, spec = obj["metadata"], obj.get("spec") or {}
        labels = metadata.get("labels") or {}
        return cls(
            key=Key(metadata["namespace"], metadata["name"]),
            uid=metadata["uid"],
            resource_version=int(metadata["resourceVersion"]),
            owner_uid=_owner_uid(metadata),
            cluster=Key(metadata["namespace"], labels.get(CLUSTER_LABEL, "")),
            ports=tuple(
                ServicePort(p.get("name", ""), p["port"], p.get("targetPort", p["port"]))
                for p in spec.get("ports") or ()
            ),
            selector=tuple(sorted((spec.get("selector") or {}).items())),
            deleting="deletionTimestamp" in metadata,
            ip=spec.get("clusterIP") or "",
        )


def _announced(obj: Json, conditions: Mapping[str, Json]) -> dict[str, Any]:
    """The fields about an end that is announced."""
    delete_by = _seconds(obj["metadata"].get("deletionTimestamp"))
    disrupted, since = disruption(conditions)
    return {
        "deleting": "deletionTimestamp" in obj["metadata"],
        "delete_by": delete_by,
        "deleted_at": deleted_at(obj["metadata"], delete_by),
        "disrupted": disrupted,
        "disrupted_at": _seconds(since),
        "grace": grace_of(obj),
    }


def _owner_uid(metadata: Json) -> str:
    owners = (o for o in metadata.get("ownerReferences") or () if o.get("controller") and o["kind"] == KIND)
    return next((o["uid"] for o in owners), "")


def _number(text: str | None) -> int:
    # Anyone who may edit a pod may write anything here. Ten digits hold a time of this century.
    return int(text) if text and text.isdecimal() and len(text) <= 10 else 0


def _seconds(timestamp: str | None) -> float:
    if not timestamp:
        return 0.0
    # Python 3.10 does not read the Z.
    return datetime.fromisoformat(timestamp.removesuffix("Z")).replace(tzinfo=timezone.utc).timestamp()


def _phase(status: Json, ray: Json) -> str:
    """The pod's phase; with Ray's container over it has failed, though others may keep the pod running, or may not
    have started yet.
    """
    phase: str = status.get("phase", "Pending")
    return "Failed" if phase in ("Pending", "Running") and "terminated" in ray else phase


def ray_container(containers: Sequence[Json]) -> str:
    """The name of the container that runs Ray: the one with the variable that every Ray container gets.

    Its place is no sign: webhooks put theirs first.
    """
    marked = (c for c in containers if any(v.get("name") == INSTANCE_VARIABLE for v in c.get("env") or ()))
    return str(next(marked, containers[0] if containers else {}).get("name", ""))


def _ray_status(obj: Json, status: Json) -> Json:
    """What the kubelet says about Ray's container; empty before it has said anything."""
    name = ray_container((obj.get("spec") or {}).get("containers") or ())
    return next((c for c in status.get("containerStatuses") or () if c.get("name") == name), {})


def _is_ready(ray: Json, conditions: Mapping[str, Json]) -> bool:
    """Ray's container is ready. Where another one is not, the pod's conditions say nothing about Ray."""
    if _is(conditions, "ContainersReady", "False"):
        return bool(ray.get("ready")) and "running" in (ray.get("state") or {})
    return _is(conditions, "Ready", "True")


def _containers(status: Json) -> Iterator[Json]:
    yield from status.get("initContainerStatuses") or ()
    yield from status.get("containerStatuses") or ()


def _ended_at(status: Json, ray: Json) -> float:
    over = "terminated" in ray and status.get("phase") not in _ENDED
    states = [ray] if over else [c.get("state") or {} for c in _containers(status)]
    return max((_seconds((s.get("terminated") or {}).get("finishedAt")) for s in states), default=0.0)


def _is(conditions: Mapping[str, Json], kind: str, state: str) -> bool:
    return kind in conditions and conditions[kind]["status"] == state


def _node_lost(obj: Json, conditions: Mapping[str, Json]) -> bool:
    """The node controller calls a silent kubelet's pods unready, and leaves all else as that kubelet said it last.

    Source: MarkPodsNotReady of Kubernetes' node lifecycle controller changes the condition Ready alone. A readiness
    gate that is closed looks the same.
    """
    gated = bool((obj.get("spec") or {}).get("readinessGates"))
    return not gated and _is(conditions, "Ready", "False") and _is(conditions, "ContainersReady", "True")


def _stuck(status: Json, ray: Json, conditions: Mapping[str, Json]) -> tuple[str, float]:
    # A pod is Pending until all its containers have started once.
    if status.get("phase", "Pending") != "Pending" or "running" in ray or "terminated" in ray:
        return "", 0.0
    scheduled = conditions.get("PodScheduled", {})
    if scheduled.get("status") == "False" and scheduled.get("reason") == "Unschedulable":
        return UNSCHEDULABLE, _seconds(scheduled.get("lastTransitionTime"))
    waiting = ((c.get("state") or {}).get("waiting") or {} for c in _containers(status))
    return next((_WAITING_STUCK[w["reason"]] for w in waiting if w.get("reason") in _WAITING_STUCK), ""), 0.0


def _problem(status: Json, ray: Json, conditions: Mapping[str, Json]) -> str:
    """What keeps the pod from being ready, in the words of whoever said so; empty when nothing is said."""
    if status.get("phase") in _ENDED and status.get("reason"):
        return _sentence(status["reason"], status.get("message"))
    if status.get("phase", "Pending") == "Pending" and _is(conditions, "PodScheduled", "False"):
        return _sentence(conditions["PodScheduled"].get("reason"), conditions["PodScheduled"].get("message"))
    own = "running" in ray or (ray.get("terminated") or {}).get("exitCode")
    states = [ray] if own else [ray, *(c.get("state") or {} for c in _containers(status))]
    return next((said for said in map(_said, states) if said), "")


def _said(state: Json) -> str:
    """What one container's state complains of."""
    waiting, terminated = state.get("waiting"), state.get("terminated")
    if waiting and waiting.get("reason") not in ("ContainerCreating", "PodInitializing"):
        return _sentence(waiting.get("reason"), waiting.get("message"))
    if terminated and terminated.get("exitCode"):
        return _failure(terminated)
    return ""


def _failure(terminated: Json) -> str:
    said = f"{terminated.get('reason') or 'Error'}, exit code {terminated['exitCode']}"
    # A container that could not be started at all: the runtime's words are all there is.
    message = terminated.get("message") or ""
    if terminated.get("reason") not in _NEVER_STARTED or not message:
        return said
    remedy = "; the start commands need bash: use an image that has /bin/bash" if "/bin/bash" in message else ""
    return f"{said}: {message}{remedy}"


def _sentence(reason: str | None, message: str | None) -> str:
    return ": ".join(part for part in (reason, message) if part)
