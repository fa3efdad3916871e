"""The container runtimes of nodes."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from localkube.controlplane.pki import issue
from localkube.machine import cgroups
from localkube.machine.binaries import Binary, parse_version, show_version
from localkube.machine.components import ensure_running, wait_until
from localkube.machine.console import Failed
from localkube.machine.layout import Layout
from localkube.machine.packages import cni_plugins, version_of

from . import pause
from .importing import Archive, import_archive
from .nodeconfig import Node, containerd


def start_runtimes(nodes: Sequence[Node], inside: int) -> None:
    """Make the nodes' containerd run, with the image of sandboxes. `inside`: pid of the cluster's init process."""
    plugins = cni_plugins()
    if plugins is None:
        raise Failed("the container network plugins are missing")
    binary = containerd_binary()
    sandboxes = pause_archive(nodes[0].layout)
    for node in nodes:
        for directory in (node.state, node.run):
            directory.mkdir(parents=True, exist_ok=True)
        cgroups.create(node.layout, node.name)
        issue(node.layout.pki, [node.certificate])
        ensure_running(node.layout, containerd(node, binary, plugins, snapshotter(node.state)), inside)
    for node in nodes:
        wait_until(node.layout, partial(accepts, node.socket), node.containerd, 180)
        import_archive([node], sandboxes)


def pause_archive(layout: Layout) -> Archive:
    """The archive of the image of pods' sandboxes."""
    path = layout.state / "pause.tar"
    if not path.exists():
        pause.write_archive(path)
    return Archive.of(layout, path)


def snapshotter(path: Path) -> str:
    """How containerd stacks image layers: overlayfs, or copies where the disk is itself an overlay."""
    best, kind = "", ""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields, _, rest = line.partition(" - ")
        mount = fields.split(" ")[4]
        if len(mount) >= len(best) and (mount == "/" or path.is_relative_to(mount)):
            best, kind = mount, rest.split(" ")[0]
    return "native" if kind == "overlay" else "overlayfs"


def containerd_binary() -> Binary:
    """The program and its version. Raises Failed if it is missing."""
    path = shutil.which("containerd")
    if path is None:
        raise Failed("containerd is missing")
    version = parse_version(version_of("containerd"))
    return Binary(Path(path), show_version(version) if version else "")


def accepts(unix_socket: Path) -> bool:
    """Whether somebody listens there."""
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(unix_socket))
        except OSError:
            return False
    return True
