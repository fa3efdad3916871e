"""When a Ray pod counts as ready: Ray is up in it, not merely its container.

Probes are added only to a container that has neither a startup nor a readiness probe of its own. The thorough look,
which runs a shell in the container, happens until it succeeds for the first time and then never again.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from typing import Any

from controller.raycluster.model import ClusterSpec, PodType
from controller.raycluster.start_commands import RayStart, lasting, ray_starts
from controller.raycluster.start_options import variables_of

CLIENT_PORT = 10001
DASHBOARD_PORT = 8265
# Pulling packages in a set-up command may take hours; a kubelet that gave up would kill the container.
_START_LIMIT_SECONDS = 86_400

_EVERYWHERE = ("", "0.0.0.0", "127.0.0.1", "localhost", "::", "::1")
# What runs of Ray in the container. Brackets: a look must not find itself. Ray Client's log is there even when its
# process has died; without logs, the process is all there is.
_NO_CLIENT = (
    "! { compgen -G {session}/logs/'ray_client_server*' || grep -qs 'ray.util.client.serve[r]' /proc/[0-9]*/cmdline; }"
)
_NO_DASHBOARD = "grep -qs -e '--minima[l]' /proc/[0-9]*/cmdline"
# Where Ray listens on IPv6 alone, nothing does on 127.0.0.1.
_OPEN = "(exec 3<>/dev/tcp/127.0.0.1/{port} || exec 3<>/dev/tcp/::1/{port}) 2>/dev/null"


def head_probes(spec: ClusterSpec) -> dict[str, Any]:
    """The head is ready when what it starts of Ray Client, dashboard and raylet has been up once, and while the GCS
    answers.
    """
    alive = {"tcpSocket": {"port": spec.gcs_port}, "periodSeconds": 5, "timeoutSeconds": 2}
    return {**_startup(head_is_up(spec)), "readinessProbe": alive}


def worker_probes(spec: ClusterSpec, pod_type: PodType) -> dict[str, Any]:
    """A worker is ready once its raylet has been up; unknown where Ray's directory is only known to a running shell."""
    look = worker_is_up(spec, pod_type)
    return _startup(look) if look else {}


def head_is_up(spec: ClusterSpec) -> str:
    """The look at a head. Its raylet starts last: then it is known whether there is a Ray Client at all."""
    start = _start(spec.head_start, spec.head)
    looks = _raylet_is_up(start)
    gcs = [_OPEN.format(port=spec.gcs_port)]
    return " && ".join([*(looks or gcs), *_ports(start)])


def worker_is_up(spec: ClusterSpec, pod_type: PodType) -> str:
    """The look at a worker; empty where there is nothing to look at."""
    return " && ".join(_raylet_is_up(_start(spec.start_of(pod_type), pod_type)))


def missing(spec: ClusterSpec) -> Iterator[tuple[str, str]]:
    """What an image may lack of what a head starts otherwise: a test for that, and what to say then."""
    start = _start(spec.head_start, spec.head)
    if not _explicit(start, "--ray-client-server-port"):
        words = "this image has no Ray Client, port 10001 stays closed; install ray[client] for ray.init('ray://...')"
        yield _no_client(start), words
    if _dashboard_port(start) and not _explicit(start, "--include-dashboard"):
        words = "this image has no dashboard, port 8265 stays closed; install ray[default] for it and for jobs"
        yield _NO_DASHBOARD, words


def _start(commands: Sequence[str], pod_type: PodType) -> RayStart:
    """The one that stays; one without options where none is to be seen."""
    starts = ray_starts([*pod_type.setup_commands, *commands], variables_of(pod_type.pod_config))
    return lasting(starts, head=pod_type.is_head) or RayStart(0, 0, 0)


def _raylet_is_up(start: RayStart) -> list[str]:
    """The raylet's socket, and its runtime-env agent's log: a worker process is started through that agent.

    Ray Client answers before the agent does, and gives up on a program that comes in between (seen with Ray 2.60).
    """
    session = _session(start)
    if not session:
        return []
    agent = f'{{ [ -s {session}/logs/runtime_env_agent.log ] || [ -n "$RAY_LOG_TO_STDERR" ]; }}'
    return [f"[ -S {session}/sockets/raylet ]", agent]


def _session(start: RayStart) -> str:
    """Where Ray has its sockets and logs, for the shell; empty where only a running shell knows."""
    given = start.get("--temp-dir")
    if given and not (given.known and given.text.startswith("/")):
        return ""
    return f"{shlex.quote(given.text)}/session_latest" if given else '"${RAY_TMPDIR:-/tmp}"/ray/session_latest'


def _no_client(start: RayStart) -> str:
    """The image has no Ray Client: none was started."""
    return _NO_CLIENT.replace("{session}", _session(start) or "/nowhere")


def _startup(look: str) -> dict[str, Any]:
    return {
        "startupProbe": {
            "exec": {"command": ["/bin/bash", "-c", look]},
            "periodSeconds": 1,
            "timeoutSeconds": 5,
            "failureThreshold": _START_LIMIT_SECONDS,
        }
    }


def _ports(start: RayStart) -> Iterator[str]:
    """Ray Client's and the dashboard's answer, unless an image has none of it and the command does not insist."""
    for port, absent, option in (
        (_port(start, "--ray-client-server-port", CLIENT_PORT), _no_client(start), "--ray-client-server-port"),
        (_dashboard_port(start), _NO_DASHBOARD, "--include-dashboard"),
    ):
        if port:
            answers = _OPEN.format(port=port)
            yield answers if _explicit(start, option) else f"{{ {answers} || {absent}; }}"


def _dashboard_port(start: RayStart) -> int:
    """0 where there is none to be seen from within the pod."""
    switched_off = _text(start, "--include-dashboard").lower() in ("false", "0", "no", "f", "n", "off")
    listens = _text(start, "--dashboard-host") in _EVERYWHERE
    return _port(start, "--dashboard-port", DASHBOARD_PORT) if listens and not switched_off else 0


def _port(start: RayStart, option: str, default: int) -> int:
    """0 for a port that only the container's shell knows, such as $PORT."""
    given = start.get(option)
    if given is None:
        return default
    return int(given.text) if given.known and given.text.isdecimal() else 0


def _text(start: RayStart, option: str) -> str:
    given = start.get(option)
    return ("" if given.known else "?") + given.text if given else ""


def _explicit(start: RayStart, option: str) -> bool:
    return start.get(option) is not None
