"""Images from archives into nodes' containerd, one node at a time or all at once."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from localkube.machine.console import Failed, step
from localkube.machine.layout import Layout

from .nodeconfig import Node
from .published import names_in

_MARKS = "imported"


@dataclass(frozen=True)
class Archive:
    """A file with images as it was when it was looked at: its SHA-256, and the names in it."""

    path: Path
    digest: str
    names: tuple[str, ...]

    @classmethod
    def of(cls, layout: Layout, path: Path) -> Archive:
        """Look at a file."""
        digest = _digest(layout, path)
        return cls(path, digest, tuple(names_in(path)) or (digest,))


def import_archive(nodes: Sequence[Node], archive: Archive) -> None:
    """Import one archive into all nodes at once, but for those that have what it holds by the same names already."""
    lacking = [node for node in nodes if not has(node, archive)]
    if not lacking:
        return
    with (
        step(f"importing {archive.path.name} into {', '.join(node.name for node in lacking)}"),
        ThreadPoolExecutor(len(lacking)) as pool,
    ):
        # What failed is raised here.
        list(pool.map(lambda node: read_in(node.socket, archive, node.name), lacking))
    for node in lacking:
        note(node, archive)


def read_in(socket: Path, archive: Archive, where: str) -> None:
    """Have a containerd import an archive. Raises Failed if it cannot."""
    try:
        ctr(socket, "images", "import", archive.path)
    except Failed as error:
        raise Failed(f"{archive.path} cannot be imported into {where}: {error}") from error


def ctr(socket: Path, *arguments: str | Path) -> str:
    """What containerd's own client prints, for the images and containers of Kubernetes. Raises Failed if it fails."""
    command = ["ctr", "--address", socket, "--namespace", "k8s.io", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failed(done.stderr.strip())
    return done.stdout


def has(node: Node, archive: Archive) -> bool:
    """Whether the node has what the archive holds, by the names in it."""
    return all(mark.exists() and mark.read_text() == archive.digest for mark in _marks(node, archive))


def note(node: Node, archive: Archive) -> None:
    """Remember that the node has it."""
    for mark in _marks(node, archive):
        mark.parent.mkdir(exist_ok=True)
        mark.write_text(archive.digest)


def forget(node: Node) -> None:
    """Remember of no archive that the node has it."""
    shutil.rmtree(node.state / _MARKS, ignore_errors=True)


def _marks(node: Node, archive: Archive) -> list[Path]:
    """Files that say which archive the node has by these names."""
    return [node.state / _MARKS / quote(name, safe="") for name in archive.names]


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
