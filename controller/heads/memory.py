"""How much memory this process may take, as the kernel bounds it for its container."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

# Of the memory of the process: what answers of heads may fill as values, and how large an answer is as values.
SHARE, UNFOLDED = 6, 6


def room_for_answers() -> int:
    """Bytes of answers of heads that may be kept."""
    return limit() // SHARE // UNFOLDED


def limit(root: Path = Path("/")) -> int:
    """Bytes: the least of the limits of this process's control group, of either version, and of the machine."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([machine, *_limits(root)])


def _limits(root: Path) -> Iterator[int]:
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        if controllers and "memory" not in controllers.split(","):
            continue
        mount = root / ("sys/fs/cgroup/memory" if controllers else "sys/fs/cgroup")
        name = "memory.limit_in_bytes" if controllers else "memory.max"
        # In a container the mount may be the group itself.
        for folder in (mount / group.lstrip("/"), mount):
            text = _text(folder / name).strip()
            if text.isdecimal():
                yield int(text)


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
