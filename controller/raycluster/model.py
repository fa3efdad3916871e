"""RayCluster resources as the operator understands them: typed, with the legacy defaults filled in.

Field names and defaults: the ``cluster.ray.io/v1`` format of Ray 1.3 to 1.13.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from functools import cached_property
from typing import Any, NamedTuple

from .do_not_disrupt import DoNotDisrupt, parse_do_not_disrupt
from .gang import GangTemplate, parse_gang
from .head_recovery import HeadRecovery, parse_recovery
from .idle_termination import RESUMED_ANNOTATION, IdleTermination, parse_idle
from .service_ports import ServicePort, merge_service_ports
from .size import bounded
from .start_options import DEFAULT_GCS_PORT, StartOptions, head_port, start_options

GROUP = "cluster.ray.io"
VERSION = "v1"
API_VERSION = f"{GROUP}/{VERSION}"
KIND = "RayCluster"
PLURAL = "rayclusters"

# What is kept of the annotation that brings a cluster back: a time.
MAX_RESUMED = 100
DEFAULT_MAX_WORKERS = 2
DEFAULT_UPSCALING_SPEED = 1.0
DEFAULT_IDLE_TIMEOUT_MINUTES = 5.0
# The legacy default for an absent headStartRayCommands started a monitor from a file that never existed;
# this is what its examples and its chart used instead.
DEFAULT_HEAD_START = ("ulimit -n 65536; ray start --head --port=6379 --no-monitor --dashboard-host 0.0.0.0",)
DEFAULT_WORKER_START = "ulimit -n 65536; ray start --address=$RAY_HEAD_IP:{port}"

Json = Mapping[str, Any]


def timestamp(seconds: float) -> str:
    """A time as Kubernetes writes it. ``seconds``: since the epoch."""
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


class Key(NamedTuple):
    """Identifies a RayCluster by place; which incarnation is meant is said by a uid beside it."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"

    @property
    def log_prefix(self) -> str:
        """The prefix of every log line about a cluster: ``<cluster>,<namespace>:``."""
        return f"{self.name},{self.namespace}:"


@dataclass(frozen=True)
class PodType:
    """A kind of Ray node: its pod, its bounds, what Ray knows about it. ``is_head``: the head is meant, no worker.

    ``start``: what its start commands give Ray. ``start_commands``: its own; empty where the cluster's count, as where
    ``idle_timeout_minutes`` is None. ``admitted``: the ``resources`` that the API server gives Ray's container, None
    while that is not known. ``hosts``: the pods of a worker.
    """

    name: str
    min_workers: int
    max_workers: int
    ray_resources: Json
    setup_commands: tuple[str, ...]
    pod_config: Json
    is_head: bool = False
    start: StartOptions = field(default_factory=StartOptions)
    labels: Mapping[str, str] = field(default_factory=dict)
    priority: int = 0
    idle_timeout_minutes: float | None = None
    start_commands: tuple[str, ...] = ()
    admitted: Json | None = None
    hosts: int = 1


@dataclass(frozen=True)
class ClusterSpec:
    """The desired cluster, every absent field replaced by its default."""

    max_workers: int
    upscaling_speed: float
    idle_timeout_minutes: float
    head_pod_type: str
    pod_types: tuple[PodType, ...]
    service_ports: tuple[ServicePort, ...]
    head_start: tuple[str, ...]
    worker_start: tuple[str, ...]
    suspend: bool = False
    recovery: HeadRecovery | None = None
    idle: IdleTermination | None = None
    do_not_disrupt: DoNotDisrupt = field(default_factory=DoNotDisrupt)
    gang: GangTemplate | None = None

    @property
    def head(self) -> PodType:
        """The head's pod type. Validation guarantees that it exists."""
        return next(t for t in self.pod_types if t.name == self.head_pod_type)

    @cached_property
    def worker_types(self) -> tuple[PodType, ...]:
        """Every pod type that workers are made of: the head's only where its maxWorkers allow any."""
        return tuple(self._as_worker(t) for t in self.pod_types if not t.is_head or t.max_workers)

    def _as_worker(self, pod_type: PodType) -> PodType:
        if not pod_type.is_head:
            return pod_type
        worker = replace(pod_type, is_head=False)
        return replace(worker, start=start_options(worker.setup_commands, self.start_of(worker), worker.pod_config))

    def start_of(self, pod_type: PodType) -> tuple[str, ...]:
        """The commands that start Ray on nodes of a type."""
        return self.head_start if pod_type.is_head else pod_type.start_commands or self.worker_start

    def idle_minutes_of(self, pod_type: PodType) -> float:
        """How long a worker of a type may idle."""
        own = pod_type.idle_timeout_minutes
        return self.idle_timeout_minutes if own is None else own

    def hash_of(self, pod_type: PodType) -> str:
        """``config_hash`` of one of the types above, computed once."""
        return self._hashes[pod_type.name, pod_type.is_head]

    @cached_property
    def current_hashes(self) -> Mapping[str, frozenset[str]]:
        """Type -> the hashes of its pods. The head's type has two where workers are made of it too."""
        names = {name for name, _ in self._hashes}
        return {name: frozenset(h for (n, _), h in self._hashes.items() if n == name) for name in names}

    @cached_property
    def _hashes(self) -> Mapping[tuple[str, bool], str]:
        return {(t.name, t.is_head): config_hash(self, t) for t in (self.head, *self.worker_types)}

    @cached_property
    def recovery_token(self) -> str:
        """What the head and its workers have to agree on to find each other again; empty without recovery."""
        image = self.head.pod_config["spec"]["containers"][0].get("image") or ""
        return self.recovery.token(image) if self.recovery else ""

    @cached_property
    def known_gcs_port(self) -> int | None:
        """Where the head's GCS listens, as its start commands say; None when it is known only while the shell runs."""
        return head_port(self.head.setup_commands, self.head_start, self.head.pod_config)

    @property
    def gcs_port(self) -> int:
        """Where the head's GCS listens. Validation guarantees that it is known."""
        return self.known_gcs_port or DEFAULT_GCS_PORT


