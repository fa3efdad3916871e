"""The program with which a head's container looks at its volume before Ray does, and says what is wrong with it.

Ray's GCS would end without a word that leaves the container. It runs in the user's image, by the Python of that image:
it is one file and uses the standard library alone.

    python -c PROGRAM <folder> <file for the message> <field about the size>
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

FIELD = "spec.headRecovery.storage"
REFUSED = 78
# What Ray writes when it opens a store is a tenth of this.
ROOM = 4 << 20
CHECK = ".ray-operator-check"
_FULL = (errno.ENOSPC, errno.EDQUOT)
_MIB = 1 << 20


def look(folder: Path, size_field: str, write: Callable[[Path], object]) -> str:
    """What keeps Ray from writing to the folder, and what to do about it; empty when nothing does.

    ``size_field``: where the size of the volume is changed. ``write``: puts a file with ROOM bytes there.
    """
    file = folder / CHECK
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write(file)
    except OSError as error:
        return _said(folder, size_field, error)
    finally:
        with suppress(OSError):
            file.unlink()
    return ""


def _said(folder: Path, size_field: str, error: OSError) -> str:
    if error.errno in _FULL:
        return (
            f"{size_field}: the volume is full: {_used(folder)}, and Ray needs {ROOM // _MIB} MiB; make the volume "
            f"bigger, or delete what is not Ray's from it"
        )
    if error.errno == errno.EROFS:
        return f"{FIELD}: the volume can only be read; use one that can be written to"
    if error.errno in (errno.EACCES, errno.EPERM):
        user = f"{os.geteuid()}:{','.join(map(str, sorted({os.getegid(), *os.getgroups()})))}"
        return (
            f"{FIELD}: the volume refuses files of the user and groups {user}; set "
            "podConfig.spec.securityContext.fsGroup of the head's type to a group that may write to it"
        )
    return f"{FIELD}: the volume cannot be written to ({error.strerror or error}); look at the volume and its node"


def _used(folder: Path) -> str:
    """How much of the file system is in use."""
    while not folder.exists():
        folder = folder.parent
    found = os.statvfs(folder)
    size = found.f_blocks * found.f_frsize
    return f"{(size - found.f_bavail * found.f_frsize) // _MIB} of {size // _MIB} MiB are in use"


def fill(file: Path) -> None:
    """Write so many bytes, and have them on the disk.

    Raises:
        OSError: there is no room, or no right.
    """
    with file.open("wb") as opened:
        opened.write(b"\0" * ROOM)
        opened.flush()
        os.fsync(opened.fileno())


def main(arguments: Sequence[str]) -> int:
    """The exit code: REFUSED when Ray need not try."""
    folder, file, size_field = arguments
    said = look(Path(folder), size_field, fill)
    if not said:
        return 0
    sys.stderr.write(f"ray-operator: {said}\n")
    with suppress(OSError):
        Path(file).write_text(f"ray-operator: {said}")
    return REFUSED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
