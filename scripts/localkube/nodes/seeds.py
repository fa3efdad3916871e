"""Images unpacked once for all nodes, and kept for the next cluster.

A seed is the root of a containerd that has imported some archives, in the project's cache. A node without images and
containers gets a copy of it by hard links: unpacking is nearly all that an import costs, and each node would do it.
What is linked, layers and the files in them, is never written to again; databases are copied.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from localkube.machine.cache import cache_dir
from localkube.machine.components import running, stop_component
from localkube.machine.console import Failed, say, step
from localkube.machine.locks import held

from . import importing
from .importing import Archive, ctr
from .nodeconfig import PAUSE_IMAGE, Node
from .runtimes import accepts, containerd_binary, pause_archive, snapshotter, start_runtimes

_OVERLAYFS = "overlayfs"
# What of a containerd's root holds images.
_CONTENT = "io.containerd.content.v1.content"
_LAYERS = f"io.containerd.snapshotter.v1.{_OVERLAYFS}"
_METADATA = "io.containerd.metadata.v1.bolt"
_START_SECONDS, _END_SECONDS = 60.0, 10.0
# The latest by use: Ray alone, and with two versions of the operator.
_KEEP = 3


def plant(nodes: Sequence[Node], archives: Sequence[Archive]) -> None:
    """Give all that is in the archives to the nodes that have nothing yet, where files can be shared with the cache.

    It saves time and room and is needed for nothing else: where it fails, it says so, and each node imports.
    """
    bare = [node for node in nodes if _is_bare(node)]
    seeds = cache_dir() / "images" / "seeds"
    seeds.mkdir(parents=True, exist_ok=True)
    if not bare or not _can_share(seeds, bare[0].state):
        return
    try:
        with held(seeds / ".lock", "another command that unpacks images"):
            seed = _ensure(seeds, bare[0], archives)
            what = " and ".join(archive.path.name for archive in archives)
            with step(f"giving {what} to {', '.join(node.name for node in bare)}"):
                given = _share(seed, bare)
    except (Failed, OSError) as error:
        say(f"  images cannot be shared, each node unpacks them: {error}")
        return
    for node in given:
        for archive in archives:
            importing.note(node, archive)


def _share(seed: Path, nodes: Sequence[Node]) -> list[Node]:
    """Give a seed to nodes, but for those that have a container by now; those that have it."""
    init = running(nodes[0].layout, "init")
    if init is None:
        raise Failed(f"cluster {nodes[0].layout.name} does not run: 'up' starts it")
    copies = {node: node.state / "containerd.partial" for node in nodes}
    try:
        for copy in copies.values():
            shutil.rmtree(copy, ignore_errors=True)
        with ThreadPoolExecutor(len(nodes)) as pool:
            list(pool.map(lambda copy: _link(seed / "root", copy), copies.values()))
        # Making the seed and the copies took a while.
        given = [node for node in nodes if _is_bare(node)]
        try:
            for node in given:
                _exchange(node, copies[node])
        finally:
            # Whatever happened, each has a whole root.
            start_runtimes(nodes, init.process.pid)
    finally:
        for node, copy in copies.items():
            for left in (copy, _old(node)):
                shutil.rmtree(left, ignore_errors=True)
    return given


def _exchange(node: Node, copy: Path) -> None:
    """Take another root, without a moment in which what is there is neither the old one nor the new one whole."""
    root = node.state / "containerd"
    importing.forget(node)
    stop_component(node.layout, node.containerd)
    root.rename(_old(node))
    copy.rename(root)
    importing.note(node, pause_archive(node.layout))


def _old(node: Node) -> Path:
    return node.state / "containerd.old"


def _is_bare(node: Node) -> bool:
    """Whether a node has no container, and no image but the one of pods' sandboxes."""
    if ctr(node.socket, "containers", "list", "--quiet").strip():
        return False
    images = ctr(node.socket, "images", "list", "--quiet").split()
    return all(name == PAUSE_IMAGE or name.startswith("sha256:") for name in images)


