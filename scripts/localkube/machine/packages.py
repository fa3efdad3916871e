"""What nodes need of the machine: privileges, disk, and programs that come as Debian packages."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from .apt import APT_GET, apt_alone
from .console import CannotRunHere, Failed, say, step
from .layout import Layout

# Program -> the Debian package that has it.
PROGRAMS: Mapping[str, str] = {
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "iptables": "iptables",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "openssl": "openssl",
    "slirp4netns": "slirp4netns",
}
_OPTIONAL = "slirp4netns"
_CNI_PACKAGE = "containernetworking-plugins"
_CNI_PLACES = (Path("/usr/lib/cni"), Path("/opt/cni/bin"), Path("/usr/libexec/cni"))
_DISK = 8 * 10**9
_POLICY = Path("/usr/sbin/policy-rc.d")
_NO_SERVICES = "#!/bin/sh\n# Left by an interrupted 'local-kubernetes up': may be removed.\nexit 101\n"


def ensure_node_prerequisites(layout: Layout) -> None:
    """Install what is missing. Raises CannotRunHere with what this machine lacks, Failed if it is full."""
    if os.geteuid() != 0:
        raise CannotRunHere("real nodes need root (--control-plane-only does not)")
    if missing_packages():
        # Whoever was waited for may have installed them.
        with apt_alone():
            if missing := missing_packages():
                _install(missing)
    _check_disk(layout)


def missing_packages() -> list[str]:
    """Debian packages whose programs are not on this machine."""
    packages = {package for program, package in PROGRAMS.items() if shutil.which(program) is None}
    if cni_plugins() is None:
        packages.add(_CNI_PACKAGE)
    return sorted(packages)


def cni_plugins() -> Path | None:
    """The directory of the container network plugins."""
    return next((place for place in _CNI_PLACES if (place / "bridge").exists()), None)


def version_of(program: str) -> str:
    """What a program says to --version."""
    return subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout


def _check_disk(layout: Layout) -> None:
    place = next(path for path in (layout.state, *layout.state.parents) if path.exists())
    free = shutil.disk_usage(place).free
    # A cluster that is there already holds its images, and must stay manageable on a full disk.
    if free < _DISK and not layout.state.exists():
        raise Failed(f"{place} has {free / 1e9:.1f} GB free, a cluster with nodes needs {_DISK / 1e9:.0f} GB")


def _install(packages: list[str]) -> None:
    names = " ".join(packages)
    if shutil.which("apt-get") is None:
        if packages == [_OPTIONAL]:
            return
        raise CannotRunHere(f"missing what these Debian packages have: {names}")
    say(f"installing Debian packages: {names}")
    with step("apt-get install"), no_services_started():
        if _apt("install", "--yes", "--no-install-recommends", *packages) != 0:
            # A machine that never fetched the list of packages cannot know them.
            _apt("update")
            _apt("install", "--yes", "--no-install-recommends", *packages)
    still = [package for package in missing_packages() if package != _OPTIONAL]
    if still:
        raise CannotRunHere(f"apt-get cannot install {' '.join(still)}")
    if "containerd" in packages and shutil.which("systemctl"):
        # The package's own containerd is of no use here: it would only start with the next boot.
        subprocess.run(["systemctl", "disable", "containerd.service"], capture_output=True, check=False)


def _apt(*arguments: str) -> int:
    """Run apt-get to its end: in a session of its own, where a Ctrl-C does not reach it half-way."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    apt = subprocess.Popen(
        [*APT_GET, "-qq", *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        return apt.wait()
    except KeyboardInterrupt:
        apt.wait()
        raise


@contextmanager
def no_services_started() -> Iterator[None]:
    """Keep packages from starting their services, by Debian's own means (policy-rc.d), unless it is in use."""
    if _POLICY.exists() and _POLICY.read_text() != _NO_SERVICES:
        yield
        return
    _POLICY.write_text(_NO_SERVICES)
    _POLICY.chmod(0o755)
    try:
        yield
    finally:
        _POLICY.unlink(missing_ok=True)
