"""Images from archives into nodes' containerd."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from localkube.machine.components import running
from localkube.machine.console import Failed
from localkube.machine.layout import Layout, locked, read_spec

from . import seeds
from .importing import Archive, import_archive
from .nodeconfig import Node
from .published import publish


def load(layout: Layout, archives: Sequence[Path], names: Sequence[str] = ()) -> None:
    """Import archives into every real node that lacks them, and let nodes pull what is in them.

    `names`: further names that the one image of the one archive can be pulled by.

    Raises Failed if an archive is not there or is none, or if the cluster has no real nodes.
    """
    for archive in archives:
        if not archive.is_file():
            raise Failed(f"there is no archive {archive}")
    with locked(layout):
        spec = read_spec(layout)
        if spec is None or not spec.nodes:
            raise Failed(f"cluster {layout.name} has no real nodes to load images into")
        nodes = [Node(layout, spec, number) for number in range(1, spec.nodes + 1)]
        stopped = [node.name for node in nodes if running(layout, node.containerd) is None]
        if stopped:
            raise Failed(f"containerd does not run on {', '.join(stopped)}: 'up' or 'start-node' first")
        for archive in archives:
            publish(layout, archive, names)
        wanted = [Archive.of(layout, archive) for archive in archives]
        seeds.plant(nodes, wanted)
        for each in wanted:
            import_archive(nodes, each)
