"""What a person sees: errors that end the program with one line, and named steps with the seconds they took."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

ELSEWHERE = "or point KUBECONFIG at an existing cluster (kind, minikube, a real one) and use CLUSTER=current"


class Failed(Exception):  # noqa: N818 - an outcome, as the exit codes name it
    """Something that should have worked did not; the text is for a person. Exit code 1."""


class CannotRunHere(Exception):  # noqa: N818 - likewise
    """This machine lacks something a local cluster needs; the text names it in one line. Exit code 3."""

    def __init__(self, missing: str) -> None:
        super().__init__(f"{missing}; {ELSEWHERE}")


def say(text: str) -> None:
    """One line of progress; results go to standard output instead."""
    print(text, file=sys.stderr, flush=True)


@contextmanager
def step(title: str) -> Iterator[None]:
    """Announce a step that may take a while, and when it is over the seconds it took, on one line."""
    begin = time.monotonic()
    print(f"  {title} ...", end="", file=sys.stderr, flush=True)
    outcome = " stopped after"
    try:
        yield
        outcome = ""
    finally:
        say(f"{outcome} {time.monotonic() - begin:.1f} s")
