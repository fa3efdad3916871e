"""What a request says: its HTTP method, its path, and whether it changes anything."""

from __future__ import annotations

import pytest

from controller.kube.client import Request, Verb
from controller.raycluster.model import PLURAL


@pytest.mark.parametrize(
    ("asked", "method", "path"),
    [
        (Request("list", "pods"), "GET", "/api/v1/pods"),
        (Request("watch", "pods", "ray"), "GET", "/api/v1/namespaces/ray/pods"),
        (Request("get", "services", "ray", "a"), "GET", "/api/v1/namespaces/ray/services/a"),
        (Request("create", "events", "ray"), "POST", "/api/v1/namespaces/ray/events"),
        (Request("delete", "pods", "ray", "a b"), "DELETE", "/api/v1/namespaces/ray/pods/a%20b"),
        (
            Request("patch", PLURAL, "ray", "a", "status"),
            "PATCH",
            "/apis/cluster.ray.io/v1/namespaces/ray/rayclusters/a/status",
        ),
        (Request("list", PLURAL), "GET", "/apis/cluster.ray.io/v1/rayclusters"),
        (Request("update", "leases", "ops", "x"), "PUT", "/apis/coordination.k8s.io/v1/namespaces/ops/leases/x"),
    ],
)
def test_a_request_has_the_method_and_the_path_of_the_kubernetes_api(asked: Request, method: str, path: str) -> None:
    assert (asked.method, asked.path) == (method, path)


def test_only_reads_pass_a_fence() -> None:
    verbs: tuple[Verb, ...] = ("get", "list", "watch", "create", "update", "patch", "delete")
    assert [v for v in verbs if not Request(v, "pods").writes] == ["get", "list", "watch"]


def test_a_subresource_is_part_of_the_resource_as_in_rbac() -> None:
    assert Request("patch", PLURAL, "ray", "a", "status").full_resource == "rayclusters/status"
    assert Request("get", "pods", "ray", "a").full_resource == "pods"
