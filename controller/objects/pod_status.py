"""What a pod's status says of Ray's container: whether it is ready, over or stuck, and why.

Webhooks put other containers beside it, before it even, and those come and go on their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone

from controller.raycluster.model import Json

from .labels import INSTANCE_VARIABLE

ENDED = ("Failed", "Succeeded")
# So begins what the program of a Ray container leaves as its last words, and so many characters of them count.
SAID, MAX_SAID = "ray-operator: ", 1024
# Why a container has ended that never ran: containerd's word, and the older ones.
_NEVER_STARTED = ("StartError", "ContainerCannotRun", "RunContainerError")

# Why a pod that exists cannot start.
UNSCHEDULABLE, IMAGE_MISSING, CONFIG_MISSING = "Unschedulable", "ImageMissing", "ConfigMissing"
SCHEDULING_GATED = "SchedulingGated"
# Gates that a message names.
_GATES_SHOWN = 3
_WAITING_STUCK = {
    **dict.fromkeys(
        ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError"),
        IMAGE_MISSING,
    ),
    **dict.fromkeys(("CreateContainerConfigError", "CreateContainerError"), CONFIG_MISSING),
}


def seconds(timestamp: str | None) -> float:
    """A time of Kubernetes in seconds since the epoch; 0 when absent."""
    if not timestamp:
        return 0.0
    # Python 3.10 does not read the Z.
    return datetime.fromisoformat(timestamp.removesuffix("Z")).replace(tzinfo=timezone.utc).timestamp()


def phase_of(status: Json, ray: Json) -> str:
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


def ray_status(obj: Json, status: Json) -> Json:
    """What the kubelet says about Ray's container; empty before it has said anything."""
    name = ray_container((obj.get("spec") or {}).get("containers") or ())
    return next((c for c in status.get("containerStatuses") or () if c.get("name") == name), {})


def is_ready(ray: Json, conditions: Mapping[str, Json]) -> bool:
    """Ray's container is ready. Where another one is not, the pod's conditions say nothing about Ray."""
    if _is(conditions, "ContainersReady", "False"):
        return bool(ray.get("ready")) and "running" in (ray.get("state") or {})
    return _is(conditions, "Ready", "True")


def _containers(status: Json) -> Iterator[Json]:
    yield from status.get("initContainerStatuses") or ()
    yield from status.get("containerStatuses") or ()


def ended_at(status: Json, ray: Json) -> float:
    """When the containers ended, the last one of them; 0 while none has."""
    over = "terminated" in ray and status.get("phase") not in ENDED
    states = [ray] if over else [c.get("state") or {} for c in _containers(status)]
    return max((seconds((s.get("terminated") or {}).get("finishedAt")) for s in states), default=0.0)


def _is(conditions: Mapping[str, Json], kind: str, state: str) -> bool:
    return kind in conditions and conditions[kind]["status"] == state


def node_lost(obj: Json, conditions: Mapping[str, Json]) -> bool:
    """The node controller calls a silent kubelet's pods unready, and leaves all else as that kubelet said it last.

    Source: MarkPodsNotReady of Kubernetes' node lifecycle controller changes the condition Ready alone. A readiness
    gate that is closed looks the same.
    """
    gated = bool((obj.get("spec") or {}).get("readinessGates"))
    return not gated and _is(conditions, "Ready", "False") and _is(conditions, "ContainersReady", "True")


def stuck(obj: Json, ray: Json, conditions: Mapping[str, Json]) -> tuple[str, float]:
    """Why a pod that has not started cannot start, and since when; empty when nothing keeps it."""
    status = obj.get("status") or {}
    # A pod is Pending until all its containers have started once.
    if status.get("phase", "Pending") != "Pending" or "running" in ray or "terminated" in ray:
        return "", 0.0
    # Not the condition: that stays as it is when the last gate is removed.
    if (obj.get("spec") or {}).get("schedulingGates"):
        return SCHEDULING_GATED, seconds(obj["metadata"].get("creationTimestamp"))
    scheduled = conditions.get("PodScheduled", {})
    if scheduled.get("status") == "False" and scheduled.get("reason") == "Unschedulable":
        return UNSCHEDULABLE, seconds(scheduled.get("lastTransitionTime"))
    waiting = ((c.get("state") or {}).get("waiting") or {} for c in _containers(status))
    return next((_WAITING_STUCK[w["reason"]] for w in waiting if w.get("reason") in _WAITING_STUCK), ""), 0.0


def problem_of(obj: Json, ray: Json, conditions: Mapping[str, Json]) -> str:
    """What keeps the pod from being ready, as the component reported it; empty when nothing is said."""
    status = obj.get("status") or {}
    if status.get("phase") in ENDED and status.get("reason"):
        return _sentence(status["reason"], status.get("message"))
    if status.get("phase", "Pending") == "Pending" and _is(conditions, "PodScheduled", "False"):
        return _not_scheduled(obj, conditions["PodScheduled"])
    own = "running" in ray or (ray.get("terminated") or {}).get("exitCode")
    states = [ray] if own else [ray, *(c.get("state") or {} for c in _containers(status))]
    return next((said for said in map(_said, states) if said), "")


def _not_scheduled(obj: Json, scheduled: Json) -> str:
    """What keeps the pod from having a node: a gate by its name, all else in the scheduler's words."""
    if scheduled.get("reason") != SCHEDULING_GATED:
        return _sentence(scheduled.get("reason"), scheduled.get("message"))
    # The condition stays as it is when the last gate is removed, until the scheduler has looked at the pod.
    gates = (obj.get("spec") or {}).get("schedulingGates") or ()
    more = f" and {len(gates) - _GATES_SHOWN} more" if len(gates) > _GATES_SHOWN else ""
    shown = ", ".join(str(gate.get("name")) for gate in gates[:_GATES_SHOWN])
    return f"{SCHEDULING_GATED}: it waits for the scheduling gate {shown}{more}" if gates else ""


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
    message = terminated.get("message") or ""
    if message.startswith(SAID):
        return f"{said}: {' '.join(message[len(SAID) : MAX_SAID].split())}"
    # A container that could not be started at all: the runtime's words are all there is.
    if terminated.get("reason") not in _NEVER_STARTED or not message:
        return said
    remedy = "; the start commands need bash: use an image that has /bin/bash" if "/bin/bash" in message else ""
    return f"{said}: {message}{remedy}"


def _sentence(reason: str | None, message: str | None) -> str:
    return ": ".join(part for part in (reason, message) if part)
