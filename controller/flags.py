"""The flags of the running operator: one table of names, environment variables, defaults and help."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from .logs import FORMATS
from .raycluster.gang_resources import wrong_resource

T = TypeVar("T")

LOG_LEVELS = ("debug", "info", "warning", "error")
_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


@dataclass(frozen=True)
class Flag(Generic[T]):
    """One flag, and the environment variable that is read where the flag is not given.

    ``read`` makes the value of the text, and raises ValueError for a text that is none. ``bare``: the text that the
    flag alone stands for; None where it needs one.
    """

    name: str
    read: Callable[[str], T]
    help: str
    metavar: str | None = None
    default: str = ""
    bare: str | None = None
    legacy_variable: str = ""

    @property
    def variable(self) -> str:
        """The environment variable."""
        return self.legacy_variable or f"RAY_OPERATOR_{self.name.strip('-').replace('-', '_').upper()}"

    @property
    def about(self) -> str:
        """What it does, and its default."""
        return f"{self.help} (default {self.default})" if self.default else self.help


def _namespaces(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    for name in names:
        if not _NAMESPACE.fullmatch(name):
            raise ValueError(f"{name!r} is not the name of a namespace")
    return names


def _gang_objects(text: str) -> tuple[str, ...]:
    resources = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    for wrong in filter(None, map(wrong_resource, resources)):
        raise ValueError(wrong)
    return resources


def _workers(text: str) -> int:
    if not re.fullmatch("[1-9][0-9]{0,2}", text):
        raise ValueError(f"{text!r} is not a number from 1 to 999")
    return int(text)


def _shards(text: str) -> int:
    if not re.fullmatch("[1-9]|1[0-6]", text):
        raise ValueError(f"{text!r} is not a number from 1 to 16")
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


def _perhaps(text: str) -> bool | None:
    return _yes_or_no(text) if text else None


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


NAMESPACES = Flag(
    "--namespaces",
    _namespaces,
    "manage these namespaces only; all of them when empty",
    "NAME[,NAME...]",
    legacy_variable="RAY_OPERATOR_POD_NAMESPACE",
)
CONTEXT = Flag("--context", str, "the kubeconfig context to use outside a cluster", "CONTEXT")
WORKERS = Flag("--workers", _workers, "reconcile up to N clusters at a time", "N", "4")
LOG_FORMAT = Flag(
    "--log-format", _one_of("log format", FORMATS), f"how to log: {', '.join(FORMATS)}", "FORMAT", "human"
)
METRICS_ADDRESS = Flag(
    "--metrics-address",
    _address,
    "serve /metrics, /livez, /readyz and a status page there; without a host at every address (default: nowhere)",
    "[HOST:]PORT",
)
METRICS_CERTIFICATE = Flag(
    "--metrics-certificate", str, "serve them with TLS: the certificate, PEM, read again when it changes", "FILE"
)
METRICS_KEY = Flag("--metrics-key", str, "and its key, PEM", "FILE")
LEADER_ELECT = Flag(
    "--leader-elect",
    _yes_or_no,
    "write only while holding the Lease ray-operator, so that another replica can stand by",
    "true|false",
    "false",
    bare="true",
)
LEASE_NAMESPACE = Flag(
    "--lease-namespace", _namespace, "where that Lease is (default: the pod's own namespace)", "NAME"
)
SHARDS = Flag(
    "--shards",
    _shards,
    "share the clusters with other operators, N of them, each of which manages its part; needs --leader-elect",
    "N",
    "1",
)
LOG_LEVEL = Flag(
    "--log-level", _one_of("log level", LOG_LEVELS), f"how much to log: {', '.join(LOG_LEVELS)}", "LEVEL", "info"
)
DRAIN_SECONDS = Flag(
    "--drain-seconds",
    _seconds,
    "how long a busy worker that has to go, because of a lowered maxWorkers or a changed pod type, may take to finish "
    "what runs there",
    "S",
    "600",
)
UNSCHEDULABLE_GRACE_SECONDS = Flag(
    "--unschedulable-grace-seconds",
    _seconds,
    "how long a pod may wait for room before another pod type is tried",
    "S",
    "30",
)
GATED_GRACE_SECONDS = Flag(
    "--gated-grace-seconds",
    _seconds,
    "how long a pod may wait for its scheduling gates, for example those of Kueue, before another pod type is tried",
    "S",
    "5",
)
WATCH_NODES = Flag(
    "--watch-nodes",
    _perhaps,
    "watch which nodes are being emptied, so that workers there are drained at once; needs list and watch on nodes "
    "(default: only when all namespaces are managed)",
    "true|false",
    bare="true",
)
GANG_OBJECTS = Flag(
    "--gang-objects",
    _gang_objects,
    "let RayClusters have these objects made for their gangs, spec.gang.objects; needs create, get, list and delete on "
    "them (default: none)",
    "PLURAL.GROUP[,PLURAL.GROUP...]",
)
RAY_CREDENTIALS = Flag(
    "--ray-credentials",
    _folder,
    "credentials for Ray heads, by namespace: FOLDER/NAMESPACE/token (RAY_AUTH_MODE=token) and ca.crt, tls.crt, "
    "tls.key (RAY_USE_TLS=1), read again when they change",
    "FOLDER",
)
# In the order of the help.
FLAGS: tuple[Flag[Any], ...] = (
    NAMESPACES,
    CONTEXT,
    WORKERS,
    LOG_FORMAT,
    METRICS_ADDRESS,
    METRICS_CERTIFICATE,
    METRICS_KEY,
    LEADER_ELECT,
    LEASE_NAMESPACE,
    SHARDS,
    LOG_LEVEL,
    DRAIN_SECONDS,
    UNSCHEDULABLE_GRACE_SECONDS,
    GATED_GRACE_SECONDS,
    WATCH_NODES,
    GANG_OBJECTS,
    RAY_CREDENTIALS,
)
