"""What is wrong with start commands, as far as reading them shows."""

from __future__ import annotations

from collections.abc import Iterator

from .model import ClusterSpec
from .problem import Problem
from .start_commands import RayStart, ray_starts
from .start_options import joined_port, variables_of

_HEAD, _WORKER = "spec.headStartRayCommands", "spec.workerStartRayCommands"


def start_problems(spec: ClusterSpec) -> Iterator[Problem]:
    """A port of the head's that the workers cannot know, or do not go to."""
    if spec.known_gcs_port is None:
        yield _unknown_port(spec)
        return
    for start in _starts_of_workers(spec):
        port = joined_port(start)
        if port is not None and port != spec.gcs_port:
            yield Problem(
                f"{_WORKER}[{start.command}]",
                f"joins port {port} of the head, and the head's start commands have --port={spec.gcs_port}; "
                f"write --address=$RAY_HEAD_IP:{spec.gcs_port}",
            )


def _unknown_port(spec: ClusterSpec) -> Problem:
    setup = spec.head.setup_commands
    starts = ray_starts([*setup, *spec.head_start], variables_of(spec.head.pod_config))
    start = [s for s in starts if s.is_head or s.vague][-1]
    written = (setup + spec.head_start)[start.command]
    option = start.options["--port"]
    shown = written[option.start : option.end]
    if option.value.known:
        message = f"{shown!r} names no port; write --port with a number from 1 to 65535, --port=6379 for example"
    else:
        message = (
            f"{shown!r}: the workers have to know the head's port, and only a running shell knows it; "
            "write the number, or set the variable under env in the head's podConfig"
        )
    return Problem(f"{_HEAD}[{max(0, start.command - len(setup))}]", message)


def _starts_of_workers(spec: ClusterSpec) -> Iterator[RayStart]:
    """Those of the first type: what differs between types is their variables."""
    for pod_type in spec.worker_types[:1]:
        yield from ray_starts(spec.worker_start, variables_of(pod_type.pod_config))
