"""The ``ray-operator`` command: the operator itself, or one of the commands beside it."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .cli.commands import COMMANDS, WRONG_USAGE, overview, run_command
from .cli.kubernetes import Kubernetes


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command, or without one the operator until a termination signal. Returns the exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    if arguments is None and not given and Path(sys.argv[0]).name.startswith("kubectl-"):
        # A plugin of kubectl is no place to start an operator by accident.
        print(overview())
        return WRONG_USAGE
    if given and given[0] in COMMANDS:
        return _answer(given[0], given[1:])
    # A command answers at once: it does not wait for all that the operator needs.
    from .run import serve  # noqa: PLC0415

    return serve(given)


def _answer(name: str, arguments: Sequence[str]) -> int:
    """Run a command that may be cut short, by its reader (``| head``) or by its user (Ctrl-C), without a word."""
    try:
        code = run_command(name, arguments, read_kuberay=_read_kuberay, connect=_connect)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # Nothing more can be written there, not even by the interpreter when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _read_kuberay(context: str | None, namespace: str | None) -> Sequence[Mapping[str, Any]]:
    """What ``kube.kuberay.read`` reads; the commands themselves never reach a Kubernetes."""
    from .kube.kuberay import read  # noqa: PLC0415

    return read(context, namespace)


def _connect(context: str | None) -> Kubernetes:
    """The Kubernetes of the user's kubeconfig. It raises what ``AsUser`` raises."""
    from .kube.as_user import AsUser  # noqa: PLC0415

    return AsUser.connect(context)


if __name__ == "__main__":
    sys.exit(main())