def _can_share(seeds: Path, state: Path) -> bool:
    """Whether both stack layers, and a file can have a name in both: not across mounts, nor across quotas."""
    if {snapshotter(seeds), snapshotter(state)} != {_OVERLAYFS}:
        return False
    with tempfile.NamedTemporaryFile(dir=seeds, prefix=".") as probe:
        there = state / Path(probe.name).name
        try:
            there.hardlink_to(probe.name)
        except OSError:
            return False
        there.unlink()
    return True


def _ensure(seeds: Path, node: Node, archives: Sequence[Archive]) -> Path:
    """The seed with these archives in it, made from the one with all but the last."""
    grown = [pause_archive(node.layout)]
    seed: Path | None = None
    for archive in archives:
        grown.append(archive)
        known = [containerd_binary().version, *(each.digest for each in grown)]
        key = hashlib.sha256(json.dumps(known).encode()).hexdigest()[:16]
        seed = _made(seeds / key, seed, grown[-1:] if seed else grown)
    assert seed is not None
    return seed


def _made(seed: Path, smaller: Path | None, archives: Sequence[Archive]) -> Path:
    """The seed, which has these archives more than a smaller one."""
    if seed.exists():
        os.utime(seed)
        return seed
    _prune(seed.parent, _KEEP - 1)
    partial = seed.with_name(f".{seed.name}.partial")
    partial.mkdir()
    try:
        with step(f"unpacking {archives[-1].path.name}"):
            if smaller:
                _link(smaller / "root", partial / "root")
            with _containerd(partial / "root") as socket:
                for archive in archives:
                    importing.read_in(socket, archive, "the cache")
            # A name must not outlive its content in a crash.
            subprocess.run(["sync", "--file-system", partial], check=False)
        partial.rename(seed)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return seed


@contextmanager
def _containerd(root: Path) -> Iterator[Path]:
    """A containerd for this while, with mounts of its own; its socket. It ends with this process."""
    with tempfile.TemporaryDirectory(prefix="containerd-") as scratch:
        folder = Path(scratch)
        socket, config, log = (folder / name for name in ("socket", "config.toml", "log"))
        config.write_text(
            f'version = 2\nroot = "{root}"\nstate = "{folder}/state"\n'
            f'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n[grpc]\n  address = "{socket}"\n'
        )
        alone = ("setpriv", "--pdeathsig", "KILL", "unshare", "--mount")
        command = [*alone, f"{containerd_binary().path}", "--config", f"{config}", "--log-level", "warn"]
        with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output) as daemon:
            try:
                _wait_for(socket, daemon, log)
                yield socket
            finally:
                daemon.terminate()
                try:
                    daemon.wait(_END_SECONDS)
                except subprocess.TimeoutExpired:
                    daemon.kill()


def _wait_for(socket: Path, daemon: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + _START_SECONDS
    while not accepts(socket):
        if daemon.poll() is not None or time.monotonic() > end:
            raise Failed(f"containerd does not start: {log.read_text()[-500:].strip()}")
        time.sleep(0.05)


def _link(root: Path, copy: Path) -> None:
    """Copy a containerd's images by hard links, and its databases byte by byte."""
    copy.mkdir(parents=True)
    for part in (_CONTENT, _LAYERS, _METADATA):
        command: list[str | Path] = ["cp", "--archive", "--link", root / part, copy / part]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Failed((done.stderr.strip().splitlines() or ["cp was killed"])[-1])
        for database in (copy / part).glob("*.db"):
            database.unlink()
            shutil.copy2(root / part / database.name, database)


def _prune(seeds: Path, kept: int) -> None:
    """Remove those that were used least lately, and what an interrupted command left."""
    found = [s for s in seeds.iterdir() if s.is_dir() and not s.name.startswith(".")]
    for old in sorted(found, key=lambda s: s.stat().st_mtime, reverse=True)[kept:]:
        # First the name: what has a final one is whole.
        old.rename(old.with_name(f".{old.name}.partial"))
    for hidden in seeds.glob(".*.partial"):
        shutil.rmtree(hidden)
