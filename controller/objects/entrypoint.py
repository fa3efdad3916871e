"""The program that the first container of a Ray pod runs: set-up, then Ray as the container's own process.

Users' pod configs come with a command that idles, because the legacy operator started Ray through exec. Here the
start commands themselves are the container's process: when Ray ends, the container ends, and everyone can see it.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

from controller.raycluster.model import ClusterSpec, PodType

# The shell functions' names start with "ray_operator": commands of the user's must keep their own meaning.
HEAD_FILE_DIR = "/etc/ray-operator"
HEAD_FILE_NAME = "head-ip"
HEAD_WAIT_SECONDS = 900

# `ray stop` clears an earlier Ray out of an idling container; in a fresh one it only costs a second.
_RAY_STOP = re.compile(r"\s*ray\s+stop(\s+(--force|-f))?\s*;?\s*")
_RAY_START = re.compile(r"\bray\s+start\b")
# Where a start command sends its output: a file, no device, by a name without anything for the shell to replace.
_OUTPUT_FILE = re.compile(r">>?&?\s*(/(?!dev/|proc/)[^\s;|&<>()$`*?'\"\\]+)")

_PROLOGUE = """\
# On termination, tell Ray, which ends its own processes in good order, and wait until it has gone.
stopping=
pid=
ray_operator_stop() {
  trap "" TERM INT
  stopping=1
  [ -n "$pid" ] || exit 143
  local children
  # Without that file in /proc, every process of the container is told.
  children=$(cat "/proc/$pid/task/$pid/children" 2>/dev/null) || kill -TERM 0
  kill -TERM "$pid" $children
}
trap ray_operator_stop TERM INT
ray_operator_say() { echo "ray-operator: $*" >&2; }
ray_operator_run() {
  eval "$2"
  local code=$?
  [ -z "$stopping" ] || exit "$code"
  [ "$code" -eq 0 ] || { ray_operator_say "$1 failed with exit code $code: $2"; exit "$code"; }
}
ray_operator_node() {
  local login
  # The legacy operator's commands ran in interactive login shells: ~/.bashrc may be what puts ray on the path.
  command -v ray >/dev/null || {
    login=$(/bin/bash -lic 'echo "$PATH"' 2>/dev/null </dev/null | tail -n 1)
    PATH="${login:+$login:}$PATH"
  }
"""

_EPILOGUE = """\
}}
ray_operator_node & pid=$!
{follow}wait "$pid"; code=$?
# A signal ends the first wait, not the node; there is no second one, see the trap.
[ -z "$stopping" ] || {{ wait "$pid"; code=$?; }}
{followed}exit "$code"
"""
# Configurations of Ray 1.7 to 1.13 send Ray's output to a file, and have the container show it by a command that is
# replaced here. It is shown until Ray has ended, to its last line.
_FOLLOW = (
    'tail --pid="$pid" --sleep-interval=0.2 --quiet --lines=+1 --follow=name --retry {files} 2>/dev/null & shown=$!\n'
)
_FOLLOWED = 'wait "$shown"\n'

# Ray left in the background by the user is still the container's process; a signal ends only the first wait.
_FOREGROUND = "  wait || wait"
# No `ray start` to be seen: a program of the user's own has started Ray as a daemon.
_DAEMON = "  trap 'exit 143' TERM INT; sleep infinity & wait $!"

_WAIT_FOR_HEAD = """\
  local file={file} port={port} limit=$((SECONDS + {seconds}))
  [ -s "$file" ] || ray_operator_say "waiting for the head's address"
  until [ -s "$file" ]; do
    [ $SECONDS -lt $limit ] || {{ ray_operator_say "no head address after {seconds} s, giving up"; exit 1; }}
    sleep 0.1
  done
  export RAY_HEAD_IP="$(cat "$file")"
  ray_operator_say "the head is $RAY_HEAD_IP, waiting for its port $port"
  until (exec 3<>"/dev/tcp/$RAY_HEAD_IP/$port") 2>/dev/null; do
    [ $SECONDS -lt $limit ] || {{ ray_operator_say "no answer after {seconds} s, giving up"; exit 1; }}
    sleep 0.2
  done
  ray_operator_say "the head answers"
"""


def head_script(spec: ClusterSpec) -> str:
    """The head's program, for ``bash -c``."""
    return _script("", spec.head.setup_commands, spec.head_start)


def worker_script(
    spec: ClusterSpec,
    pod_type: PodType,
    *,
    head_file: str = f"{HEAD_FILE_DIR}/{HEAD_FILE_NAME}",
    wait_seconds: int = HEAD_WAIT_SECONDS,
) -> str:
    """A worker's program, for ``bash -c``: it waits for the head's address and port, with a bound."""
    wait = _WAIT_FOR_HEAD.format(file=shlex.quote(head_file), port=spec.gcs_port, seconds=wait_seconds)
    return _script(wait, pod_type.setup_commands, spec.worker_start)


def _script(wait: str, setup: Sequence[str], start: Sequence[str]) -> str:
    lines = [f"  ray_operator_run 'setup command {n}' {shlex.quote(c)}" for n, c in enumerate(setup, start=1)]
    commands = blocking(start)
    # From here on a signal is Ray's to handle; this shell stays until Ray has gone.
    lines.append("  trap stopping=1 TERM INT")
    lines += [f"  ray_operator_run 'start command {n}' {shlex.quote(c)}" for n, c in enumerate(commands, start=1)]
    lines.append(_FOREGROUND if any(_RAY_START.search(c) for c in commands) else _DAEMON)
    files = " ".join(output_files(commands))
    follow, followed = (_FOLLOW.format(files=files), _FOLLOWED) if files else ("", "")
    return _PROLOGUE + wait + "\n".join(lines) + "\n" + _EPILOGUE.format(follow=follow, followed=followed)


def output_files(start: Sequence[str]) -> list[str]:
    """The files that ``ray start`` is told to write its output to."""
    found = [file for command in start if _RAY_START.search(command) for file in _OUTPUT_FILE.findall(command)]
    return list(dict.fromkeys(found))


def blocking(start: Sequence[str]) -> list[str]:
    """The start commands without ``ray stop`` and with the last ``ray start`` staying in the foreground."""
    commands = [command for command in start if not _RAY_STOP.fullmatch(command)]
    for index in reversed(range(len(commands))):
        if _RAY_START.search(commands[index]):
            if "--block" not in commands[index]:
                commands[index] = _RAY_START.sub("ray start --block", commands[index], count=1)
            break
    return commands
