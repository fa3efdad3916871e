"""Container images as files: packs directory trees into layers and layers into docker-archive tars.

The archive is what ``docker save`` writes and ``docker load``, ``podman load`` and
``ctr -n k8s.io images import`` read: one tar with a ``manifest.json``, a configuration per image and the
layers, uncompressed because import time is what a person waits for. Layers are named by content, so images
that share a layer share its bytes.

The same tree packs to the same bytes: entries are sorted, modification times are clamped to `LATEST` and
nothing else of the packing machine gets in.

Format: https://github.com/moby/docker-image-spec/blob/main/v1.2.md
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import stat
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

# 2026-01-01T00:00:00Z. Unpacked wheels carry the time of unpacking; clamping makes two builds equal. Not
# zero, because Python's zipfile (which Ray uses to ship working directories) refuses times before 1980.
LATEST = 1_767_225_600
CREATED = "2026-01-01T00:00:00Z"

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"
_OVERLAY_OPAQUE = ("trusted.overlay.opaque", "user.overlay.opaque")


@dataclass(frozen=True)
class Layer:
    """One uncompressed layer tar; `digest` is the SHA-256 of the whole file in hex, its diff ID."""

    tar: Path
    digest: str


@dataclass(frozen=True)
class ImageConfig:
    """What a container of the image starts as, unless the pod says otherwise."""

    user: str = ""
    workdir: str = "/"
    env: Mapping[str, str] = field(default_factory=dict)
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ImageSpec:
    """One image: full names with tags (``docker.io/rayproject/ray:2.60.0``), and layers from the bottom up."""

    names: tuple[str, ...]
    config: ImageConfig
    layers: tuple[Layer, ...]


def architecture() -> str:
    """This machine's architecture by its container name, such as ``amd64``."""
    machine = platform.machine()
    return _ARCHITECTURES.get(machine, machine)


def pack_layer(tree: Path, tar: Path) -> Layer:
    """Write `tree` as a layer to `tar`, through one pass over the files.

    `tree` is a whole root file system or the upper directory of an overlay mount: overlayfs's own marks for
    removed files (a 0/0 character device) and replaced directories (an opaque attribute) become the whiteout
    files that image layers use instead.
    """
    with tar.open("wb") as raw:
        hashing = _HashingWriter(raw)
        with tarfile.open(fileobj=hashing, mode="w", format=tarfile.PAX_FORMAT) as archive:  # type: ignore[call-overload]
            links: dict[tuple[int, int], str] = {}
            for name, path in _walk(tree, ""):
                _add(archive, name, path, links)
        _sync(raw)
    return Layer(tar, hashing.hexdigest())


