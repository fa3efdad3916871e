"""Programs that use a real Ray head and go again."""

from __future__ import annotations

import re
import socket
import subprocess
from pathlib import Path

from tests.conformance.gcs_usage import RayUsers

from .ray_head import RAY, RayProgram, RealHead

# Not that of other heads beside it.
HEAD_IP = "127.0.0.3"


class RealUsers(RayUsers):
    """A head with a dashboard and Ray Client, which nothing uses."""

    def __init__(self, folder: Path) -> None:
        self._head = RealHead(folder)
        self._user: RayProgram | None = None
        self._client, self._dashboard, self._agent = _free_ports(3)
        self.address = ""

    def start(self) -> None:
        """Start the head."""
        self._head.start_alone(
            f"--ray-client-server-port={self._client}",
            "--include-dashboard=true",
            f"--dashboard-port={self._dashboard}",
            f"--dashboard-agent-listen-port={self._agent}",
            ip=HEAD_IP,
        )
        self.address = self._head.address

    def end(self) -> None:
        """End all of it."""
        self._head.stop()

    def connect(self, *, client: bool = False) -> None:
        """See RayUsers."""
        self._user = self._head.program(f"ray://{HEAD_IP}:{self._client}" if client else self.address)

    def make_actor(self) -> None:
        """See RayUsers."""
        assert self._user
        self._user.tell("create", 1, {})

    def disconnect(self) -> None:
        """See RayUsers."""
        assert self._user
        self._user.end()

    def vanish(self) -> None:
        """See RayUsers."""
        assert self._user
        self._user.kill()

    def keep(self, name: str, namespace: str) -> None:
        """See RayUsers."""
        self._do("keep", name, namespace)

    def drop(self, name: str, namespace: str) -> None:
        """See RayUsers."""
        self._do("drop", name, namespace)

    def submit(self) -> str:
        """See RayUsers."""
        said = self._job("submit", "--no-wait", "--", "sleep", "600")
        found = re.search(r"raysubmit_\w+", said)
        assert found, said
        return found[0]

    def stop(self, job: str) -> None:
        """See RayUsers."""
        self._job("stop", job)

    def _do(self, *order: object) -> None:
        program = self._head.program(self.address)
        program.tell(*order)
        program.end()

    def _job(self, verb: str, *arguments: str) -> str:
        command = [RAY, "job", verb, "--address", f"http://127.0.0.1:{self._dashboard}", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=180)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr


def _free_ports(count: int) -> list[int]:
    """Ports that nothing listens on now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()
