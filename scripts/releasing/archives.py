"""Archives whose bytes follow from their contents alone: sorted, of one owner, of one time, compressed one way."""

from __future__ import annotations

import fnmatch
import gzip
import hashlib
import io
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path


def tgz(files: Mapping[str, tuple[bytes, int]], epoch: int) -> bytes:
    """A gzipped tar of ``files``: name -> content and mode. ``epoch``: their time, in seconds."""
    raw = io.BytesIO()
    # The name would be that of the file on this machine; without one, none is in the header.
    with (
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=epoch) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for name, (content, mode) in sorted(files.items()):
            info = tarfile.TarInfo(name)
            info.size, info.mode, info.mtime = len(content), 0o755 if mode & 0o100 else 0o644, epoch
            archive.addfile(info, io.BytesIO(content))
    return raw.getvalue()


def repacked(archive: Path, epoch: int) -> bytes:
    """A gzipped tar again, with nothing of the machine and the moment that made it."""
    with tarfile.open(archive) as source:
        members = [m for m in source.getmembers() if m.isfile()]
        return tgz({m.name: (_read(source, m), m.mode) for m in members}, epoch)


def _read(source: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    content = source.extractfile(member)
    assert content is not None
    return content.read()


def folder(path: Path, prefix: str, ignored: Iterable[str] = ()) -> dict[str, tuple[bytes, int]]:
    """The files below a folder as ``tgz`` takes them, with ``prefix`` before their names."""
    names = {file: file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file()}
    kept = {file: name for file, name in names.items() if not _matches(name, ignored)}
    return {f"{prefix}/{name}": (file.read_bytes(), file.stat().st_mode) for file, name in kept.items()}


def _matches(name: str, patterns: Iterable[str]) -> bool:
    """Whether a pattern of a .helmignore is for this file: for its name, or for a folder that it is in."""
    *folders, last = name.split("/")
    return any(
        p.rstrip("/") in folders if p.endswith("/") else fnmatch.fnmatch(last, p) for p in patterns if p and p[0] != "#"
    )


def checksums(directory: Path) -> str:
    """What ``sha256sum --check`` reads, for every file of a folder."""
    return "".join(_checksums(directory))


def _checksums(directory: Path) -> Iterator[str]:
    for file in sorted(directory.iterdir()):
        yield f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n"
