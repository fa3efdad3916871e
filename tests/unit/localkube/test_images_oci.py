"""Layers and archives, read back with tarfile and json."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import tarfile
from pathlib import Path
from typing import Any

import pytest
from localkube.images import oci
from localkube.images.oci import ImageConfig, ImageSpec, Layer, pack_layer, write_docker_archive

from tests.support.prerequisites import cannot_run


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    (root / "usr/bin").mkdir(parents=True)
    (root / "etc").mkdir()
    (root / "usr/bin/python3.11").write_bytes(b"elf")
    (root / "usr/bin/python3.11").chmod(0o4755)
    (root / "usr/bin/python3").symlink_to("python3.11")
    (root / "etc/é-name").write_text("x")
    return root


def packed(tree: Path, name: str = "layer.tar") -> Layer:
    return pack_layer(tree, tree.parent / name)


def members(layer: Layer) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(layer.tar) as archive:
        return {member.name: member for member in archive.getmembers()}


def test_a_layer_holds_the_tree_parents_first_in_the_order_of_names(tree: Path) -> None:
    expected = ["etc", "etc/é-name", "usr", "usr/bin", "usr/bin/python3", "usr/bin/python3.11"]
    assert list(members(packed(tree))) == expected


def test_modes_owners_and_symbolic_links_are_kept(tree: Path) -> None:
    found = members(packed(tree))
    assert found["usr/bin/python3.11"].mode == 0o4755
    assert (found["etc"].uid, found["etc"].gid) == (os.getuid(), os.getgid())
    assert found["usr/bin/python3"].issym() and found["usr/bin/python3"].linkname == "python3.11"


def test_the_digest_is_the_sha256_of_the_file(tree: Path) -> None:
    layer = packed(tree)
    assert layer.digest == hashlib.sha256(layer.tar.read_bytes()).hexdigest()


def test_late_times_are_clamped_and_early_ones_kept(tree: Path) -> None:
    os.utime(tree / "etc", (1_000_000_000, 1_000_000_000))
    found = members(packed(tree))
    assert found["etc"].mtime == 1_000_000_000
    assert found["usr"].mtime == oci.LATEST


def test_the_same_tree_packs_to_the_same_digest_whenever_it_was_made(tree: Path) -> None:
    first = packed(tree)
    os.utime(tree / "etc/é-name", (oci.LATEST + 9, oci.LATEST + 9))
    assert packed(tree, "again.tar").digest == first.digest


def test_a_second_name_of_a_file_is_stored_as_a_hard_link(tree: Path) -> None:
    (tree / "usr/bin/python4").hardlink_to(tree / "usr/bin/python3.11")
    found = members(packed(tree))
    assert found["usr/bin/python3.11"].isreg()
    assert found["usr/bin/python4"].islnk() and found["usr/bin/python4"].linkname == "usr/bin/python3.11"


def test_a_file_with_one_name_inside_the_tree_is_stored_whole(tree: Path) -> None:
    (tree.parent / "outside").hardlink_to(tree / "usr/bin/python3.11")
    assert members(packed(tree))["usr/bin/python3.11"].isreg()


def test_sockets_are_left_out(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tree)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        assert "socket" not in members(packed(tree))


def test_user_attributes_are_kept_and_overlay_marks_are_not(tree: Path) -> None:
    try:
        os.setxattr(tree / "usr", "user.note", b"kept\xff")
        os.setxattr(tree / "usr", "user.overlay.origin", b"x")
    except OSError:
        cannot_run("this file system has no user attributes")
    headers = members(packed(tree))["usr"].pax_headers
    assert headers["SCHILY.xattr.user.note"].encode("utf-8", "surrogateescape") == b"kept\xff"
    assert not any("overlay" in key for key in headers)


def test_an_opaque_directory_gets_the_opaque_whiteout(tree: Path) -> None:
    try:
        os.setxattr(tree / "etc", "user.overlay.opaque", b"y")
    except OSError:
        cannot_run("this file system has no user attributes")
    found = list(members(packed(tree)))
    assert found[:3] == ["etc", "etc/.wh..wh..opq", "etc/é-name"]


def test_removed_files_become_whiteouts_also_when_overlayfs_links_them(tree: Path) -> None:
    try:
        os.mknod(tree / "etc/gone", 0o020000, os.makedev(0, 0))
    except PermissionError:
        cannot_run("this user may not make whiteouts")
    (tree / "removed").hardlink_to(tree / "etc/gone")
    found = members(packed(tree))
    assert "etc/gone" not in found and "removed" not in found
    for name in ("etc/.wh.gone", ".wh.removed"):
        assert found[name].isreg() and found[name].size == 0


def content(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as archive:
        files = {member.name: archive.extractfile(member) for member in archive.getmembers()}
        return {name: file.read() for name, file in files.items() if file is not None}


def layer_of(path: Path, data: bytes) -> Layer:
    path.write_bytes(data)
    return Layer(path, hashlib.sha256(data).hexdigest())


def test_an_archive_names_configuration_and_layers_by_content(tmp_path: Path) -> None:
    lower, upper = layer_of(tmp_path / "1", b"lower"), layer_of(tmp_path / "2", b"upper")
    config = ImageConfig(user="1:2", env={"A": "b"}, entrypoint=("run",), labels={"title": "t"})
    write_docker_archive(tmp_path / "image.tar", [ImageSpec(("example.org/a:1",), config, (lower, upper))])
    files = content(tmp_path / "image.tar")
    manifest: list[dict[str, Any]] = json.loads(files["manifest.json"])
    (image,) = manifest
    assert image["RepoTags"] == ["example.org/a:1"]
    assert [files[name] for name in image["Layers"]] == [b"lower", b"upper"]
    assert image["Config"] == f"{hashlib.sha256(files[image['Config']]).hexdigest()}.json"
    document = json.loads(files[image["Config"]])
    assert document["rootfs"]["diff_ids"] == [f"sha256:{lower.digest}", f"sha256:{upper.digest}"]
    assert document["config"]["User"] == "1:2"
    assert document["config"]["Env"] == ["A=b"]
    assert document["config"]["Entrypoint"] == ["run"]
    assert document["architecture"] == oci.architecture()


def test_images_in_one_archive_share_the_bytes_of_a_shared_layer(tmp_path: Path) -> None:
    base, app = layer_of(tmp_path / "1", b"base"), layer_of(tmp_path / "2", b"app")
    images = [ImageSpec(("a:1",), ImageConfig(), (base,)), ImageSpec(("b:1",), ImageConfig(), (base, app))]
    write_docker_archive(tmp_path / "both.tar", images)
    with tarfile.open(tmp_path / "both.tar") as archive:
        assert archive.getnames().count(f"{base.digest}/layer.tar") == 1
    manifest = json.loads(content(tmp_path / "both.tar")["manifest.json"])
    assert [len(image["Layers"]) for image in manifest] == [1, 2]


def test_a_failed_archive_leaves_nothing_and_the_old_one_in_place(tmp_path: Path) -> None:
    target = tmp_path / "image.tar"
    target.write_bytes(b"old")
    missing = Layer(tmp_path / "missing", "0" * 64)
    with pytest.raises(FileNotFoundError):
        write_docker_archive(target, [ImageSpec(("a:1",), ImageConfig(), (missing,))])
    assert target.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["image.tar"]
