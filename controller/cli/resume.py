"""``ray-operator resume``: bring suspended RayClusters back."""

from __future__ import annotations

import argparse

from .commands import command_parser
from .kubernetes import Kubernetes, add_place, guarded
from .suspend import is_suspended

DESCRIPTION = """\
Resumes suspended RayClusters, by your kubeconfig: the head and minWorkers are created. The Service has the same address
as before.

It sets spec.suspend to false. Where Helm or a GitOps tool writes the RayCluster, set it there instead.
"""
EXAMPLES = """\
ray-operator resume example-cluster
ray-operator resume -n ray example-cluster another-cluster
kubectl -n ray wait raycluster/example-cluster --for=condition=Ready --timeout=15m
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = command_parser("resume", DESCRIPTION, EXAMPLES)
    made.add_argument("names", metavar="NAME", nargs="+", help="the name of a RayCluster")
    add_place(made)
    return made


def run(arguments: argparse.Namespace) -> int:
    """Resume each. Returns the exit code."""

    def act() -> None:
        kubernetes: Kubernetes = arguments.connect(arguments.context)
        for name in arguments.names:
            _resume(kubernetes, arguments.namespace or kubernetes.namespace, name)

    return guarded("resume", act)


def _resume(kubernetes: Kubernetes, namespace: str, name: str) -> None:
    if not is_suspended(kubernetes.cluster(namespace, name)):
        print(f"{namespace}/{name} is not suspended")
        return
    kubernetes.change(namespace, name, {"spec": {"suspend": False}})
    print(f"{namespace}/{name} is being resumed; ray-operator status -w {name} shows how far it is")