def write_docker_archive(path: Path, images: Sequence[ImageSpec]) -> None:
    """Write `images` to one archive at `path`, which appears whole or not at all."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as raw:
            with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as archive:
                _add_images(archive, images)
            _sync(raw)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def config_json(image: ImageSpec, of: str | None = None) -> bytes:
    """The image's configuration; the SHA-256 of these bytes is the image's identity.

    ``of``: the architecture that its programs are for, this machine's by default.
    """
    config = image.config
    document = {
        "architecture": of or architecture(),
        "os": "linux",
        "created": CREATED,
        "config": {
            "User": config.user,
            "WorkingDir": config.workdir,
            "Env": [f"{name}={value}" for name, value in config.env.items()],
            "Entrypoint": list(config.entrypoint),
            "Cmd": list(config.cmd),
            "Labels": dict(config.labels),
        },
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer.digest}" for layer in image.layers]},
    }
    return json.dumps(document, sort_keys=True).encode()


def _add_images(archive: tarfile.TarFile, images: Sequence[ImageSpec]) -> None:
    manifest: list[dict[str, Any]] = []
    written: set[str] = set()
    for image in images:
        for layer in image.layers:
            if layer.digest not in written:
                _add_file(archive, _layer_name(layer), layer.tar)
                written.add(layer.digest)
        config = config_json(image)
        name = f"{hashlib.sha256(config).hexdigest()}.json"
        if name not in written:
            _add_bytes(archive, name, config)
            written.add(name)
        layers = [_layer_name(layer) for layer in image.layers]
        manifest.append({"Config": name, "RepoTags": list(image.names), "Layers": layers})
    _add_bytes(archive, "manifest.json", json.dumps(manifest).encode())


def _layer_name(layer: Layer) -> str:
    return f"{layer.digest}/layer.tar"


def _add_bytes(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mtime = len(content), LATEST
    archive.addfile(info, io.BytesIO(content))


def _add_file(archive: tarfile.TarFile, name: str, source: Path) -> None:
    with source.open("rb") as content:
        info = tarfile.TarInfo(name)
        info.size, info.mtime = os.fstat(content.fileno()).st_size, LATEST
        archive.addfile(info, content)


def _walk(directory: Path, prefix: str) -> Iterator[tuple[str, Path]]:
    """Every path below `directory`, parents before children, in the order of their names."""
    for entry in sorted(os.scandir(directory), key=lambda entry: entry.name):
        path, name = Path(entry.path), prefix + entry.name
        yield name, path
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(path, f"{name}/")


def _add(archive: tarfile.TarFile, name: str, path: Path, links: dict[tuple[int, int], str]) -> None:
    """Append one path. `links`: (device, inode) of files with several names -> the name packed first."""
    status = path.lstat()
    info = _header(name, path, status)
    if info is None:
        return
    # By the file's own kind: overlayfs links its whiteouts to one another, and those must stay apart.
    if stat.S_ISREG(status.st_mode) and status.st_nlink > 1:
        first = links.setdefault((status.st_dev, status.st_ino), name)
        if first != name:
            info.type, info.linkname, info.size, info.pax_headers = tarfile.LNKTYPE, first, 0, {}
    if info.isreg() and info.size:
        with path.open("rb") as content:
            archive.addfile(info, content)
    else:
        archive.addfile(info)
    if info.isdir() and _is_opaque(path):
        archive.addfile(_whiteout(f"{name}/{_OPAQUE}"))


def _header(name: str, path: Path, status: os.stat_result) -> tarfile.TarInfo | None:
    """The tar header of one path; None for a socket, which only a running process can give meaning."""
    info = tarfile.TarInfo(name)
    info.mode, info.uid, info.gid = stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid
    info.mtime = min(int(status.st_mtime), LATEST)
    info.pax_headers = _attributes(path)
    kind = stat.S_IFMT(status.st_mode)
    if kind == stat.S_IFCHR and status.st_rdev == 0:
        parent, _, base = name.rpartition("/")
        return _whiteout(f"{parent}/{_WHITEOUT}{base}" if parent else _WHITEOUT + base)
    if kind == stat.S_IFREG:
        info.size = status.st_size
    elif kind == stat.S_IFDIR:
        info.type = tarfile.DIRTYPE
    elif kind == stat.S_IFLNK:
        info.type, info.linkname = tarfile.SYMTYPE, os.fspath(path.readlink())
    elif kind == stat.S_IFIFO:
        info.type = tarfile.FIFOTYPE
    elif kind in (stat.S_IFCHR, stat.S_IFBLK):
        info.type = tarfile.CHRTYPE if kind == stat.S_IFCHR else tarfile.BLKTYPE
        info.devmajor, info.devminor = os.major(status.st_rdev), os.minor(status.st_rdev)
    else:
        return None
    return info


def _whiteout(name: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.mtime = LATEST
    return info


def _attributes(path: Path) -> dict[str, str]:
    """Extended attributes as PAX records; what a file system or a security module keeps for itself stays out."""
    return {
        f"SCHILY.xattr.{key}": os.getxattr(path, key, follow_symlinks=False).decode("utf-8", "surrogateescape")
        for key in sorted(os.listxattr(path, follow_symlinks=False))
        if key == "security.capability" or (key.startswith("user.") and not key.startswith("user.overlay."))
    }


def _is_opaque(path: Path) -> bool:
    present = set(os.listxattr(path, follow_symlinks=False)).intersection(_OVERLAY_OPAQUE)
    return any(os.getxattr(path, key, follow_symlinks=False) == b"y" for key in present)


def _sync(file: IO[bytes]) -> None:
    """Reach the disk before a rename says the file is whole: a name must not outlive its content in a crash."""
    file.flush()
    os.fsync(file.fileno())


class _HashingWriter:
    """The part of a file that tarfile writes to, with a running SHA-256."""

    def __init__(self, target: IO[bytes]) -> None:
        self._target = target
        self._sha256 = hashlib.sha256()
        self._position = 0

    def write(self, data: bytes) -> int:
        self._sha256.update(data)
        self._position += len(data)
        return self._target.write(data)

    def tell(self) -> int:
        return self._position

    def hexdigest(self) -> str:
        return self._sha256.hexdigest()
