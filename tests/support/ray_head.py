"""Real Ray processes on this machine: a head, workers and a program, in process groups of their own."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from autoscaler.model import Strategy
from tests.conformance.gcs import RayHead

RAY = str(Path(sys.executable).with_name("ray"))
DRIVER = Path(__file__).with_name("ray_driver.py")
# Not 127.0.0.1: Ray takes that for "the address of this machine".
HEAD_IP = "127.0.0.2"
# On a machine that is busy with other tests, Ray takes a minute and more.
START_SECONDS = 180
# Ray gives a start up when its own processes have not met within 30 seconds.
STARTS = 3


class StartError(RuntimeError):
    """A Ray head did not start."""


class RealHead(RayHead):
    """A head with one CPU on loopback, on ports that the system chose, without a monitor of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._groups: list[subprocess.Popen[str]] = []
        self._workers = 0
        self._driver: RayProgram | None = None
        self.address = ""

    def start(self) -> None:
        """Start the head and, once it answers, the program that makes demands."""
        self.start_alone("--include-dashboard=false")
        self._driver = self.program(self.address)

    def program(self, address: str) -> RayProgram:
        """Start a program that uses Ray at an address."""
        words = self._folder / f"program-{len(self._groups)}.log"
        with words.open("w") as errors:
            process = self._spawn(
                [sys.executable, str(DRIVER), address],
                # Its own folder's modules do not stand in for Python's.
                {"PYTHONSAFEPATH": "1"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors.fileno(),
            )
        return RayProgram(process, words)

    def start_alone(self, *flags: str, ip: str = HEAD_IP) -> None:
        """Start the head, without a program that uses it."""
        for attempt in range(1, STARTS + 1):
            self._ray("head", ip, "example-head", "head-node", {"CPU": 1}, "--head", "--no-monitor", "--port=0", *flags)
            try:
                self.address = self._address()
                return
            except StartError:
                if attempt == STARTS:
                    raise
                # What it has started would meet the next one.
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self._groups[-1].pid, signal.SIGKILL)

    def stop(self) -> None:
        """End every process that was started, and those they started."""
        for process in reversed(self._groups):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        for process in self._groups:
            if process.stdin and process.stdin.closed:
                process.stdin = None
            process.communicate()

    def tasks(self, count: int, resources: Mapping[str, float], labels: Mapping[str, str] | None = None) -> None:
        """See RayHead."""
        self._tell("start", count, resources, labels)

    def actors(self, count: int, resources: Mapping[str, float]) -> None:
        """See RayHead."""
        self._tell("create", count, resources)

    def gang(self, strategy: Strategy, bundles: Sequence[Mapping[str, float]]) -> None:
        """See RayHead."""
        self._tell("gang", strategy.value, bundles)

    def fill(self, resources: Mapping[str, float]) -> None:
        """A placement group finds room, is full, and a task waits inside it."""
        self._tell("fill", resources)

    def request(self, cpus: int) -> None:
        """See RayHead."""
        self._tell("request", cpus)

    def clear(self) -> None:
        """See RayHead."""
        self._tell("clear")

    def worker(self, instance_id: str, resources: Mapping[str, float]) -> None:
        """See RayHead."""
        self._workers += 1
        ip = f"127.0.0.{10 + self._workers}"
        self._ray(instance_id, ip, instance_id, "worker-node", resources, f"--address={self.address}")

    def occupy(self, resources: Mapping[str, float]) -> None:
        """See RayHead."""
        self._tell("occupy", resources)

    def status(self) -> str:
        """See RayHead."""
        command = [RAY, "status", "--address", self.address]
        done = subprocess.run(command, env=self._environment(), capture_output=True, text=True, check=True, timeout=120)
        return done.stdout

    def _environment(self) -> dict[str, str]:
        """Without the token that Ray may have left in the user's home: this head asks for none."""
        return {**os.environ, "HOME": str(self._folder)}

    def _ray(
        self, name: str, ip: str, instance_id: str, node_type: str, resources: Mapping[str, float], *flags: str
    ) -> None:
        custom = {resource: amount for resource, amount in resources.items() if resource != "CPU"}
        command = [RAY, "start", "--block", f"--node-ip-address={ip}", f"--num-cpus={resources.get('CPU', 0):g}"]
        command += [f"--resources={json.dumps(custom)}", "--object-store-memory=80000000", "--disable-usage-stats"]
        command += [f"--temp-dir={self._folder}"] if "--head" in flags else []
        environment = {
            "RAY_enable_autoscaler_v2": "1",
            "RAY_CLOUD_INSTANCE_ID": instance_id,
            "RAY_NODE_TYPE_NAME": node_type,
        }
        with (self._folder / f"{name}.log").open("w") as log:
            self._spawn([*command, *flags], environment, stdout=log.fileno())

    def _spawn(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        *,
        stdout: int,
        stderr: int = subprocess.STDOUT,
        stdin: int | None = None,
    ) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            command,
            env={**self._environment(), **environment},
            stdin=stdin or subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            text=True,
            start_new_session=True,
        )
        self._groups.append(process)
        return process

    def _address(self) -> str:
        """The head says where its GCS listens.

        Raises:
            StartError: it has ended, or says nothing.
        """
        log = self._folder / "head.log"
        end = time.monotonic() + START_SECONDS
        while not (found := re.search(r"--address='([0-9.]+:[0-9]+)'", log.read_text())):
            if time.monotonic() > end or self._groups[-1].poll() is not None:
                raise StartError(f"the Ray head did not start:\n{log.read_text()}")
            time.sleep(0.1)
        return found[1]

    def _tell(self, *order: object) -> None:
        assert self._driver
        self._driver.tell(*order)


class RayProgram:
    """``ray_driver.py`` as a process. ``words``: the file with what it says about errors."""

    def __init__(self, process: subprocess.Popen[str], words: Path) -> None:
        self._process = process
        self._words = words
        self._expect("ready")

    def tell(self, *order: object) -> None:
        """Have an order carried out."""
        assert self._process.stdin
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        self._expect("done")

    def end(self) -> None:
        """Let it end by itself."""
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(60)

    def kill(self) -> None:
        """End it as a machine that fails would."""
        self._process.kill()
        self._process.wait(60)

    def _expect(self, answer: str) -> None:
        assert self._process.stdout
        # Ray prints there too.
        if answer not in (line.strip() for line in self._process.stdout):
            raise RuntimeError(f"the Ray program ended before it said {answer!r}:\n{self._words.read_text()}")
