"""Root file systems for images: a minimal Debian, and programs run inside it to add a layer.

Everything that mounts runs in mount and process namespaces of its own, and dies with the program that asked
for it. So no mount and no process is left on the machine, however a build ends.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from localkube.machine.apt import APT_GET, apt_alone
from localkube.machine.console import Failed, step

SUITE = "bookworm"
PYTHON = "3.11"
_GLIBC_MINOR = 36

# Needs $ROOT, $LOWER, $UPPER, $WORK, $WHEELS. What the script in $1 leaves in $ROOT lands in $UPPER alone.
# /tmp is in memory so that nothing temporary becomes part of the layer.
_ENTER = """
set -eu
plain=redirect_dir=off,metacopy=off,index=off
mount -t overlay overlay -o "lowerdir=$LOWER,upperdir=$UPPER,workdir=$WORK,$plain" "$ROOT"
mount -t proc proc "$ROOT/proc"
mount --rbind /dev "$ROOT/dev"
mount -t tmpfs tmpfs "$ROOT/tmp"
mount --bind "$WHEELS" "$ROOT/mnt"
exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp LANG=C.UTF-8 \
    chroot "$ROOT" sh -euc "$1"
"""

# Set for every program run here: their output is kept in a log that people read.
_PLAIN = {"LC_ALL": "C.UTF-8", "PIP_NO_COLOR": "1", "PIP_PROGRESS_BAR": "off", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


class ImageError(Failed):
    """An image cannot be built here; the message is one line that a person can act on."""


def require_root() -> None:
    """Raise `ImageError` unless this process may mount and change root."""
    if os.geteuid() != 0:
        raise ImageError("building an image needs root: it mounts and changes root; run it with sudo")


def run(what: str, argv: Sequence[str], log: Path, env: Mapping[str, str] | None = None) -> None:
    """Run `argv` as the step `what`, its output appended to `log`. Raises `ImageError` with its last line."""
    with step(what), log.open("ab") as output:
        try:
            result = subprocess.run(
                argv, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, check=False,
                env={**os.environ, **_PLAIN, **(env or {})},
            )  # fmt: skip
        except FileNotFoundError as error:
            raise ImageError(f"{what} needs the program {error.filename}, which is not on PATH") from error
    if result.returncode != 0:
        lines = log.read_text(errors="replace").split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "no output")
        raise ImageError(f"{what} failed: {last} (all of it: {log})")


def bootstrap(tree: Path, packages: Sequence[str], options: Sequence[str], script: str, log: Path) -> None:
    """Make a minimal Debian with `packages` in `tree`, then run the shell `script` in it as root.

    `options` are mmdebstrap's. Packages come from the Debian mirrors that this machine's apt uses; where it
    uses none (another distribution), from mmdebstrap's own choice.
    """
    need_mmdebstrap(log)
    argv: list[str] = ["mmdebstrap", "--mode=root", "--format=directory", "--variant=minbase", *options]
    argv += [f"--include={','.join(packages)}", *(f"--aptopt={option}" for option in transport_options())]
    # The hook is a shell command; the script travels in a variable so that nothing has to be quoted.
    argv += ['--customize-hook=chroot "$1" sh -euc "$IMAGE_SCRIPT"', SUITE, os.fspath(tree), *mirrors()]
    run("making the Debian base", [*_isolated(network=True), *argv], log, {"IMAGE_SCRIPT": script})
    for made_by_runtime in (tree / "dev").iterdir():
        if made_by_runtime.is_dir() and not made_by_runtime.is_symlink():
            shutil.rmtree(made_by_runtime)
        else:
            made_by_runtime.unlink()


def add_layer(lower: Sequence[Path], upper: Path, wheels: Path, script: str, *, what: str, log: Path) -> None:
    """Run the shell `script` as root in the file system made of `lower`, topmost first; changes go to `upper`.

    The script has no network. It finds the files of the directory `wheels` in /mnt.
    """
    scratch = upper.with_name(f"{upper.name}.scratch")
    root, work = scratch / "root", scratch / "work"
    for directory in (upper, root, work):
        directory.mkdir(parents=True)
    places = {"ROOT": root, "UPPER": upper, "WORK": work, "WHEELS": wheels}
    env = {name: os.fspath(place) for name, place in places.items()} | {"LOWER": ":".join(map(os.fspath, lower))}
    try:
        run(what, [*_isolated(network=False), "sh", "-c", _ENTER, "sh", script], log, env)
    finally:
        shutil.rmtree(scratch)


def download_wheels(requirements: Sequence[str], directory: Path, log: Path) -> None:
    """Put the wheels of `requirements` and all they need, for the base image's Python, into `directory`.

    It runs on the host because package indexes, mirrors and certificates are configured there. The host's
    pip judges environment markers by the host's Python version; every other choice is the image's.
    """
    target = target_options(platform.machine())
    argv = [sys.executable, "-m", "pip", "download", f"--dest={directory}", *target, *requirements]
    run(f"downloading {', '.join(requirements)}", argv, log)


def target_options(machine: str) -> list[str]:
    """pip's options for the base image's Python on a machine like ``x86_64`` or ``aarch64``."""
    oldest = 5 if machine == "x86_64" else 17
    platforms = [f"manylinux_2_{minor}_{machine}" for minor in range(_GLIBC_MINOR, oldest - 1, -1)]
    target = ["--only-binary=:all:", "--implementation=cp", f"--python-version={PYTHON}"]
    return [*target, *(f"--platform={name}" for name in (*platforms, f"manylinux2014_{machine}"))]


def build_wheel(project: Path, directory: Path, log: Path) -> None:
    """Put the wheel of the Python project at `project`, without its dependencies, into `directory`."""
    argv = [sys.executable, "-m", "pip", "wheel", "--no-deps", f"--wheel-dir={directory}", os.fspath(project)]
    run("building the project's wheel", argv, log)


def _isolated(*, network: bool) -> list[str]:
    """The command prefix for namespaces that end with this process, whatever ends it."""
    own = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    return own if network else [*own, "--net"]


def need_mmdebstrap(log: Path) -> None:
    """Install mmdebstrap where it is missing. Raises `ImageError` where it cannot be."""
    if shutil.which("mmdebstrap"):
        return
    if not shutil.which("apt-get"):
        raise ImageError("mmdebstrap is not on PATH: install it to make a Debian root file system")
    # Nodes are made ready meanwhile, with packages of their own.
    with apt_alone():
        if shutil.which("mmdebstrap"):
            return
        run("updating apt's package lists", [*APT_GET, "update"], log)
        install = [*APT_GET, "install", "--yes", "--no-install-recommends", "mmdebstrap"]
        run("installing the Debian package mmdebstrap", install, log, {"DEBIAN_FRONTEND": "noninteractive"})


def mirrors() -> list[str]:
    """One sources.list line for each of this machine's own Debian sources of the suite."""
    fields = "$(ORIGIN)|$(REPO_URI)|$(CODENAME)|$(COMPONENT)"
    argv = ["apt-get", "indextargets", "--format", fields, "Created-By: Packages"]
    return debian_sources(_said(argv))


