"""``ray-operator suspend``: delete the pods of RayClusters and keep all else."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from controller.raycluster.model import Json

from .commands import command_parser
from .kubernetes import Kubernetes, add_place, guarded

DESCRIPTION = """\
Suspends RayClusters, by your kubeconfig. Workers finish what they run, for --drain-seconds of the operator at most,
then all pods of the cluster are deleted. The RayCluster, its Service and volume claims stay; what is in Ray's memory
is lost.

It sets spec.suspend. Where Helm or a GitOps tool writes the RayCluster, set it there instead.
"""
EXAMPLES = """\
ray-operator suspend example-cluster
ray-operator suspend -n ray example-cluster another-cluster
kubectl -n ray wait raycluster/example-cluster --for=condition=Suspended --timeout=15m
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    return parser_of("suspend", DESCRIPTION, EXAMPLES)


def run(arguments: argparse.Namespace) -> int:
    """Suspend each. Returns the exit code."""
    return for_each("suspend", arguments, _suspend)


def parser_of(command: str, description: str, examples: str) -> argparse.ArgumentParser:
    """The command line of a command that is about RayClusters by name."""
    made = command_parser(command, description, examples)
    made.add_argument("names", metavar="NAME", nargs="+", help="the name of a RayCluster")
    add_place(made)
    return made


def for_each(command: str, arguments: argparse.Namespace, act: Callable[[Kubernetes, str, str], None]) -> int:
    """Call ``act`` with the connection, the namespace and the name of each RayCluster. Returns the exit code."""

    def all_of_them() -> None:
        kubernetes: Kubernetes = arguments.connect(arguments.context)
        for name in arguments.names:
            act(kubernetes, arguments.namespace or kubernetes.namespace, name)

    return guarded(command, all_of_them)


def _suspend(kubernetes: Kubernetes, namespace: str, name: str) -> None:
    known = kubernetes.cluster(namespace, name)
    if is_suspended(known):
        print(f"{namespace}/{name} is suspended already")
        return
    kubernetes.change(namespace, name, {"spec": {"suspend": True}})
    print(f"{namespace}/{name} is being suspended; ray-operator status -w {name} shows how far it is")


def is_suspended(cluster: Json) -> bool:
    """Whether its spec asks for it."""
    return bool((cluster.get("spec") or {}).get("suspend"))
