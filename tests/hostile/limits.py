"""The operator in the memory that the chart gives it, and probes as a kubelet sends them."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

from burst.pod_account import pod_account
from burst.processes import Usage, usage

MEMORY_BYTES = 256 * 2**20
# As the chart has it.
PROBE_SECONDS, PROBE_EVERY = 5.0, 2.0


@contextmanager
def memory_group(name: str) -> Iterator[Path]:
    """A control group of this much memory and no swap; its ``cgroup.procs`` takes the processes."""
    v2 = Path("/sys/fs/cgroup/cgroup.controllers").exists()
    group = Path("/sys/fs/cgroup", "" if v2 else "memory", name)
    group.mkdir()
    try:
        (group / ("memory.max" if v2 else "memory.limit_in_bytes")).write_text(str(MEMORY_BYTES))
        yield group
    finally:
        group.rmdir()


class Limited:
    """An operator for all namespaces. ``late``: probes that were not answered in time, and what they asked."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self._process = process
        self._log = log
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._probe, daemon=True)
        self.late: list[str] = []

    def usage(self) -> Usage:
        """What it has used so far."""
        return usage(self._process.pid)

    def lives(self) -> bool:
        """Whether it has neither ended nor been killed."""
        return self._process.poll() is None

    def log(self) -> str:
        """All that it has logged."""
        return self._log.read_text(errors="replace")

    def port(self) -> int:
        """Where it serves."""
        return int(re.findall(r"at port (\d+)", self.log())[-1])

    def probed(self) -> None:
        """From now on probes come, until the end."""
        self._thread.start()

    def end(self) -> None:
        """No more probes."""
        self._stop.set()
        self._thread.join()

    def _probe(self) -> None:
        port = self.port()
        while not self._stop.wait(PROBE_EVERY):
            for path in ("livez", "readyz"):
                began = time.monotonic()
                try:
                    urlopen(f"http://127.0.0.1:{port}/{path}", timeout=PROBE_SECONDS).read()
                except OSError as error:
                    self.late.append(f"/{path} after {time.monotonic() - began:.1f} s: {error!r}")


@contextmanager
def limited(environment: Mapping[str, str]) -> Iterator[Limited]:
    """An operator in the chart's memory. It ends with the block."""
    program = str(Path(sys.executable).parent / "ray-operator")
    join = 'echo $$ > "$GROUP/cgroup.procs"; exec "$@"'
    flags = ["--metrics-address=127.0.0.1:0", "--log-level=info"]
    with (
        pod_account(environment) as pod,
        memory_group("ray-operator-hostile") as group,
        tempfile.NamedTemporaryFile(suffix=".log") as log,
    ):
        command = ["sh", "-c", join, "sh", *pod.prefix, program, *flags]
        variables = {**pod.environment, "GROUP": str(group)}
        process = subprocess.Popen(command, env=variables, stdout=log, stderr=subprocess.STDOUT)
        made = Limited(process, Path(log.name))
        try:
            yield made
        finally:
            process.terminate()
            process.wait(60)
