"""A namespace of a real cluster with an operator of its own and one RayCluster that grows and shrinks."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHART = Path(__file__).resolve().parent.parent / "charts" / "ray"
IMAGE = "rayproject/ray:2.60.0"
HEAD = "head"


def kubectl(environment: Mapping[str, str], namespace: str, *arguments: str, stdin: str | None = None) -> str:
    """What kubectl prints.

    Raises:
        CalledProcessError: it failed; what it said has gone to standard error.
    """
    command = ["kubectl", "-n", namespace, *arguments]
    return subprocess.run(
        command, env=dict(environment), input=stdin, stdout=subprocess.PIPE, text=True, check=True
    ).stdout


@contextmanager
def operated(environment: Mapping[str, str], namespace: str) -> Iterator[None]:
    """An operator that manages this namespace alone; afterwards the namespace is gone, with all that is in it."""
    settings = ["--set", "namespacedOperator=true", "--set", "operatorOnly=true"]
    install = ["helm", "-n", namespace, "install", "ray-operator", str(CHART), "--create-namespace", *settings]
    try:
        subprocess.run(install, env=dict(environment), check=True, stdout=subprocess.PIPE)
        kubectl(environment, namespace, "rollout", "status", "deployment/ray-operator", "--timeout=540s")
        yield
    finally:
        kubectl(environment, namespace, "delete", "namespace", namespace, "--ignore-not-found", "--timeout=360s")


def ray_cluster(name: str, types: Sequence[Mapping[str, Any]], **fields: Any) -> dict[str, Any]:
    """A RayCluster whose head takes no work, and whose workers ask Kubernetes for little.

    ``types``: the worker types without their podConfig. ``fields``: more of the spec.
    """
    head = {"name": HEAD, "rayResources": {"CPU": 0}, "podConfig": _pod_config(memory="1280Mi")}
    workers = [{**worker, "podConfig": _pod_config(memory="512Mi")} for worker in types]
    spec = {"headPodType": HEAD, "podTypes": [head, *workers], **fields}
    return {"apiVersion": "cluster.ray.io/v1", "kind": "RayCluster", "metadata": {"name": name}, "spec": spec}


def apply_cluster(environment: Mapping[str, str], namespace: str, cluster: Mapping[str, Any]) -> None:
    """Apply a RayCluster, and wait until its head answers."""
    kubectl(environment, namespace, "apply", "-f", "-", stdin=json.dumps(cluster))
    name = cluster["metadata"]["name"]
    kubectl(environment, namespace, "wait", "--for=condition=HeadReady", f"raycluster/{name}", "--timeout=540s")


def in_head(environment: Mapping[str, str], namespace: str, program: str, *arguments: str) -> subprocess.Popen[str]:
    """A Python program in the head's container, with its standard input and output."""
    name = kubectl(environment, namespace, "get", "pods", "-l", "ray-node-type=head", "-o", "name").split()[0]
    command = ["kubectl", "-n", namespace, "exec", "-i", name, "--", "python", "-c", program, *arguments]
    return subprocess.Popen(
        command, env=dict(environment), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )


def _pod_config(memory: str) -> dict[str, Any]:
    amounts = {"cpu": "200m", "memory": memory}
    container = {
        "name": "ray-node",
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "resources": {"requests": amounts, "limits": {"memory": memory}},
        "volumeMounts": [{"name": "dshm", "mountPath": "/dev/shm"}],
    }
    volume = {"name": "dshm", "emptyDir": {"medium": "Memory"}}
    spec = {"volumes": [volume], "terminationGracePeriodSeconds": 5, "containers": [container]}
    return {"apiVersion": "v1", "kind": "Pod", "spec": spec}
