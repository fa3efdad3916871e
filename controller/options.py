"""The operator's configuration: flags, each with an environment variable."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version

DESCRIPTION = """\
Runs the RayClusters of a Kubernetes cluster: makes and replaces their pods and keeps their status.

Inside a pod it talks to the API server as its service account; elsewhere it uses your kubeconfig.
"""


@dataclass(frozen=True)
class Options:
    """What was asked for. ``namespaces`` is empty for all namespaces."""

    namespaces: tuple[str, ...]
    context: str | None
    workers: int
    log_level: str


def parse(arguments: Sequence[str], environment: Mapping[str, str] | None = None) -> Options:
    """Options from the command line, then the environment, then defaults.

    Raises:
        SystemExit: the arguments are wrong, or help or the version was asked for.
    """
    env = os.environ if environment is None else environment
    parser = argparse.ArgumentParser(
        prog="ray-operator", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action="version", version=f"ray-operator {version('ray-kubernetes-operator')}")
    parser.add_argument(
        "--namespaces",
        metavar="NAME[,NAME...]",
        default=env.get("RAY_OPERATOR_POD_NAMESPACE", ""),
        help="look after these namespaces only; all of them when empty  [RAY_OPERATOR_POD_NAMESPACE]",
    )
    parser.add_argument(
        "--context",
        default=env.get("RAY_OPERATOR_CONTEXT") or None,
        help="the kubeconfig context to use outside a cluster  [RAY_OPERATOR_CONTEXT]",
    )
    parser.add_argument(
        "--workers",
        type=int,
        metavar="N",
        default=env.get("RAY_OPERATOR_WORKERS", "4"),
        help="reconcile up to N clusters at a time (default 4)  [RAY_OPERATOR_WORKERS]",
    )
    parser.add_argument(
        "--log-level",
        choices=("debug", "info", "warning", "error"),
        default=env.get("RAY_OPERATOR_LOG_LEVEL", "info"),
        help="how much to log (default info)  [RAY_OPERATOR_LOG_LEVEL]",
    )
    found = parser.parse_args(arguments)
    if found.workers < 1:
        parser.error(f"argument --workers: {found.workers} is not a number of at least 1")
    if found.log_level not in ("debug", "info", "warning", "error"):
        parser.error(f"RAY_OPERATOR_LOG_LEVEL is {found.log_level!r}; use debug, info, warning or error")
    namespaces = tuple(dict.fromkeys(part.strip() for part in found.namespaces.split(",") if part.strip()))
    return Options(namespaces, found.context, found.workers, found.log_level)
