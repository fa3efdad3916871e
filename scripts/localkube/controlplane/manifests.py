"""Objects that every cluster of this kind holds: roles of its components, and the DNS Service."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from localkube.machine.addresses import is_ipv6

Object = dict[str, Any]
_RBAC = "/apis/rbac.authorization.k8s.io/v1"


def roles() -> Iterator[tuple[str, Object]]:
    """Paths and objects: what the components without a built-in role may do."""
    yield _binding("kubelet-client", "system:kubelet-api-admin", "kube-apiserver-kubelet-client")
    yield from _role(
        "coredns",
        _rule([""], ["namespaces", "pods", "services", "nodes"], ["get", "list", "watch"]),
        _rule(["discovery.k8s.io"], ["endpointslices"], ["list", "watch"]),
    )
    yield from _role(
        "kwok",
        _rule([""], ["nodes", "pods"], ["get", "list", "watch", "update", "patch", "delete"]),
        _rule([""], ["nodes/status", "pods/status"], ["update", "patch"]),
        _rule(["coordination.k8s.io"], ["leases"], ["get", "list", "watch", "create", "update", "patch"]),
        _rule(["", "events.k8s.io"], ["events"], ["create", "update", "patch"]),
    )


def dns(service: str, address: str) -> Iterator[tuple[str, Object]]:
    """The Service kube-dns at `service`, in front of a CoreDNS that is no pod and listens on `address`."""
    metadata = {"name": "kube-dns", "namespace": "kube-system", "labels": {"k8s-app": "kube-dns"}}
    ports = [{"name": protocol.lower(), "port": 53, "protocol": protocol} for protocol in ("UDP", "TCP")]
    yield (
        "/api/v1/namespaces/kube-system/services/kube-dns",
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {"clusterIP": service, "ports": ports},
        },
    )
    slice_metadata = {**metadata, "labels": {"kubernetes.io/service-name": "kube-dns"}}
    yield (
        "/apis/discovery.k8s.io/v1/namespaces/kube-system/endpointslices/kube-dns",
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": slice_metadata,
            "addressType": "IPv6" if is_ipv6(address) else "IPv4",
            "ports": ports,
            "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
        },
    )


def _rule(groups: list[str], resources: list[str], verbs: list[str]) -> Object:
    return {"apiGroups": groups, "resources": resources, "verbs": verbs}


def _role(component: str, *rules: Object) -> Iterator[tuple[str, Object]]:
    name = f"local-kubernetes:{component}"
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": name}}
    yield f"{_RBAC}/clusterroles/{name}", {**role, "rules": list(rules)}
    yield _binding(component, name, name)


def _binding(component: str, role: str, user: str) -> tuple[str, Object]:
    name, group = f"local-kubernetes:{component}", "rbac.authorization.k8s.io"
    binding = {
        "apiVersion": f"{group}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": group, "kind": "User", "name": user}],
    }
    return f"{_RBAC}/clusterrolebindings/{name}", binding
