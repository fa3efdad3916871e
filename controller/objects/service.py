"""The head Service: the one stable address of a Ray cluster."""

from __future__ import annotations

from typing import Any

from controller.raycluster.model import ClusterSpec, RayCluster

from .hosts import hosts_selector, hosts_service_name
from .labels import CLUSTER_LABEL, COMPONENT_LABEL, HEAD_COMPONENT_SUFFIX, owner_reference
from .views import ServiceView


def service_name(cluster: RayCluster) -> str:
    """``<cluster>-ray-head``, as the legacy operator called it."""
    return cluster.name + HEAD_COMPONENT_SUFFIX


def selector(cluster: RayCluster) -> dict[str, str]:
    """What the head pod, and only it, is labelled with."""
    return {COMPONENT_LABEL: cluster.name + HEAD_COMPONENT_SUFFIX}


def build_service(cluster: RayCluster, spec: ClusterSpec, ip: str = "") -> dict[str, Any]:
    """The Service to create; its ``spec`` is also the patch that puts an edited one right.

    ``ip``: the address that it is to have; empty for any.
    """
    ports = [
        {"name": p.name, "port": p.port, "targetPort": p.target_port, "protocol": "TCP"} for p in spec.service_ports
    ]
    body = {"selector": selector(cluster), "ports": ports, **({"clusterIP": ip} if ip else {})}
    return _service(cluster, service_name(cluster), body)


def build_hosts_service(cluster: RayCluster) -> dict[str, Any]:
    """The Service to create. It has no address of its own, and hosts find each other before they are ready."""
    spec = {"clusterIP": "None", "publishNotReadyAddresses": True, "selector": hosts_selector(cluster)}
    return _service(cluster, hosts_service_name(cluster), spec)


def _service(cluster: RayCluster, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": name,
            "namespace": cluster.namespace,
            "labels": {CLUSTER_LABEL: cluster.name},
            "ownerReferences": [owner_reference(cluster)],
        },
        "spec": spec,
    }


def is_current(view: ServiceView, cluster: RayCluster, spec: ClusterSpec) -> bool:
    """Whether the Service already is what the cluster asks for."""
    return view.ports == spec.service_ports and dict(view.selector) == selector(cluster)


def is_current_for_hosts(view: ServiceView, cluster: RayCluster) -> bool:
    """Whether the Service of workers of several hosts already is what they need."""
    return view.publishes_unready and dict(view.selector) == hosts_selector(cluster)
