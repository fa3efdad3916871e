"""``ray-operator resume``: bring suspended RayClusters back."""

from __future__ import annotations

import argparse
import time

from controller.planning.idle_record import is_put_to_sleep
from controller.raycluster.idle_termination import RESUMED_ANNOTATION
from controller.raycluster.model import Json, RayCluster, timestamp

from .kubernetes import Kubernetes
from .suspend import for_each, is_suspended, parser_of

DESCRIPTION = """\
Resumes suspended RayClusters, by your kubeconfig: the head and minWorkers are created. The Service has the same address
as before.

It sets spec.suspend to false. Where Helm or a GitOps tool writes the RayCluster, set it there instead. A cluster that
was suspended because nothing used it (spec.idleTermination) gets an annotation, and its spec stays as it is.
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
    raw = kubernetes.cluster(namespace, name)
    if is_suspended(raw):
        change: Json = {"spec": {"suspend": False}}
    elif is_put_to_sleep(RayCluster.from_object(raw)):
        change = {"metadata": {"annotations": {RESUMED_ANNOTATION: timestamp(time.time())}}}
    else:
        print(f"{namespace}/{name} is not suspended")
        return
    kubernetes.change(namespace, name, change)
    print(f"{namespace}/{name} is being resumed; ray-operator status -w {name} shows how far it is")
