"""What is wrong with start commands, as far as reading them shows."""

from __future__ import annotations

from collections.abc import Iterator

from .model import ClusterSpec
from .node_commands import head_commands, worker_commands
from .problem import Problem
from .start_commands import candidates
from .start_options import port_of
from .worker_addresses import address_problems


def start_problems(spec: ClusterSpec, cluster: str) -> Iterator[Problem]:
    """A port of the head's that the workers cannot know, or do not go to. ``cluster``: its name."""
    if spec.known_gcs_port is None:
        yield _unknown_port(spec)
        return
    yield from address_problems(spec, cluster, list(worker_commands(spec)))


def _unknown_port(spec: ClusterSpec) -> Problem:
    node = head_commands(spec)
    heads = [s for s in candidates(node.texts, node.starts, head=True) if s.is_head or s.vague]
    ports = {port_of(start) for start in heads}
    if None not in ports:
        named = " and ".join(f"--port={port}" for port in sorted(filter(None, ports)))
        return Problem(
            node.path(heads[-1].command),
            f"the ray start commands of the head have {named}, the workers have to know one, and only a running shell "
            f"knows which one runs; give each the same --port",
        )
    start = [start for start in heads if port_of(start) is None][-1]
    written = node.texts[start.command]
    option = start.options["--port"]
    shown = written[option.start : option.end]
    if option.value.known:
        message = f"{shown!r} names no port; write --port with a number from 1 to 65535, --port=6379 for example"
    else:
        remedy = "set the variable under env of the head's container, and nowhere else"
        if start.variables.doubted:
            remedy = "set the variable behind the command that reads a file or a program's output"
        message = (
            f"{shown!r}: the workers have to know the head's port, and only a running shell knows it; "
            f"write the number, or {remedy}"
        )
    return Problem(node.path(start.command), message)
