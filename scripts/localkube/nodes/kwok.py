"""Fake nodes: objects that the scheduler fills and that KWOK makes look alive, with nothing running on them."""

from __future__ import annotations

from typing import Any

from localkube.controlplane.api import Api
from localkube.controlplane.daemons import Endpoint, user_kubeconfig
from localkube.machine.addresses import fake_pods
from localkube.machine.binaries import Binary
from localkube.machine.components import Component
from localkube.machine.layout import Layout

_FAKE = "kwok.x-k8s.io/node"


def component(layout: Layout, endpoint: Endpoint, binary: Binary) -> Component:
    """The daemon that plays the kubelet for annotated nodes, and for them only."""
    path, text = user_kubeconfig(layout, endpoint, "kwok")
    argv = (
        f"{binary.path}",
        f"--kubeconfig={path}",
        f"--config={binary.path.with_name('stages.yaml')}",
        f"--manage-nodes-with-annotation-selector={_FAKE}=fake",
        "--node-lease-duration-seconds=200",
        f"--cidr={fake_pods(endpoint.ip_family)}",
        "--server-address=",
    )
    return Component("kwok", argv, binary.version, {path: text})


def node(name: str, beside_real_nodes: bool) -> dict[str, Any]:
    """A fake node as large as a big cloud machine. Beside real ones a taint keeps ordinary pods off it."""
    size = {"cpu": "64", "memory": "256Gi", "pods": "1000"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "annotations": {_FAKE: "fake"},
            "labels": {"type": "kwok", "kubernetes.io/hostname": name, "kubernetes.io/os": "linux"},
        },
        "spec": {"taints": [{"key": _FAKE, "value": "fake", "effect": "NoSchedule"}] if beside_real_nodes else []},
        "status": {"capacity": size, "allocatable": size},
    }


def ensure_nodes(api: Api, count: int, beside_real_nodes: bool) -> None:
    """Bring the fake nodes to kwok-node-0 ... kwok-node-(count-1)."""
    there = {item["metadata"]["name"] for item in api.items("/api/v1/nodes?labelSelector=type%3Dkwok")}
    wanted = {f"kwok-node-{number}" for number in range(count)}
    for name in sorted(wanted - there):
        api.apply(f"/api/v1/nodes/{name}", node(name, beside_real_nodes))
    for name in sorted(there - wanted):
        api.delete(f"/api/v1/nodes/{name}")


def all_ready(nodes: list[dict[str, Any]]) -> bool:
    """Whether every one of these nodes has a true condition Ready."""
    return all(
        any(
            condition["type"] == "Ready" and condition["status"] == "True"
            for condition in node["status"].get("conditions", [])
        )
        for node in nodes
    )
