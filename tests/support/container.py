"""Where the program of a Ray container runs for real, with a ``ray`` that writes down what is asked of it."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from controller.raycluster.model import ClusterSpec, parse_spec
from tests.support.builders import raw_spec

LIMIT = 60
FAKE_RAY = """\
#!/bin/bash
echo "ray $* [$RAY_HEAD_IP]" >> "$RAY_LOG"
[ "$*" != "--version" ] || exit 0
case "$RAY_DOES" in
  stay) trap 'echo "terminated" >> "$RAY_LOG"; exit 7' TERM; echo up; sleep 600 & wait ;;
  linger) trap 'read -r < gate; echo "terminated" >> "$RAY_LOG"; exit 7' TERM; echo up; sleep 600 & wait ;;
  ray::*)
    raylet='trap "echo raylet ended >> $RAY_LOG; kill \\$(jobs -p); exit 0" TERM
      (exec -a "$RAY_DOES" /bin/sleep 600) & echo $! > "$RAY_LOG.pid"
      echo up; (exec -a ray::IDLE /bin/sleep 600) >/dev/null & wait'
    (exec -a /ray/core/raylet/raylet /bin/bash -c "$raylet") &
    trap 'echo "terminated" >> "$RAY_LOG"' TERM
    while kill -0 $!; do wait $!; done 2>/dev/null
    exit 1 ;;
  leave) (exec -a /ray/core/raylet/raylet /bin/bash -c 'trap "echo raylet ended >> $RAY_LOG; exit 0" TERM
      echo $$ > "$RAY_LOG.pid"; echo up; /bin/sleep 600 >/dev/null & wait') 2>/dev/null & ;;
  *) exit "$RAY_DOES" ;;
esac
"""
# A look every half second takes no time, and is counted; one every second takes less.
FAKE_SLEEP = """#!/bin/bash
case $1 in
  0.5) echo look >> "$RAY_LOG.looks" ;;
  1) echo look >> "$RAY_LOG.seconds"; exec /bin/sleep 0.05 ;;
  *) exec /bin/sleep "$@" ;;
esac
"""


def expanded(text: str) -> str:
    """A container's command as the kubelet runs it. References to variables are refused: a program has none.

    Older kubelets take one byte after $, whatever character it begins: that is refused too.

    Source: https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/#Container, ``command``.
    """
    for after in re.findall(r"\$(.)", text.replace("$$", ""), re.DOTALL):
        assert after != "(" and after.isascii(), text
    return text.replace("$$", "$")


class Container:
    """Where a script runs: a directory, a ``ray`` and a process group of its own.

    What ``ray`` does: ``stay``, ``linger``, ``leave`` a raylet behind, end with a code, or run a raylet with one
    process of that title, and wait for the raylet's end when it is told to end, as Ray does.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.log = directory / "ray.log"
        for name, text in (("ray", FAKE_RAY), ("sleep", FAKE_SLEEP)):
            (directory / name).write_text(text)
            (directory / name).chmod(0o755)
        self.processes: list[subprocess.Popen[str]] = []

    def environment(self, ray_does: str = "0") -> dict[str, str]:
        """The variables of the program."""
        return {
            "PATH": f"{self.directory}:{os.environ['PATH']}",
            "HOME": str(self.directory),
            "RAY_LOG": str(self.log),
            "RAY_DOES": ray_does,
            "RAY_TMPDIR": str(self.directory / "tmp"),
        }

    def start(self, script: str, ray_does: str = "0", path: str | None = None) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            # A shell cannot trap what was ignored when it started, as it is in a background job.
            ["env", "--default-signal=INT", "/bin/bash", "-c", script],
            env={**self.environment(ray_does), **({"PATH": path} if path else {})},
            cwd=self.directory,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # The script signals its whole process group; in a container that is the container.
            start_new_session=True,
        )
        self.processes.append(process)
        return process

    def run(self, script: str, ray_does: str = "0") -> tuple[int, str]:
        """The exit code and what was said on stderr."""
        process = self.start(script, ray_does)
        _, said = process.communicate(timeout=LIMIT)
        return process.returncode, said

    def asked(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []

    def looks(self, every: str = "looks") -> int:
        """How often half a second has passed, or one of the ``seconds``."""
        looks = Path(f"{self.log}.{every}")
        return len(looks.read_text().splitlines()) if looks.exists() else 0

    def end_work(self) -> None:
        """The process that the raylet runs ends, or the raylet that was left behind does."""
        os.kill(int(Path(f"{self.log}.pid").read_text()), signal.SIGKILL)

    def end(self) -> None:
        for process in self.processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            with process:
                process.wait(LIMIT)


def spec_of(
    head: Sequence[str] = ("ray start --head",), worker: Sequence[str] = ("ray start",), setup: Sequence[str] = ()
) -> ClusterSpec:
    spec = parse_spec(raw_spec(headStartRayCommands=list(head), workerStartRayCommands=list(worker)))
    return replace(spec, pod_types=tuple(replace(t, setup_commands=tuple(setup)) for t in spec.pod_types))


def wait_for_line(process: subprocess.Popen[str], text: str, stream: str = "stdout") -> None:
    wait_for_lines(process, text, stream=stream)


def wait_for_lines(process: subprocess.Popen[str], *texts: str, stream: str = "stdout") -> None:
    """Until the program has printed each text, in any order."""
    missing = set(texts)
    for line in getattr(process, stream):
        missing -= {text for text in missing if text in line}
        if not missing:
            return
    raise AssertionError(f"the program never said {missing}")
