"""Programs of Debian, unpacked into the cache without being installed: that needs no root and changes no machine."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from localkube.machine.apt import APT_GET, apt_alone
from localkube.machine.cache import cache_dir


class CannotUnpackError(Exception):
    """A package cannot be had; the message says what is missing."""


def unpacked(package: str, *, with_dependencies: bool = False) -> Path:
    """The directory with the files of a package, and on demand of those that it needs and this machine lacks.

    Raises:
        CannotUnpackError: there is no apt, or it does not find the package.
    """
    place = cache_dir() / "debian" / package
    if place.exists():
        return place
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise CannotUnpackError(f"there is no apt-get to fetch Debian's package {package} with")
    place.parent.mkdir(parents=True, exist_ok=True)
    with apt_alone(), tempfile.TemporaryDirectory(dir=place.parent, prefix="partial-") as partial:
        if place.exists():
            return place
        if not _downloaded(package, partial, with_dependencies):
            # A machine that never fetched the list of packages cannot know it.
            _apt("update", cwd=partial)
            if not _downloaded(package, partial, with_dependencies):
                raise CannotUnpackError(f"apt-get cannot download Debian's package {package}")
        files = Path(partial) / "files"
        for archive in Path(partial).glob("*.deb"):
            subprocess.run(["dpkg-deb", "-x", archive, files], check=True)
        files.rename(place)
    return place


def libraries(place: Path) -> str:
    """Every directory of unpacked packages that has shared libraries, for LD_LIBRARY_PATH."""
    return ":".join(sorted({str(path.parent) for path in place.glob("**/*.so*")}))


def _downloaded(package: str, cwd: str, with_dependencies: bool) -> bool:
    wanted = [package]
    if with_dependencies:
        simulated = _apt("install", "--simulate", "--no-install-recommends", package, cwd=cwd)
        wanted += [line.split()[1] for line in simulated.stdout.splitlines() if line.startswith("Inst ")]
    return _apt("download", *dict.fromkeys(wanted), cwd=cwd).returncode == 0


def _apt(*arguments: str, cwd: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*APT_GET, "-qq", *arguments], cwd=cwd, capture_output=True, text=True, check=False)
