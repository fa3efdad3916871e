"""The operator's configuration: flags, each with an environment variable."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import TypeVar

from .commands import overview

T = TypeVar("T")

DESCRIPTION = """\
Runs the RayClusters of a Kubernetes cluster: makes and replaces their pods and keeps their status. That is what it
does without a command.

Inside a pod it talks to the API server as its service account; elsewhere it uses your kubeconfig.
"""
LOG_LEVELS = ("debug", "info", "warning", "error")
_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


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
        SystemExit: the arguments or the environment are wrong, or help or the version was asked for.
    """
    parser = _parser()
    found = parser.parse_args(arguments)
    if found.command:
        parser.error(f"there is no command {found.command[0]!r}; without a command the operator runs, see --help")
    env = os.environ if environment is None else environment

    def value(flag: str, variable: str, default: str, convert: Callable[[str], T]) -> T:
        given: str | None = getattr(found, flag.strip("-").replace("-", "_"))
        source = f"argument {flag}" if given is not None else f"environment variable {variable}"
        try:
            return convert(given if given is not None else env.get(variable) or default)
        except ValueError as error:
            parser.error(f"{source}: {error}")

    return Options(
        value("--namespaces", "RAY_OPERATOR_POD_NAMESPACE", "", _namespaces),
        value("--context", "RAY_OPERATOR_CONTEXT", "", str) or None,
        value("--workers", "RAY_OPERATOR_WORKERS", "4", _workers),
        value("--log-level", "RAY_OPERATOR_LOG_LEVEL", "info", _log_level),
    )


def _parser() -> argparse.ArgumentParser:
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
        "--log-level",
        metavar="LEVEL",
        help=f"how much to log: {', '.join(LOG_LEVELS)} (default info)  [RAY_OPERATOR_LOG_LEVEL]",
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


def _log_level(text: str) -> str:
    if text not in LOG_LEVELS:
        raise ValueError(f"{text!r} is not a log level; use {', '.join(LOG_LEVELS)}")
    return text
