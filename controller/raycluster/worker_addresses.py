"""Addresses that workers join: ports that are not the head's, and those that cannot work."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from .model import ClusterSpec
from .node_commands import NodeCommands
from .problem import Problem
from .shell_words import Field
from .start_commands import HEAD_ADDRESS, RayStart

# Set by the shell, by Kubernetes for each Service, and by the operator.
_GIVEN = re.compile(
    r"HOME|HOSTNAME|USER|LOGNAME|PATH|PWD|OLDPWD|SHELL|TERM|LANG|U?ID|EUID|PPID|RANDOM|IFS|CONDA_\w+"
    r"|\w+_SERVICE_(HOST|PORT)\w*|RAY_(WORKER|NODE|CLOUD_INSTANCE)_\w+"
)
_ITSELF = re.compile(r"localhost|127(\.\d+){3}|0\.0\.0\.0|::1?")


def address_problems(spec: ClusterSpec, cluster: str, workers: Sequence[NodeCommands]) -> Iterator[Problem]:
    """Ports of the head's that it does not listen at. ``cluster``: its name."""
    found: dict[tuple[str, int], set[str]] = {}
    for node in workers:
        for start in node.starts:
            port = _joined_port(start, spec, cluster)
            if port is not None and port != spec.gcs_port:
                found.setdefault((node.path(start.command), port), set()).add(node.pod_type.name)
    for (path, port), names in found.items():
        sharing = {node.pod_type.name for node in workers if path.startswith(f"{node.field}[")}
        where = f" on pods of {', '.join(sorted(names))}" if names < sharing else ""
        yield Problem(
            path,
            f"joins port {port} of the head{where}, and the head's start commands have --port={spec.gcs_port}; "
            f"write --address=$RAY_HEAD_IP:{spec.gcs_port}",
        )


def _joined_port(start: RayStart, spec: ClusterSpec, cluster: str) -> int | None:
    """The port of the head's that a worker's ``ray start`` names; None where it names another address, or none."""
    given = start.get("--address")
    if not given or not given.known:
        return None
    host, _, port = given.text.rpartition(":")
    if not (port.isdecimal() and len(port) < 6):
        return None
    if host == f"{cluster}-ray-head":
        targets = [p.target_port for p in spec.service_ports if p.port == int(port)]
        return next((t if isinstance(t, int) else None for t in targets), int(port))
    return int(port) if host.strip("[]") == HEAD_ADDRESS else None


def address_notes(node: NodeCommands, port: int) -> Iterator[Problem]:
    """An address that joins no head. ``port``: the head's."""
    start = node.lasting
    given = start.get("--address") if start and not start.is_head else None
    if start is None or given is None:
        return
    said = _unset(given) or _unusable(given, start)
    if said:
        yield Problem(node.path(start.command), f"{said}; write --address=$RAY_HEAD_IP:{port}")


def _unset(given: Field) -> str:
    names = [f"${name}" for name in given.unset if not _GIVEN.fullmatch(name)]
    return f"--address has {', '.join(names)}, which neither the podConfig nor a command sets" if names else ""


def _unusable(given: Field, start: RayStart) -> str:
    if not given.known:
        return ""
    shown = f"--address={given.text.replace(HEAD_ADDRESS, '$RAY_HEAD_IP')}"
    host = given.text.rpartition(":")[0] if ":" in given.text else given.text
    if given.text == "auto" and not start.variables.leaves_unset("RAY_ADDRESS"):
        return ""
    if "$" in given.text:
        return f"{shown}: the shell replaces no variable in single quotes"
    if given.text in ("auto", "local") or _ITSELF.fullmatch(host.strip("[]")):
        return f"{shown} is the worker itself, and no head is there"
    if ":" not in given.text:
        return f"{shown} names no port, and Ray takes none for granted"
    return ""
