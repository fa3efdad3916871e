"""Images unpacked once: what nodes share, and what each has for itself."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from localkube.machine.console import Failed
from localkube.nodes import importing, seeds
from localkube.nodes.importing import Archive
from localkube.nodes.seeds import _link, _prune

LAYER = "io.containerd.snapshotter.v1.overlayfs/snapshots/1/fs/usr/bin/python"
BLOB = "io.containerd.content.v1.content/blobs/sha256/0123"
DATABASES = ("io.containerd.metadata.v1.bolt/meta.db", "io.containerd.snapshotter.v1.overlayfs/metadata.db")
ANOTHER = "io.containerd.grpc.v1.introspection/uuid"


def test_layers_are_shared_databases_are_copied_and_an_identity_is_neither(tmp_path: Path) -> None:
    root, copy = tmp_path / "seed", tmp_path / "nodes" / "node-1"
    for name in (LAYER, BLOB, *DATABASES, ANOTHER):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    _link(root, copy)
    assert all((copy / name).samefile(root / name) for name in (LAYER, BLOB))
    for name in DATABASES:
        assert (copy / name).read_text() == name
        assert not (copy / name).samefile(root / name)
    assert not (copy / ANOTHER).exists()


def test_the_latest_seeds_by_use_stay_and_what_an_interrupted_command_left_goes(tmp_path: Path) -> None:
    for age, name in enumerate(["a", "b", "c", "d", "e"]):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (1_000 - age, 1_000 - age))
    (tmp_path / ".f.partial").mkdir()
    (tmp_path / ".lock").touch()
    _prune(tmp_path, 2)
    assert sorted(p.name for p in tmp_path.iterdir()) == [".lock", "a", "b"]


def test_files_are_shared_where_one_can_have_two_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An equal device is not enough: two mounts of one file system do not share files."""
    monkeypatch.setattr(seeds, "snapshotter", lambda path: "overlayfs")
    here, there = tmp_path / "seeds", tmp_path / "node"
    for folder in (here, there):
        folder.mkdir()
    assert seeds._can_share(here, there)
    assert [*here.iterdir(), *there.iterdir()] == []
    assert not seeds._can_share(here, Path("/dev/shm"))


def test_what_cannot_be_unpacked_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def broken(root: Path) -> Iterator[Path]:
        (root / "half").mkdir(parents=True)
        yield root / "socket"

    def full(socket: Path, archive: Archive, where: str) -> None:
        raise Failed("no space left on device")

    monkeypatch.setattr(seeds, "_containerd", broken)
    monkeypatch.setattr(importing, "read_in", full)
    with pytest.raises(Failed, match="no space"):
        seeds._made(tmp_path / "seed", None, [Archive(tmp_path / "a.tar", "0123", ("a",))])
    assert list(tmp_path.iterdir()) == []
