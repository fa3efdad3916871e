"""When a Ray pod counts as ready: Ray is up in it, not merely its container.

Probes are added only to a container that has neither a startup nor a readiness probe of its own. The thorough look,
which runs a shell in the container, happens until it succeeds for the first time and then never again.
"""

from __future__ import annotations

import re
from typing import Any

from controller.raycluster.model import ClusterSpec

CLIENT_PORT = 10001
DASHBOARD_PORT = 8265
# Pulling packages in a set-up command may take hours; a kubelet that gave up would kill the container.
_START_LIMIT_SECONDS = 86_400

_EVERYWHERE = ("", "0.0.0.0", "127.0.0.1", "localhost", "::")


def head_probes(spec: ClusterSpec) -> dict[str, Any]:
    """The head is ready when Ray Client, the dashboard and the raylet have been up once, and while the GCS answers."""
    commands = " ".join(spec.head_start)
    ports = " ".join(str(port) for port in _start_ports(commands))
    look = f"for port in {ports}; do (exec 3<>/dev/tcp/127.0.0.1/$port) || exit 1; done 2>/dev/null"
    alive = {"tcpSocket": {"port": spec.gcs_port}, "periodSeconds": 5, "timeoutSeconds": 2}
    return {**_startup(" && ".join([look, *_raylet_is_up(commands)])), "readinessProbe": alive}


def worker_probes(spec: ClusterSpec) -> dict[str, Any]:
    """A worker is ready once its raylet has been up; unknown where Ray's directory has been moved."""
    looks = _raylet_is_up(" ".join(spec.worker_start))
    return _startup(" && ".join(looks)) if looks else {}


def _raylet_is_up(commands: str) -> list[str]:
    """The raylet's socket, and its runtime-env agent's log: a worker process is started through that agent.

    Ray Client answers before the agent does, and gives up on a program that comes in between (seen with Ray 2.60).
    """
    if "--temp-dir" in commands:
        return []
    session = '"${RAY_TMPDIR:-/tmp}"/ray/session_latest'
    agent = f'{{ [ -s {session}/logs/runtime_env_agent.log ] || [ -n "$RAY_LOG_TO_STDERR" ]; }}'
    return [f"[ -S {session}/sockets/raylet ]", agent]


def _startup(look: str) -> dict[str, Any]:
    return {
        "startupProbe": {
            "exec": {"command": ["/bin/bash", "-c", look]},
            "periodSeconds": 1,
            "timeoutSeconds": 5,
            "failureThreshold": _START_LIMIT_SECONDS,
        }
    }


def _start_ports(commands: str) -> list[int]:
    """Where Ray Client and the dashboard listen, as the head's start commands say."""
    ports = [_port(commands, "ray-client-server-port", CLIENT_PORT)]
    switched_off = _flag(commands, "include-dashboard").lower() in ("false", "0", "no")
    if not switched_off and _flag(commands, "dashboard-host") in _EVERYWHERE:
        ports.append(_port(commands, "dashboard-port", DASHBOARD_PORT))
    return [port for port in ports if port]


def _port(commands: str, flag: str, default: int) -> int:
    """0 for a port that only the container's shell knows, such as $PORT."""
    given = _flag(commands, flag)
    return default if not given else int(given) if given.isdecimal() else 0


def _flag(commands: str, name: str) -> str:
    found = re.search(rf"--{name}[=\s]\s*(\S+)", commands)
    return found.group(1).strip("'\";") if found else ""
