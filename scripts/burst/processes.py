"""What a process of this machine has used so far, as Linux counts it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Usage:
    """``cpu``: seconds of user and system time. ``rss_mb``, ``peak_mb``: resident memory now and at most."""

    cpu: float
    rss_mb: float
    peak_mb: float


def usage(pid: int) -> Usage:
    """Of a process that runs."""
    # The name, in brackets, may contain anything.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    lines = (line.partition(":") for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    kilobytes = {name: int(value.split()[0]) for name, _, value in lines if name in ("VmRSS", "VmHWM")}
    cpu = (int(fields[11]) + int(fields[12])) / _TICKS
    return Usage(cpu, round(kilobytes["VmRSS"] / 1024, 1), round(kilobytes["VmHWM"] / 1024, 1))
