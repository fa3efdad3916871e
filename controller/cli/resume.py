"""``ray-operator resume``: bring suspended RayClusters back."""

from __future__ import annotations

import argparse

from .kubernetes import Kubernetes
from .suspend import for_each, is_suspended, parser_of

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
    return parser_of("resume", DESCRIPTION, EXAMPLES)


def run(arguments: argparse.Namespace) -> int:
    """Resume each. Returns the exit code."""
    return for_each("resume", arguments, _resume)


def _resume(kubernetes: Kubernetes, namespace: str, name: str) -> None:
    if not is_suspended(kubernetes.cluster(namespace, name)):
        print(f"{namespace}/{name} is not suspended")
        return
    kubernetes.change(namespace, name, {"spec": {"suspend": False}})
    print(f"{namespace}/{name} is being resumed; ray-operator status -w {name} shows how far it is")