def debian_sources(targets: str) -> list[str]:
    """sources.list lines from ``ORIGIN|URI|CODENAME|COMPONENT`` lines: Debian's main component, once each.

    Empty unless the suite itself is among them, since updates alone make no system.
    """
    rows = [line.split("|") for line in targets.splitlines()]
    ours = dict.fromkeys(
        (uri, codename)
        for origin, uri, codename, component in (row for row in rows if len(row) == 4)
        if origin == "Debian" and component == "main" and re.fullmatch(rf"{SUITE}(-updates|-security)?", codename)
    )
    if SUITE not in {codename for _, codename in ours}:
        return []
    return [f"deb {uri} {codename} main" for uri, codename in ours]


def transport_options() -> list[str]:
    """How this machine's apt reaches its mirrors: proxies, certificates, clock checks."""
    wanted = re.compile(r'Acquire::(https?(::\S*)?|Check-\S+) ".+";')
    return [line.rstrip(";") for line in _said(["apt-config", "dump"]).splitlines() if wanted.fullmatch(line)]


def _said(argv: Sequence[str]) -> str:
    """A query's answer; empty where the program is missing or refuses, as on distributions without apt."""
    try:
        return subprocess.run(argv, capture_output=True, text=True, check=False).stdout
    except FileNotFoundError:
        return ""
