"""The operator's configuration: flags, each with an environment variable."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

from .cli.commands import COMMANDS, overview
from .logs import FORMATS
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
LOG_LEVELS = ("debug", "info", "warning", "error")
_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


@dataclass(frozen=True)
class Options:
    """What was asked for. ``namespaces`` is empty for all namespaces.

    ``serve_at``: host and port of metrics, health and status page; None for none. ``lease_namespace``: where the lease
    is by which a leader is elected; None for no election. ``ray_credentials``: the folder with what Ray heads want to
    be shown, by namespace.
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


def parse(arguments: Sequence[str], environment: Mapping[str, str] | None = None) -> Options:
    """Options from the command line, then the environment, then defaults.

    Raises:
        SystemExit: the arguments or the environment are wrong, or help or the version was asked for.
    """
    parser = command_line()
    found = parser.parse_args(arguments)
    if found.command:
        close = get_close_matches(found.command[0], COMMANDS, 1)
        meant = f"did you mean {close[0]}?" if close else "without a command the operator runs, see --help"
        parser.error(f"there is no command {found.command[0]!r}; {meant}")
    env = os.environ if environment is None else environment

    def value(flag: str, variable: str, default: str, convert: Callable[[str], T]) -> T:
        given: str | None = getattr(found, flag.strip("-").replace("-", "_"))
        source = f"argument {flag}" if given is not None else f"environment variable {variable}"
        try:
            return convert(given if given is not None else env.get(variable) or default)
        except ValueError as error:
            parser.error(f"{source}: {error}")

    lease_namespace = value("--lease-namespace", "RAY_OPERATOR_LEASE_NAMESPACE", "", _namespace) or own_namespace()
    elect = value("--leader-elect", "RAY_OPERATOR_LEADER_ELECT", "false", _yes_or_no)
    if elect and not lease_namespace:
        parser.error("--leader-elect outside a pod needs --lease-namespace: the namespace that the lease is in")
    certificate = value("--metrics-certificate", "RAY_OPERATOR_METRICS_CERTIFICATE", "", str)
    key = value("--metrics-key", "RAY_OPERATOR_METRICS_KEY", "", str)
    if bool(certificate) != bool(key):
        parser.error("--metrics-certificate and --metrics-key belong together: give both or none")
    return Options(
        value("--namespaces", "RAY_OPERATOR_POD_NAMESPACE", "", _namespaces),
        value("--context", "RAY_OPERATOR_CONTEXT", "", str) or None,
        value("--workers", "RAY_OPERATOR_WORKERS", "4", _workers),
        value("--log-level", "RAY_OPERATOR_LOG_LEVEL", "info", _one_of("log level", LOG_LEVELS)),
        value("--log-format", "RAY_OPERATOR_LOG_FORMAT", "human", _one_of("log format", FORMATS)),
        value("--metrics-address", "RAY_OPERATOR_METRICS_ADDRESS", "", _address),
        Tls(Path(certificate), Path(key)) if certificate else None,
        lease_namespace if elect else None,
        Settings(
            drain_seconds=value("--drain-seconds", "RAY_OPERATOR_DRAIN_SECONDS", "600", _seconds),
            unschedulable_grace_seconds=value(
                "--unschedulable-grace-seconds", "RAY_OPERATOR_UNSCHEDULABLE_GRACE_SECONDS", "30", _seconds
            ),
        ),
        value("--ray-credentials", "RAY_OPERATOR_RAY_CREDENTIALS", "", _folder),
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
    parser.add_argument(
        "--namespaces",
        metavar="NAME[,NAME...]",
        help="look after these namespaces only; all of them when empty  [RAY_OPERATOR_POD_NAMESPACE]",
    )
    parser.add_argument("--context", help="the kubeconfig context to use outside a cluster  [RAY_OPERATOR_CONTEXT]")
    parser.add_argument(
        "--workers",
        metavar="N",
        help="reconcile up to N clusters at a time (default 4)  [RAY_OPERATOR_WORKERS]",
    )
    parser.add_argument(
        "--log-format",
        metavar="FORMAT",
        help=f"how to log: {', '.join(FORMATS)} (default human)  [RAY_OPERATOR_LOG_FORMAT]",
    )
    parser.add_argument(
        "--metrics-address",
        metavar="[HOST:]PORT",
        help="serve /metrics, /livez, /readyz and a status page there; without a host at every address "
        "(default: nowhere)  [RAY_OPERATOR_METRICS_ADDRESS]",
    )
    parser.add_argument(
        "--metrics-certificate",
        metavar="FILE",
        help="serve them with TLS: the certificate, PEM, read again when it changes  "
        "[RAY_OPERATOR_METRICS_CERTIFICATE]",
    )
    parser.add_argument("--metrics-key", metavar="FILE", help="and its key, PEM  [RAY_OPERATOR_METRICS_KEY]")
    parser.add_argument(
        "--leader-elect",
        metavar="true|false",
        nargs="?",
        const="true",
        help="write only while holding the Lease ray-operator, so that another replica can stand by "
        "(default false)  [RAY_OPERATOR_LEADER_ELECT]",
    )
    parser.add_argument(
        "--lease-namespace",
        metavar="NAME",
        help="where that Lease is (default: the pod's own namespace)  [RAY_OPERATOR_LEASE_NAMESPACE]",
    )
    parser.add_argument(
        "--log-level",
        metavar="LEVEL",
        help=f"how much to log: {', '.join(LOG_LEVELS)} (default info)  [RAY_OPERATOR_LOG_LEVEL]",
    )
    parser.add_argument(
        "--drain-seconds",
        metavar="S",
        help="how long a busy worker that has to go, because of a lowered maxWorkers or a changed pod type, may take "
        "to finish what runs there (default 600)  [RAY_OPERATOR_DRAIN_SECONDS]",
    )
    parser.add_argument(
        "--unschedulable-grace-seconds",
        metavar="S",
        help="how long a pod may wait for room before another pod type is tried (default 30)  "
        "[RAY_OPERATOR_UNSCHEDULABLE_GRACE_SECONDS]",
    )
    parser.add_argument(
        "--ray-credentials",
        metavar="FOLDER",
        help="what Ray heads want to be shown, by namespace: FOLDER/NAMESPACE/token (RAY_AUTH_MODE=token) and ca.crt, "
        "tls.crt, tls.key (RAY_USE_TLS=1), read again when they change  [RAY_OPERATOR_RAY_CREDENTIALS]",
    )
    return parser


def _namespaces(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    for name in names:
        if not _NAMESPACE.fullmatch(name):
            raise ValueError(f"{name!r} is not the name of a namespace")
    return names


def _workers(text: str) -> int:
    if not re.fullmatch("[1-9][0-9]{0,2}", text):
        raise ValueError(f"{text!r} is not a number from 1 to 999")
    return int(text)


def _namespace(text: str) -> str:
    found = _namespaces(text)
    if len(found) > 1:
        raise ValueError(f"{text!r} is more than one namespace")
    return "".join(found)


def _one_of(what: str, choices: Sequence[str]) -> Callable[[str], str]:
    def convert(text: str) -> str:
        if text not in choices:
            raise ValueError(f"{text!r} is not a {what}; use {', '.join(choices)}")
        return text

    return convert


def _yes_or_no(text: str) -> bool:
    return _one_of("yes or no", ("true", "false"))(text) == "true"


def _address(text: str) -> tuple[str, int] | None:
    if not text:
        return None
    host, _, port = text.rpartition(":")
    if not re.fullmatch("[0-9]{1,5}", port) or int(port) > 65535:
        raise ValueError(f"{text!r} is not an address; use for example 8080 or 127.0.0.1:8080")
    return host.strip("[]"), int(port)


def _folder(text: str) -> Path | None:
    if text and not Path(text).is_dir():
        raise ValueError(f"{text!r} is not a folder")
    return Path(text) if text else None


def _seconds(text: str) -> float:
    if not re.fullmatch("[0-9]{1,6}([.][0-9]{1,3})?", text):
        raise ValueError(f"{text!r} is not a number of seconds")
    return float(text)