def config_hash(spec: ClusterSpec, pod_type: PodType) -> str:
    """Identifies everything that only a new pod can take up. Bounds and rayResources are not part of it.

    What is absent adds nothing, so that an operator that knows more fields leaves the pods of older ones alone.
    """
    parts: list[Any] = [pod_type.pod_config, pod_type.setup_commands, spec.start_of(pod_type), spec.gcs_port]
    if pod_type.labels:
        parts.append({"labels": dict(pod_type.labels)})
    if pod_type.hosts > 1:
        parts.append({"hosts": pod_type.hosts})
    if spec.recovery:
        parts.append({"headRecovery": spec.recovery_token, **(spec.recovery.credentials if pod_type.is_head else {})})
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class RayCluster:
    """A RayCluster object. ``spec``: raw, see ``validation``. ``resumed``: see ``idle_termination``."""

    key: Key
    uid: str
    resource_version: int
    generation: int
    deleting: bool
    spec: Json = field(repr=False)
    status: Json = field(repr=False)
    resumed: str = ""

    @property
    def namespace(self) -> str:
        """Where the cluster's pods live."""
        return self.key.namespace

    @property
    def name(self) -> str:
        """The cluster's name, the prefix of its pods' names."""
        return self.key.name

    @classmethod
    def from_object(cls, obj: Json) -> RayCluster:
        """Read an object as the API server answers it."""
        metadata = obj["metadata"]
        return cls(
            key=Key(metadata["namespace"], metadata["name"]),
            uid=metadata["uid"],
            resource_version=int(metadata["resourceVersion"]),
            generation=metadata.get("generation", 0),
            deleting="deletionTimestamp" in metadata,
            spec=bounded(obj.get("spec") or {}),
            status=bounded(obj.get("status") or {}),
            resumed=str((metadata.get("annotations") or {}).get(RESUMED_ANNOTATION, ""))[:MAX_RESUMED],
        )


def parse_spec(spec: Json) -> ClusterSpec:
    """Fill in defaults. Call only with a spec that ``validation.problems`` found nothing wrong with."""
    max_workers = int(_given(spec, "maxWorkers", DEFAULT_MAX_WORKERS))
    head_name = spec["headPodType"]
    head_start = tuple(spec.get("headStartRayCommands") or DEFAULT_HEAD_START)
    head = next(t for t in spec["podTypes"] if t["name"] == head_name)
    port = head_port(_setup(head), head_start, head["podConfig"]) or DEFAULT_GCS_PORT
    worker_start = tuple(spec.get("workerStartRayCommands") or (DEFAULT_WORKER_START.format(port=port),))
    recovery = parse_recovery(spec.get("headRecovery"))
    return ClusterSpec(
        max_workers=max_workers,
        # The documented meaning of 0 is "unset".
        upscaling_speed=float(spec.get("upscalingSpeed") or DEFAULT_UPSCALING_SPEED),
        idle_timeout_minutes=float(_given(spec, "idleTimeoutMinutes", DEFAULT_IDLE_TIMEOUT_MINUTES)),
        head_pod_type=head_name,
        pod_types=tuple(
            _pod_type(t, max_workers, head_start if t["name"] == head_name else None, worker_start)
            for t in spec["podTypes"]
        ),
        service_ports=merge_service_ports(spec.get("headServicePorts") or (), port if recovery else None),
        head_start=head_start,
        worker_start=worker_start,
        suspend=bool(spec.get("suspend")),
        recovery=recovery,
        idle=parse_idle(spec.get("idleTermination")),
        do_not_disrupt=parse_do_not_disrupt(spec.get("doNotDisrupt")),
        gang=parse_gang(spec.get("gang")),
    )


def _pod_type(
    raw: Json, cluster_max: int, head_start: tuple[str, ...] | None, worker_start: tuple[str, ...]
) -> PodType:
    """``head_start``: None for a type that is not the head's."""
    is_head = head_start is not None
    least = int(raw.get("minWorkers") or 0)
    most = int(_given(raw, "maxWorkers", 0 if is_head else max(cluster_max, least)))
    setup, own = _setup(raw), tuple(raw.get("startRayCommands") or ())
    return PodType(
        name=raw["name"],
        min_workers=min(least, most),
        max_workers=most,
        ray_resources=raw.get("rayResources") or {},
        setup_commands=setup,
        pod_config=raw["podConfig"],
        is_head=is_head,
        start=start_options(
            setup, (own or worker_start) if head_start is None else head_start, raw["podConfig"], head=is_head
        ),
        labels=raw.get("labels") or {},
        priority=raw.get("priority") or 0,
        idle_timeout_minutes=_optional_float(raw.get("idleTimeoutMinutes")),
        start_commands=own,
        hosts=int(_given(raw, "hosts", 1)),
    )


def _setup(raw: Json) -> tuple[str, ...]:
    # An empty list wins too.
    return tuple(_given(raw, "workerSetupCommands", raw.get("setupCommands")) or ())


def _given(raw: Json, name: str, default: Any) -> Any:
    """A field's value, or the default where it is absent. Null is absent."""
    value = raw.get(name)
    return default if value is None else value


def _optional_float(value: float | None) -> float | None:
    return None if value is None else float(value)
