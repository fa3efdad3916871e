"""One RayCluster as its user sees it, whose kubelet a test plays."""

from __future__ import annotations

from typing import Any

from .kube import Kube, eventually

NAME = "example-cluster"
HEAD = "ray-node-type=head"
WORKER = "ray-node-type=worker"


def launched(kube: Kube, workers: int) -> list[dict[str, Any]]:
    """All pods, once there are a head and that many workers."""

    def look() -> list[dict[str, Any]]:
        complete = len(kube.list("pods", HEAD)) == 1 and len(kube.list("pods", WORKER)) == workers
        return kube.list("pods", "ray-cluster-name") if complete else []

    return eventually(look)


def running(kube: Kube, workers: int = 2) -> list[dict[str, Any]]:
    """All pods, once the cluster is up."""
    launched(kube, workers)

    def look() -> bool:
        kube.run_pods()
        status = kube.get("raycluster", NAME).get("status", {})
        return bool(status.get("phase") == "Running" and status["readyWorkers"] == workers)

    eventually(look)
    return kube.list("pods", "ray-cluster-name")


def condition(kube: Kube, kind: str, name: str = NAME) -> dict[str, Any]:
    """A condition of the RayCluster, or an empty one."""
    conditions = kube.get("raycluster", name).get("status", {}).get("conditions", [])
    return next((c for c in conditions if c["type"] == kind), {})


def on_fake_nodes(cluster: dict[str, Any], *pod_types: str) -> None:
    """Let the pods of these types run on the control plane's fake nodes."""
    for pod_type in cluster["spec"]["podTypes"]:
        if pod_type["name"] in pod_types:
            pod_type["podConfig"]["spec"]["tolerations"] = [{"key": "kwok.x-k8s.io/node", "operator": "Exists"}]
