"""``ray-operator suspend``: delete the pods of RayClusters and keep all else."""

from __future__ import annotations

import argparse

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
    made = command_parser("suspend", DESCRIPTION, EXAMPLES)
    made.add_argument("names", metavar="NAME", nargs="+", help="the name of a RayCluster")
    add_place(made)
    return made


def run(arguments: argparse.Namespace) -> int:
    """Suspend each. Returns the exit code."""

    def act() -> None:
        kubernetes: Kubernetes = arguments.connect(arguments.context)
        for name in arguments.names:
            _suspend(kubernetes, arguments.namespace or kubernetes.namespace, name)

    return guarded("suspend", act)


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
