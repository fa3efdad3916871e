"""A node's failure, as sudden as a machine's."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from localkube.machine import cgroups
from localkube.machine.components import running
from localkube.machine.processes import this_boot, wait_gone

from .nodeconfig import Node


def kill_node(node: Node) -> None:
    """Kill the kubelet, containerd, its shims and the containers, all without warning."""
    for name in (node.kubelet, node.containerd):
        record = running(node.layout, name)
        if record:
            record.process.kill(signal.SIGKILL)
            wait_gone(record.process, 10)
    # Shims first: one that outlives its container would still report how it ended.
    for pid in _shims(node):
        process = this_boot(pid)
        if process:
            os.kill(pid, signal.SIGKILL)
            wait_gone(process, 10)
    cgroups.kill(node.layout, node.name)


def _shims(node: Node) -> list[int]:
    """The processes between this node's containerd and its containers; each gets the socket to report to."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                arguments = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if b"containerd-shim" in arguments[0] and os.fsencode(node.socket) in arguments:
                found.append(int(entry.name))
    return found
