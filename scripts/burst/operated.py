"""The operator as a process of its own, with the figures that it shows."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from .pod_account import pod_account
from .processes import Usage, usage

_SERIES = re.compile(r"^ray_operator_api_requests_total\{(.*)\} (.*)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="([^"]*)"')
WRITES = ("create", "update", "patch", "delete")
PATIENCE_SECONDS = 120.0


class Operated:
    """A running operator."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self._process = process
        self._log = log

    def usage(self) -> Usage:
        """What it has used so far."""
        return usage(self._process.pid)

    def ready(self) -> bool:
        """Whether its caches are complete."""
        try:
            with urlopen(f"http://127.0.0.1:{self._port()}/readyz", timeout=30) as answer:
                return bool(answer.status == 200)
        except (URLError, LookupError):
            return False

    def value(self, series: str) -> float:
        """A metric without labels; 0 where it is not there."""
        found = re.findall(rf"^{series} (.*)$", self._metrics(), re.MULTILINE)
        return float(found[0]) if found else 0.0

    def requests(self) -> dict[tuple[str, str], int]:
        """How many requests it has sent, by verb and resource."""
        text = self._metrics()
        found: dict[tuple[str, str], int] = {}
        for labels, value in _SERIES.findall(text):
            named = dict(_LABEL.findall(labels))
            key = named["verb"], named["resource"]
            found[key] = found.get(key, 0) + round(float(value))
        return found

    def _metrics(self) -> str:
        with urlopen(f"http://127.0.0.1:{self._port()}/metrics", timeout=30) as answer:
            return str(answer.read().decode())

    def _port(self) -> str:
        return str(re.findall(r"at port (\d+)", self._log.read_text())[-1])


@contextmanager
def operator(environment: Mapping[str, str], namespace: str, *flags: str) -> Iterator[Operated]:
    """An operator that serves one namespace, with a service account as in a pod. ``flags``: more of its flags. It ends
    with the block.
    """
    program = str(Path(sys.executable).parent / "ray-operator")
    command = [program, "--namespaces", namespace, "--metrics-address=127.0.0.1:0", "--log-level=info", *flags]
    with (
        pod_account(environment) as pod,
        tempfile.NamedTemporaryFile(prefix="ray-operator-", suffix=".log") as log,
        subprocess.Popen([*pod.prefix, *command], env=dict(pod.environment), stdout=log, stderr=log) as process,
    ):
        try:
            yield Operated(process, Path(log.name))
        finally:
            process.terminate()


def until_ready(running: Operated) -> float:
    """Seconds until its caches are complete.

    Raises:
        TimeoutError: they never are.
    """
    started = time.monotonic()
    while not running.ready():
        if time.monotonic() - started > PATIENCE_SECONDS:
            raise TimeoutError("the operator does not get ready")
        time.sleep(0.02)
    return time.monotonic() - started


def written(before: Mapping[tuple[str, str], int], after: Mapping[tuple[str, str], int]) -> dict[str, int]:
    """What was written between two looks: ``create pods`` -> how often."""
    changed = {key: count - before.get(key, 0) for key, count in after.items() if key[0] in WRITES}
    return {" ".join(key): count for key, count in sorted(changed.items()) if count}
