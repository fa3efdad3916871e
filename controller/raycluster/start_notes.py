"""What valid start commands do that their author may not expect."""

from __future__ import annotations

from collections.abc import Container, Iterator

from .model import ClusterSpec
from .node_commands import HEAD_START, NodeCommands, head_commands, worker_commands
from .problem import Problem
from .ray_resources import ray_resources
from .refused_values import refused_values
from .shell_notes import UNREADABLE, unreadable
from .start_commands import AUTOSCALING_CONFIG
from .start_options import RESOURCE_OPTIONS
from .worker_addresses import address_notes


def start_notes(spec: ClusterSpec) -> Iterator[Problem]:
    """One for each thing, however many types it is true of."""
    head, workers = head_commands(spec), list(worker_commands(spec))
    broken = [note for node in (head, *workers) for note in unreadable(node)]
    found = [
        *_unread(head),
        *(note for worker in workers for note in _unread(worker)),
        *(note for node in (head, *workers) for note in refused_values(node)),
        *broken,
        *_of_head(head, spec.gcs_port, {p.path for p in broken if p.message.startswith(UNREADABLE)}),
        *_without_effect(head),
        *(note for worker in workers for note in _of_worker(worker, spec.gcs_port)),
        *(note for worker in workers for note in address_notes(worker, spec.gcs_port)),
    ]
    yield from dict.fromkeys(found)


def _unread(node: NodeCommands) -> Iterator[Problem]:
    """Options that only a running shell knows, or that depend on what it runs."""
    given = node.pod_type.start
    for option in (*given.unread, *given.differing):
        unknown = f"only a running shell knows the value of {option}"
        if option in given.differing:
            unknown = f"{option} differs between the ray start commands, and only a running shell knows which one runs"
        yield Problem(node.field, f"{unknown}; {_counted(node, option)}")


def _counted(node: NodeCommands, option: str) -> str:
    """What is taken in place of an option's value, and what to do about it."""
    name = RESOURCE_OPTIONS.get(option, "")
    if name:
        counted = ray_resources(node.pod_type).get(name, 0)
        return f"the pods count with {name} {counted}; set rayResources.{name}"
    remedy = "name the resources in rayResources" if option == "--resources" else "write its value out"
    return f"what it gives does not count; {remedy}"


def _of_head(node: NodeCommands, port: int, broken: Container[str]) -> Iterator[Problem]:
    """Commands that start no head, or of which that cannot be said. ``broken``: no program of a shell."""
    taken = f"the head's port is taken to be {port}"
    heads = [start for start in node.starts if start.is_head]
    if not node.starts:
        yield Problem(
            HEAD_START, f"none is a ray start; {taken}; write ray start --head --port=N among them if it is N"
        )
    elif heads and (heads[-1].get("--port") or not heads[-1].vague):
        return
    elif any(start.vague for start in node.starts):
        if node.path(node.starts[-1].command) in broken:
            return
        yield Problem(
            HEAD_START, f"only a running shell knows all options of ray start; {taken}; write --port={port} out"
        )
    else:
        joins = "--address joins a head" if node.starts[-1].get("--address") else "without it Ray starts no head"
        where = node.path(node.starts[-1].command)
        yield Problem(where, f"has no --head, and {joins}; write ray start --head --port={port}")


def _of_worker(node: NodeCommands, port: int) -> Iterator[Problem]:
    """Commands that join no head."""
    start, remedy = node.lasting, f"write ray start --address=$RAY_HEAD_IP:{port}"
    if start is None:
        yield Problem(node.field, f"none is a ray start; a worker is a node of Ray once one joins the head; {remedy}")
    elif start.is_head:
        yield Problem(node.path(start.command), f"--head starts a head of its own on a worker; {remedy}")
    elif not (start.get("--address") or start.vague):
        yield Problem(node.path(start.command), f"has no --address, and Ray joins no head without it; {remedy}")


def _without_effect(node: NodeCommands) -> Iterator[Problem]:
    setup = len(node.pod_type.setup_commands)
    for number in sorted({s.command for s in node.starts if s.get(AUTOSCALING_CONFIG) and s.command >= setup}):
        words = f"{AUTOSCALING_CONFIG} has no effect: the operator scales the cluster"
        yield Problem(node.path(number), words)
