"""Running the operator: what ``ray-operator`` does without a command."""

from __future__ import annotations

import logging
import signal
import sys
import threading
from collections.abc import Sequence
from importlib.metadata import version

from .api import Api
from .operator import Operator
from .options import Options, parse

log = logging.getLogger("controller")


def serve(arguments: Sequence[str]) -> int:
    """Run until a termination signal. Returns the exit code.

    Raises:
        SystemExit: the arguments are wrong, or help was asked for.
    """
    options = parse(arguments)
    logging.basicConfig(
        stream=sys.stdout,
        level=options.log_level.upper(),
        format="%(asctime)s\t%(levelname)s %(message)s",
    )
    # The connection pool's own chatter says nothing that the watchers do not say better.
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    try:
        api = Api.from_environment(options.context)
    except Exception as error:
        # A kubeconfig is anybody's file: reading it may fail in any way.
        reason = " ".join(str(error).split()).rstrip(".")
        print(f"ray-operator: no usable Kubernetes configuration: {reason}; set KUBECONFIG", file=sys.stderr)
        return 1
    _run(api, options)
    return 0


def _run(api: Api, options: Options) -> None:
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    operator = Operator(api, options.namespaces, options.workers)
    where = ", ".join(options.namespaces) or "all namespaces"
    log.info("ray-operator %s looks after %s", version("ray-kubernetes-operator"), where)
    operator.start()
    stopping.wait()
    log.info("stopping")
    operator.stop()
