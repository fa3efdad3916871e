"""Control groups of a cluster's nodes: one tree per cluster in every hierarchy, so that `down` finds all of it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from .console import CannotRunHere, Failed
from .layout import Layout

# A group gets as much CPU time as any single process beside it, and all pods of a cluster are in one group: with the
# kernel's default, pods start ten times as slowly as soon as other programs run.
SHARES = 16


@dataclass(frozen=True)
class Hierarchy:
    """A mounted cgroup hierarchy: version 1 or 2."""

    mount: Path
    version: int
    options: str


def tree_of(layout: Layout) -> str:
    """Name of the cluster's tree at the top of each hierarchy."""
    return f"local-kubernetes-{layout.name}"


def root_of(layout: Layout, node: str) -> str:
    """The control group that a node's kubelet puts its pods under, in the form that its configuration takes."""
    return f"/{tree_of(layout)}/{node}"


def hierarchies() -> list[Hierarchy]:
    """What is mounted on this machine."""
    return parse_hierarchies(Path("/proc/self/mountinfo").read_text())


def parse_hierarchies(mountinfo: str) -> list[Hierarchy]:
    """The hierarchies in the text of /proc/PID/mountinfo (proc(5)), each once."""
    found: dict[str, Hierarchy] = {}
    for line in mountinfo.splitlines():
        fields, _, rest = line.partition(" - ")
        kind, _, options = rest.split(" ", 2)
        if kind in ("cgroup", "cgroup2"):
            mount = fields.split(" ")[4]
            found[mount] = Hierarchy(Path(mount), 2 if kind == "cgroup2" else 1, options)
    return list(found.values())


def create(layout: Layout, node: str) -> None:
    """Make a node's control groups. Raises CannotRunHere if this machine does not allow it."""
    found = hierarchies()
    # A hybrid machine has version 1 hierarchies with all controllers, and a version 2 one with none.
    version = 1 if any("memory" in hierarchy.options.split(",") for hierarchy in found) else 2
    try:
        for hierarchy in found:
            if hierarchy.version == version:
                _create(hierarchy, (tree_of(layout), node))
    except OSError as error:
        raise CannotRunHere(f"control groups cannot be made here ({error})") from error


def _create(hierarchy: Hierarchy, path: tuple[str, ...]) -> None:
    group = hierarchy.mount
    for part in path:
        if hierarchy.version == 2:
            controllers = (group / "cgroup.controllers").read_text().split()
            (group / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in controllers))
        parent, group = group, group / part
        group.mkdir(exist_ok=True)
        for file, share in (("cpu.shares", 1024), ("cpu.weight", 100)):
            if parent == hierarchy.mount and (group / file).exists():
                (group / file).write_text(str(SHARES * share))
        if hierarchy.version == 1 and "cpuset" in hierarchy.options.split(","):
            # A new group of this controller has no CPU and no memory node, and nothing runs in it until it has.
            for file in ("cpuset.cpus", "cpuset.mems"):
                if not (group / file).read_text().strip():
                    (group / file).write_text((parent / file).read_text())


def groups(layout: Layout, node: str = "") -> list[Path]:
    """Every control group of the cluster, or of one of its nodes, children before parents."""
    tops = (hierarchy.mount / tree_of(layout) / node for hierarchy in hierarchies())
    return [group for top in tops for group in _below(top)]


def kill(layout: Layout, node: str = "") -> None:
    """Kill every process in the control groups of the cluster, or of one of its nodes."""
    for group in groups(layout, node):
        for pid in _processes(group):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def remove(layout: Layout, node: str = "", seconds: float = 10.0) -> None:
    """Remove the control groups, once what runs in them is gone. Raises Failed if they stay."""
    deadline = time.monotonic() + seconds
    while remaining := groups(layout, node):
        kill(layout, node)
        for group in remaining:
            try:
                group.rmdir()
            except OSError:
                break
        else:
            return
        if time.monotonic() > deadline:
            raise Failed(f"the control group {remaining[0]} cannot be removed: something runs in it")
        time.sleep(0.05)


def _processes(group: Path) -> Iterator[int]:
    try:
        yield from map(int, (group / "cgroup.procs").read_text().split())
    except (FileNotFoundError, OSError):
        return


def _below(top: Path) -> Iterator[Path]:
    for directory, _, _ in os.walk(top, topdown=False):
        yield Path(directory)
