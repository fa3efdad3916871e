"""The Kubernetes node provider keeps the providers' contract against a real API server."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from autoscaler.provider import Launch, NodeProvider
from controller.kube.access import by_kubeconfig
from controller.kube.client import HttpClient
from controller.kube.store import Store
from controller.objects.pod import build_pod
from controller.objects.views import PodView
from controller.raycluster.model import RayCluster, parse_spec
from controller.reconcile.pod_provider import KubernetesNodeProvider
from tests.conformance.node_provider import NodeProviderContract
from tests.support.kube import Kube, eventually


@pytest.fixture
def provider(kube: Kube, example: dict[str, Any]) -> Iterator[NodeProvider]:
    """A provider for a RayCluster that exists, with nobody else at work on it. Its store sees its own writes only."""
    kube.apply(example)
    cluster = RayCluster.from_object(kube.get("raycluster", "example-cluster"))
    spec = parse_spec(cluster.spec)

    def body_of(launch: Launch) -> dict[str, Any]:
        return build_pod(cluster, spec, spec.worker_types[0], launch.name)

    pods: Store[PodView] = Store(lambda p: p.cluster, lambda key: None)
    with ThreadPoolExecutor(1) as executor:
        yield KubernetesNodeProvider(
            HttpClient(by_kubeconfig(None, kube.environment["KUBECONFIG"])), pods, cluster, body_of, executor
        )


class TestKubernetes(NodeProviderContract):
    @pytest.fixture
    def limited(self, kube: Kube, provider: NodeProvider) -> NodeProvider:
        spec = {"hard": {"pods": "2"}}
        kube.apply({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "two"}, "spec": spec})
        eventually(lambda: kube.get("resourcequota", "two")["status"]["hard"])
        return provider
