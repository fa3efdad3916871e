"""Running the operator: what ``ray-operator`` does without a command."""

from __future__ import annotations

import gc
import logging
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any
from uuid import uuid4

from .kube.client import HttpClient
from .kube.lease import LeaseAt
from .logs import set_up
from .monitoring.http_server import Server
from .monitoring.routes import routes
from .operator import Operator, compose, compose_sharing
from .options import Options, parse

log = logging.getLogger("controller")

GC_THRESHOLD = (10_000, 20, 20)
# A pass over thousands of pods holds the others up for no longer than this at a time; Python's own 5 ms add up over the
# requests of a pass.
SWITCH_SECONDS = 0.002
# Of the ten seconds that a renewal has, one answer that does not come must not use up all.
LEASE_READ_SECONDS = 3.0


def serve(arguments: Sequence[str]) -> int:
    """Run until a termination signal. Returns the exit code.

    Raises:
        SystemExit: the arguments are wrong, or help was asked for.
    """
    options = parse(arguments)
    set_up(options.log_level, options.log_format)
    try:
        client = HttpClient.from_environment(options.context)
        lease = _lease(options)
    except Exception as error:
        # A kubeconfig may hold anything: reading it may fail in any way.
        reason = " ".join(str(error).split()).rstrip(".")
        print(f"ray-operator: no usable Kubernetes configuration: {reason}; set KUBECONFIG", file=sys.stderr)
        return 1
    operator = _operator(client, lease, options)
    try:
        server = _server(operator, options)
    except OSError as error:
        print(f"ray-operator: cannot serve at --metrics-address: {error}", file=sys.stderr)
        return 1
    _run(operator, server, options)
    return 0


def _operator(client: HttpClient, lease: LeaseAt | None, options: Options) -> Operator:
    more: dict[str, Any] = {
        "settings": options.settings,
        "ray_credentials": options.ray_credentials,
        "nodes": options.watch_nodes,
    }
    if lease and options.shards > 1:
        return compose_sharing(client, options.namespaces, options.workers, lease, options.shards, **more)
    return compose(client, options.namespaces, options.workers, lease, **more)


def _lease(options: Options) -> LeaseAt | None:
    """A candidate's connection is its own: a renewal waits for no other request, and not for long."""
    if options.lease_namespace is None:
        return None
    # The pod's name, and something that its next container will not share.
    identity = f"{socket.gethostname()}_{uuid4().hex[:8]}"
    return LeaseAt(options.lease_namespace, identity, HttpClient.from_environment(options.context, LEASE_READ_SECONDS))


def _server(operator: Operator, options: Options) -> Server | None:
    if options.serve_at is None:
        return None
    host, port = options.serve_at
    return Server(host, port, routes(operator.parts, options.namespaces), options.serve_tls)


def _run(operator: Operator, server: Server | None, options: Options) -> None:
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    where = ", ".join(options.namespaces) or "all namespaces"
    log.info("ray-operator %s manages %s", version("ray-kubernetes-operator"), where)
    # What was loaded stays, and pods and answers hold no cycles: looking for some in all of that, each few hundred
    # objects, is a tenth of what reading ten thousand pods costs.
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLD)
    sys.setswitchinterval(SWITCH_SECONDS)
    operator.start()
    if server:
        log.info("serving metrics, health and status at port %d", server.port)
        server.start()
    stopping.wait()
    operator.stop()
    if server:
        server.stop()
