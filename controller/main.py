"""The ``ray-operator`` command: the operator itself, or one of the commands beside it."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from .commands import COMMANDS, run_command


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command, or without one the operator until a termination signal. Returns the exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    if given and given[0] in COMMANDS:
        return run_command(given[0], given[1:])
    # A command answers at once: it does not wait for all that the operator needs.
    from .serve import serve  # noqa: PLC0415

    return serve(given)


if __name__ == "__main__":
    sys.exit(main())
