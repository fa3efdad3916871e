"""The program that the first container of a Ray pod runs: set-up, then Ray as the container's own process.

Users' pod configs come with a command that idles, because the legacy operator started Ray through exec. Here the
start commands themselves are the container's process: when Ray ends, the container ends, and everyone can see it.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

from .model import ClusterSpec, PodType

HEAD_FILE_DIR = "/etc/ray-operator"
HEAD_FILE_NAME = "head-ip"
HEAD_WAIT_SECONDS = 900

# `ray stop` clears an earlier Ray out of an idling container; in a fresh one it only costs a second.
_RAY_STOP = re.compile(r"\s*ray\s+stop(\s+(--force|-f))?\s*;?\s*")
_RAY_START = re.compile(r"\bray\s+start\b")

_PROLOGUE = """\
# On termination, tell every process of the container and wait until Ray has gone.
trap 'trap "" TERM INT; kill -TERM 0' TERM INT
say() { echo "ray-operator: $*" >&2; }
run() {
  eval "$2"
  local code=$?
  [ "$code" -eq 0 ] || { say "$1 failed with exit code $code: $2"; exit "$code"; }
}
node() {
"""

_EPILOGUE = """\
}
node & pid=$!
while :; do
  wait "$pid"; code=$?
  kill -0 "$pid" 2>/dev/null || exit "$code"
done
"""

_WAIT_FOR_HEAD = """\
  local file={file} port={port} limit=$((SECONDS + {seconds}))
  [ -s "$file" ] || say "waiting for the head's address"
  until [ -s "$file" ]; do
    [ $SECONDS -lt $limit ] || {{ say "no head address after {seconds} s, giving up"; exit 1; }}
    sleep 0.1
  done
  export RAY_HEAD_IP="$(cat "$file")"
  say "the head is $RAY_HEAD_IP, waiting for its port $port"
  until (exec 3<>"/dev/tcp/$RAY_HEAD_IP/$port") 2>/dev/null; do
    [ $SECONDS -lt $limit ] || {{ say "no answer from $RAY_HEAD_IP:$port after {seconds} s, giving up"; exit 1; }}
    sleep 0.2
  done
  say "the head answers"
"""


def head_script(spec: ClusterSpec) -> str:
    """The head's program, for ``bash -c``."""
    return _script("", spec.head.setup_commands, spec.head_start)


def worker_script(spec: ClusterSpec, pod_type: PodType) -> str:
    """A worker's program, for ``bash -c``: it waits for the head's address and port, with a bound."""
    wait = _WAIT_FOR_HEAD.format(
        file=f"{HEAD_FILE_DIR}/{HEAD_FILE_NAME}", port=spec.gcs_port, seconds=HEAD_WAIT_SECONDS
    )
    return _script(wait, pod_type.setup_commands, spec.worker_start)


def _script(wait: str, setup: Sequence[str], start: Sequence[str]) -> str:
    lines = [f"  run 'setup command {n}' {shlex.quote(c)}" for n, c in enumerate(setup, start=1)]
    # From here on a signal reaches Ray itself; this shell stays until Ray has gone.
    lines.append("  trap : TERM INT")
    lines += [f"  run 'start command {n}' {shlex.quote(c)}" for n, c in enumerate(blocking(start), start=1)]
    # Reached only when the commands started Ray in the background in some way of their own.
    lines.append("  sleep infinity & wait $!")
    return _PROLOGUE + wait + "\n".join(lines) + "\n" + _EPILOGUE


def blocking(start: Sequence[str]) -> list[str]:
    """The start commands without ``ray stop`` and with the last ``ray start`` staying in the foreground."""
    commands = [command for command in start if not _RAY_STOP.fullmatch(command)]
    for index in reversed(range(len(commands))):
        if _RAY_START.search(commands[index]):
            if "--block" not in commands[index]:
                commands[index] = _RAY_START.sub("ray start --block", commands[index], count=1)
            break
    return commands
