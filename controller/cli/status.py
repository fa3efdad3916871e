"""``ray-operator status``: RayClusters in a terminal, as the operator's status page shows them."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator

from controller.objects.labels import CLUSTER_LABEL

from .cluster_text import details, table
from .commands import command_parser
from .kubernetes import Kubernetes, add_place, guarded

DESCRIPTION = """\
Shows RayClusters, by your kubeconfig: phase, workers, nodes by state, work that waits, and why a cluster is not ready.
With one NAME it shows all of that cluster, its conditions and the last decision among it.

Clusters that need attention come first.
"""
EXAMPLES = """\
ray-operator status
ray-operator status -A -w
ray-operator status -n ray example-cluster
"""
# How often a watched cluster is looked at, in seconds.
WATCH_SECONDS = 2.0
_CLEAR = "\x1b[H\x1b[2J"


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = command_parser("status", DESCRIPTION, EXAMPLES)
    made.add_argument("names", metavar="NAME", nargs="*", help="a RayCluster (default: all of the namespace)")
    add_place(made, everywhere=True)
    made.add_argument("-w", "--watch", action="store_true", help="show it again whenever it changes, until Ctrl-C")
    return made


def run(arguments: argparse.Namespace) -> int:
    """Print what is there, once or again and again. Returns the exit code."""
    if arguments.names and arguments.all_namespaces:
        made = parser()
        made.error("names and --all-namespaces exclude each other; name a namespace by -n")

    def act() -> None:
        kubernetes: Kubernetes = arguments.connect(arguments.context)
        namespace = "" if arguments.all_namespaces else arguments.namespace or kubernetes.namespace

        def look() -> str:
            return text(kubernetes, namespace, arguments.names, time.time())

        if not arguments.watch:
            print(look())
            return
        for shown in changes(look, time.sleep):
            print(f"{_CLEAR}{shown}" if sys.stdout.isatty() else f"{shown}\n", flush=True)

    return guarded("status", act)


def text(kubernetes: Kubernetes, namespace: str, names: list[str], now: float) -> str:
    """What is shown. ``namespace``: empty for all. ``now``: seconds since the epoch."""
    if len(names) == 1:
        cluster = kubernetes.cluster(namespace, names[0])
        return details(cluster, kubernetes.pods(namespace, f"{CLUSTER_LABEL}={names[0]}"), now)
    clusters = [kubernetes.cluster(namespace, name) for name in names] if names else kubernetes.clusters(namespace)
    if not clusters:
        where = f"in the namespace {namespace}; -A shows all namespaces" if namespace else "in this Kubernetes cluster"
        return f"there is no RayCluster {where}"
    return table(clusters, kubernetes.pods(namespace, CLUSTER_LABEL), now, with_namespace=not namespace)


def changes(look: Callable[[], str], sleep: Callable[[float], object]) -> Iterator[str]:
    """What is seen, each time that it is something else."""
    before = ""
    while True:
        seen = look()
        if seen != before:
            yield seen
        before = seen
        sleep(WATCH_SECONDS)
