"""What the commands that reach a Kubernetes have in common: where they look, and how they fail."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import Protocol

from controller.raycluster.model import Json

from .commands import FINE, WRONG_INPUT


class Kubernetes(Protocol):
    """RayClusters, asked for with a user's rights. Each method raises an exception whose text gives the reason.

    ``namespace``: the one of the kubeconfig's context.
    """

    namespace: str

    def clusters(self, namespace: str) -> Sequence[Json]:
        """All of a namespace, empty for all of them."""

    def cluster(self, namespace: str, name: str) -> Json:
        """One."""

    def pods(self, namespace: str, selector: str) -> Sequence[Json] | None:
        """Pods by their labels; None where the user may not list them."""

    def change(self, namespace: str, name: str, patch: Json) -> Json:
        """Merge a patch into one."""


# Given to the commands as arguments.connect. The context: None for the kubeconfig's own.
Connect = Callable[[str | None], Kubernetes]


def add_place(made: argparse.ArgumentParser, *, everywhere: bool = False) -> None:
    """The options that say where to look."""
    place = made.add_mutually_exclusive_group()
    place.add_argument("-n", "--namespace", help="this namespace (default: the kubeconfig's)")
    if everywhere:
        place.add_argument("-A", "--all-namespaces", action="store_true", help="all namespaces")
    made.add_argument("--context", help="the kubeconfig context to use")


def guarded(command: str, act: Callable[[], None]) -> int:
    """Do something with a Kubernetes. Returns the exit code; what fails is said in one line."""
    try:
        act()
    except (BrokenPipeError, KeyboardInterrupt):
        raise
    except Exception as error:
        print(f"ray-operator {command}: {' '.join(str(error).split())}", file=sys.stderr)
        return WRONG_INPUT
    return FINE
