"""The operator as a process of its own, as a user would run it."""

from __future__ import annotations

import signal
import subprocess
import tempfile
import weakref
from collections.abc import Mapping
from pathlib import Path


class OperatorProcess:
    """``ray-operator`` with a kubeconfig. Its log is shown when a test fails; the file goes with this object."""

    def __init__(self, environment: Mapping[str, str], namespace: str) -> None:
        self._environment = environment
        self._namespace = namespace
        self._process: subprocess.Popen[bytes] | None = None
        with tempfile.NamedTemporaryFile(prefix="ray-operator-", suffix=".log", delete=False) as made:
            self._log = Path(made.name)
        self._remove = weakref.finalize(self, self._log.unlink)

    def start(self, environment: Mapping[str, str] | None = None, *flags: str) -> None:
        """Start it, with another environment and further flags if such are given."""
        command = ["ray-operator", "--namespaces", self._namespace, "--log-level", "debug", *flags]
        env = dict(environment or self._environment)
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, env=env, stdout=log, stderr=subprocess.STDOUT)

    def stop(self) -> int:
        """End it in the orderly way. Returns its exit code."""
        return self._end("terminate")

    def kill(self) -> int:
        """End it in the middle of whatever it does."""
        return self._end("kill")

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, for example to pause it."""
        assert self._process
        self._process.send_signal(number)

    def running(self) -> bool:
        """It has not ended."""
        return self._process is not None and self._process.poll() is None

    def _end(self, how: str) -> int:
        if self._process is None:
            return 0
        getattr(self._process, how)()
        code = self._process.wait(90)
        self._process = None
        print(self.log())
        return code

    def close(self) -> None:
        """Its log is not needed any more."""
        self._remove()

    def log(self) -> str:
        """Everything it has logged so far."""
        return self._log.read_text()
