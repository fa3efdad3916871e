"""The three ways to install, each from nothing to a task that has run, and back to nothing in an order of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from tests.support.chart import CHART, helm, settings
from tests.support.kube import Kube, eventually
from tests.support.prerequisites import ROOT

SMALL = ("podTypes.rayWorkerType.minWorkers=1", "podTypes.rayWorkerType.CPU=500m")
LABEL = "cluster.ray.io/component=operator"
KINDS = "rayclusters,pods,services,deployments,serviceaccounts,roles,rolebindings,networkpolicies,leases"


class Place:
    """Where releases are installed: two namespaces, one for clusters and one for an operator."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = environment
        self.clusters = Kube(environment, "ray")
        self.operator = Kube(environment, "ray-system")

    def helm(self, *words: str) -> str:
        """What helm prints.

        Raises:
            AssertionError: it failed.
        """
        done = helm(self.environment, *words)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def install(self, kube: Kube, release: str, *assignments: str) -> None:
        """Install a release."""
        self.helm("-n", kube.namespace, "install", release, str(CHART), *settings(*assignments))

    def works(self, kube: Kube, release: str) -> None:
        """The release's own tests end in success."""
        printed = self.helm("-n", kube.namespace, "test", release, "--logs", "--timeout=5m")
        assert "Success!" in printed

    def uninstall(self, kube: Kube, release: str) -> None:
        """Remove a release, and wait until what it consisted of is gone."""
        self.helm("-n", kube.namespace, "uninstall", release, "--wait", "--timeout=2m")

    def left(self) -> list[str]:
        """What is there of any release."""
        found = self.clusters.run("get", "clusterroles,clusterrolebindings", "-l", LABEL, "-o", "name").split()
        for kube in (self.clusters, self.operator):
            names = kube.run("get", KINDS, "-o", "name").split()
            # The pods of helm test stay, so that they can be read; the lease is nobody's and harms nobody.
            found += [n for n in names if not n.endswith(("/default", "-test", "/ray-operator")) or "deploy" in n]
        return found


@pytest.fixture
def place(environment: Mapping[str, str]) -> Iterator[Place]:
    """Two fresh namespaces. Whatever happens, nothing is left of them or of an operator."""
    place = Place(environment)
    for kube in (place.clusters, place.operator):
        kube.run("create", "namespace", kube.namespace)
    yield place
    for kube in (place.clusters, place.operator):
        kube.run("delete", "namespace", kube.namespace, "--ignore-not-found", "--timeout=540s")
    kube.run("delete", "clusterroles,clusterrolebindings", "-l", LABEL)


def test_an_operator_for_all_namespaces_and_clusters_beside_it(place: Place) -> None:
    """Three releases; the operator is removed first, while clusters run."""
    place.install(place.operator, "ray-operator", "operatorOnly=true", "operatorNamespace=ray-system")
    place.install(place.clusters, "example-cluster", "clusterOnly=true", *SMALL)
    place.install(place.clusters, "example-cluster2", "clusterOnly=true", "podTypes.rayWorkerType.minWorkers=0")
    place.works(place.operator, "ray-operator")
    place.works(place.clusters, "example-cluster")
    place.works(place.clusters, "example-cluster2")
    pods = [p["metadata"]["labels"]["ray-cluster-name"] for p in place.clusters.list("pods", "ray-cluster-name")]
    assert sorted(pods) == ["example-cluster", "example-cluster", "example-cluster2"]
    place.uninstall(place.operator, "ray-operator")
    place.uninstall(place.clusters, "example-cluster2")
    place.uninstall(place.clusters, "example-cluster")
    eventually(lambda: place.left() == [], within=120)


def test_an_operator_for_a_namespace_that_is_restricted(place: Place) -> None:
    """Without cluster-wide rights, under Pod Security "restricted" and network policies; the release goes at once."""
    place.clusters.run("label", "namespace", "ray", "pod-security.kubernetes.io/enforce=restricted")
    wanted = ("namespacedOperator=true", "restricted=true", "networkPolicy.enabled=true")
    place.install(place.clusters, "example-cluster", *wanted, *SMALL)
    place.works(place.clusters, "example-cluster")
    assert place.clusters.run("get", "clusterroles", "-l", LABEL, "-o", "name") == ""
    place.uninstall(place.clusters, "example-cluster")
    eventually(lambda: place.left() == [], within=120)


def test_the_demo_without_helm(place: Place) -> None:
    """By kustomize, in a namespace: three tasks bring workers to a cluster that has none, and all of it ends well."""
    ray = place.clusters
    ray.run("apply", "-k", str(ROOT / "manifests/operator_namespaced"))
    ray.run("apply", "-f", str(ROOT / "manifests/autoscaling_demo.yaml"))
    ray.run("wait", "--for=condition=complete", "job/autoscaling-demo", "--timeout=720s")
    assert "Success!" in ray.run("logs", "job/autoscaling-demo")
    assert ray.list("pods", "ray-node-type=worker")
    ray.run("delete", "-k", str(ROOT / "manifests/operator_namespaced"))
    ray.run("delete", "-f", str(ROOT / "manifests/autoscaling_demo.yaml"), "--timeout=180s")
    eventually(lambda: place.left() == [], within=120)


def test_a_cluster_without_the_operator(place: Place) -> None:
    """Kubernetes' own Deployments: a head and three workers that know each other."""
    ray = place.clusters
    ray.run("apply", "-f", str(ROOT / "manifests/static_cluster.yaml"))
    ray.run("rollout", "status", "deployment/ray-head", "--timeout=540s")
    program = "import ray; ray.init(address='auto', log_to_driver=False); print(len(ray.nodes()), 'nodes')"
    eventually(lambda: "4 nodes" in ray.run("exec", "deployment/ray-head", "--", "python", "-c", program), within=180)
    ray.run("delete", "-f", str(ROOT / "manifests/static_cluster.yaml"), "--timeout=180s")
