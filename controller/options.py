"""The operator's configuration, from its flags and their environment variables."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

from . import flags
from .cli.commands import COMMANDS, overview
from .flags import Flag
from .monitoring.http_server import Tls
from .planning.observed import Settings

T = TypeVar("T")

DESCRIPTION = """\
Runs the RayClusters of a Kubernetes cluster: makes and replaces their pods and keeps their status. That is what it
does without a command.

Inside a pod it talks to the API server as its service account; elsewhere it uses your kubeconfig.
"""
# Where a pod finds the namespace of its service account, which is its own.
NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


@dataclass(frozen=True)
class Options:
    """What was asked for. ``namespaces`` is empty for all namespaces.

    ``serve_at``: host and port of metrics, health and status page; None for none. ``lease_namespace``: where the lease
    is by which a leader is elected; None for no election. ``ray_credentials``: the folder with what Ray heads want to
    be shown, by namespace. ``shards``: how many operators share the clusters. ``watch_nodes``: which of them are being
    emptied.
    """

    namespaces: tuple[str, ...]
    context: str | None
    workers: int
    log_level: str
    log_format: str = "human"
    serve_at: tuple[str, int] | None = None
    serve_tls: Tls | None = None
    lease_namespace: str | None = None
    settings: Settings = field(default_factory=Settings)
    ray_credentials: Path | None = None
    shards: int = 1
    watch_nodes: bool = True


class _Given:
    """What the command line and the environment say. Exits with a message that names the source of a bad value."""

    def __init__(self, parser: argparse.ArgumentParser, arguments: Sequence[str], environment: Mapping[str, str]):
        self.error = parser.error
        self._found = vars(parser.parse_args(arguments))
        self._environment = environment
        self.command: list[str] = self._found["command"]

    def value(self, flag: Flag[T]) -> T:
        """The flag's, else the environment's, else the default."""
        text: str | None = self._found[flag.name]
        source = f"argument {flag.name}" if text is not None else f"environment variable {flag.variable}"
        try:
            return flag.read(text if text is not None else self._environment.get(flag.variable) or flag.default)
        except ValueError as error:
            self.error(f"{source}: {error}")

    def serve_tls(self) -> Tls | None:
        """Certificate and key, which belong together."""
        certificate, key = self.value(flags.METRICS_CERTIFICATE), self.value(flags.METRICS_KEY)
        if bool(certificate) != bool(key):
            self.error("--metrics-certificate and --metrics-key belong together: give both or none")
        return Tls(Path(certificate), Path(key)) if certificate else None

    def lease_namespace(self) -> str | None:
        """Where the lease is; None without an election."""
        namespace = self.value(flags.LEASE_NAMESPACE) or own_namespace()
        elect = self.value(flags.LEADER_ELECT)
        if elect and not namespace:
            self.error("--leader-elect outside a pod needs --lease-namespace: the namespace that the lease is in")
        return namespace if elect else None

    def watch_nodes(self) -> bool:
        """A role in a namespace cannot allow it, so that it is to be asked for there."""
        wanted = self.value(flags.WATCH_NODES)
        return not self.value(flags.NAMESPACES) if wanted is None else wanted

    def shards(self) -> int:
        """How many operators share the clusters, by leases."""
        number = self.value(flags.SHARDS)
        if number > 1 and not self.value(flags.LEADER_ELECT):
            self.error(f"--shards={number} needs --leader-elect: by leases the operators know which clusters are whose")
        return number


def parse(arguments: Sequence[str], environment: Mapping[str, str] | None = None) -> Options:
    """Options from the command line, then the environment, then defaults.

    Raises:
        SystemExit: the arguments or the environment are wrong, or help or the version was asked for.
    """
    given = _Given(command_line(), arguments, os.environ if environment is None else environment)
    if given.command:
        close = get_close_matches(given.command[0], COMMANDS, 1)
        meant = f"did you mean {close[0]}?" if close else "without a command the operator runs, see --help"
        given.error(f"there is no command {given.command[0]!r}; {meant}")
    return Options(
        given.value(flags.NAMESPACES),
        given.value(flags.CONTEXT) or None,
        given.value(flags.WORKERS),
        given.value(flags.LOG_LEVEL),
        given.value(flags.LOG_FORMAT),
        given.value(flags.METRICS_ADDRESS),
        given.serve_tls(),
        given.lease_namespace(),
        Settings(
            drain_seconds=given.value(flags.DRAIN_SECONDS),
            unschedulable_grace_seconds=given.value(flags.UNSCHEDULABLE_GRACE_SECONDS),
            gated_grace_seconds=given.value(flags.GATED_GRACE_SECONDS),
            gang_objects=given.value(flags.GANG_OBJECTS),
        ),
        given.value(flags.RAY_CREDENTIALS),
        given.shards(),
        given.watch_nodes(),
    )


def own_namespace() -> str:
    """The namespace of the pod that this process runs in; empty outside a pod."""
    try:
        return NAMESPACE_FILE.read_text().strip()
    except OSError:
        return ""


def command_line() -> argparse.ArgumentParser:
    """The command line of the running operator."""
    parser = argparse.ArgumentParser(
        prog="ray-operator",
        usage="%(prog)s [COMMAND] [options]",
        description=DESCRIPTION,
        epilog=overview(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", nargs="*", help=argparse.SUPPRESS)
    parser.add_argument("--version", action="version", version=f"ray-operator {version('ray-kubernetes-operator')}")
    for flag in flags.FLAGS:
        text = f"{flag.about}  [{flag.variable}]"
        nargs = None if flag.bare is None else "?"
        parser.add_argument(flag.name, dest=flag.name, metavar=flag.metavar, nargs=nargs, const=flag.bare, help=text)
    return parser
