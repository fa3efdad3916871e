"""The commands that the nodes of one pod type run, and the fields that they stand in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from .model import ClusterSpec, PodType
from .start_commands import RayStart, lasting, ray_starts
from .start_options import variables_of

HEAD_START, WORKER_START = "spec.headStartRayCommands", "spec.workerStartRayCommands"


@dataclass(frozen=True)
class NodeCommands:
    """Set-up, then what starts Ray. ``field``: where the latter stands; ``setup_field``: the former."""

    pod_type: PodType
    field: str
    setup_field: str
    start: Sequence[str]

    @property
    def texts(self) -> tuple[str, ...]:
        """All, in the order in which they run."""
        return (*self.pod_type.setup_commands, *self.start)

    @cached_property
    def starts(self) -> tuple[RayStart, ...]:
        """Every ``ray start`` in them."""
        return ray_starts(self.texts, variables_of(self.pod_type.pod_config))

    @property
    def lasting(self) -> RayStart | None:
        """The one that a node ends up with; None where none is to be seen."""
        return lasting(self.starts, head=self.pod_type.is_head)

    def path(self, number: int) -> str:
        """Where one of the texts stands in the RayCluster."""
        setup = len(self.pod_type.setup_commands)
        return f"{self.setup_field}[{number}]" if number < setup else f"{self.field}[{number - setup}]"


def head_commands(spec: ClusterSpec) -> NodeCommands:
    """Those of the head."""
    return _of(spec, spec.head, HEAD_START)


def worker_commands(spec: ClusterSpec) -> Iterator[NodeCommands]:
    """Those of each type that workers are made of."""
    names = [t.name for t in spec.pod_types]
    for pod_type in spec.worker_types:
        own = f"spec.podTypes[{names.index(pod_type.name)}].startRayCommands"
        yield _of(spec, pod_type, own if pod_type.start_commands else WORKER_START)


def _of(spec: ClusterSpec, pod_type: PodType, field: str) -> NodeCommands:
    index = [t.name for t in spec.pod_types].index(pod_type.name)
    return NodeCommands(pod_type, field, f"spec.podTypes[{index}].setupCommands", spec.start_of(pod_type))
