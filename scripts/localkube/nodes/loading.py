"""Images from archives into nodes' containerd."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

from localkube.machine.components import running
from localkube.machine.console import Failed, step
from localkube.machine.layout import Layout, locked, read_spec

from .nodeconfig import Node
from .published import names_in, publish


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
            import_archive(nodes, archive)


def import_archive(nodes: Sequence[Node], archive: Path) -> None:
    """Import one archive into all nodes at once, but for those that have what it holds by the same names already."""
    digest = _digest(nodes[0].layout, archive)
    names = names_in(archive) or [digest]
    lacking = [node for node in nodes if any(_content(mark) != digest for mark in _marks(node, names))]
    if not lacking:
        return
    with (
        step(f"importing {archive.name} into {', '.join(node.name for node in lacking)}"),
        ThreadPoolExecutor(len(lacking)) as pool,
    ):
        # What failed is raised here.
        list(pool.map(lambda node: _import(node, archive), lacking))
    for node in lacking:
        for mark in _marks(node, names):
            mark.parent.mkdir(exist_ok=True)
            mark.write_text(digest)


def _import(node: Node, archive: Path) -> None:
    done = subprocess.run(
        ["ctr", "--address", node.socket, "--namespace", "k8s.io", "images", "import", archive],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise Failed(f"{archive} cannot be imported into {node.name}: {done.stderr.strip()}")


def _marks(node: Node, names: Sequence[str]) -> list[Path]:
    """Files that say which archive the node has by these names."""
    return [node.state / "imported" / quote(name, safe="") for name in names]


def _content(mark: Path) -> str:
    return mark.read_text() if mark.exists() else ""


def _digest(layout: Layout, archive: Path) -> str:
    """SHA-256 of the file, remembered for as long as the file looks the same: images are large."""
    status = archive.stat()
    look = [status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns]
    memory = layout.state / "archives.json"
    try:
        known: dict[str, list[object]] = json.loads(memory.read_text())
    except (FileNotFoundError, ValueError):
        known = {}
    key = str(archive.resolve())
    if key in known and known[key][0] == look:
        return str(known[key][1])
    with archive.open("rb") as content:
        sha256 = hashlib.sha256()
        while chunk := content.read(1 << 20):
            sha256.update(chunk)
    known[key] = [look, sha256.hexdigest()]
    memory.write_text(json.dumps(known))
    return sha256.hexdigest()
