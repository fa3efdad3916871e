"""What is told per cluster, and that nothing of it outlives its cluster."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from autoscaler.model import RayState
from controller.kube.store import Store, Stores
from controller.kube.workqueue import WorkQueue
from controller.monitoring.collectors import MAX_TYPES, ClusterCollector, StateCollector
from controller.monitoring.health import Health
from controller.objects.pod_state import state_of
from controller.planning.observed import RayView
from controller.raycluster.model import Key, RayCluster
from tests.support.builders import NAME, NAMESPACE, cluster, head_pod, seen, worker_pod

SPEC = seen().spec
LABELS = {"raycluster": NAME, "raycluster_namespace": NAMESPACE}


class Scrape:
    """Stores, and what is told of them."""

    def __init__(self) -> None:
        self.stores = Stores(*(Store(_cluster_of, lambda _: None) for _ in range(3)))
        self.leads = True
        self.ages: dict[Key, float] = {}
        self.registry = CollectorRegistry()
        self.registry.register(ClusterCollector(self.stores, lambda cluster: self.leads, self._view))

    def _view(self, key: Key) -> RayView | None:
        return RayView(RayState("s", 0, ()), "head-uid", self.ages[key]) if key in self.ages else None

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"ray_operator_{name}", labels)

    def count(self) -> int:
        """How many series there are with a cluster's name."""
        return sum("raycluster" in s.labels for family in self.registry.collect() for s in family.samples)


def _cluster_of(obj: Any) -> Key:
    found: Key = getattr(obj, "cluster", obj.key)
    return found


@pytest.fixture
def scrape() -> Scrape:
    return Scrape()


def running(**status: Any) -> RayCluster:
    return cluster(status={"phase": "Running", **status})


def test_a_clusters_phase_nodes_demand_and_restarts_are_told(scrape: Scrape) -> None:
    demand = {"pendingDemand": [{"count": 3}, {"count": 4}], "infeasibleDemand": [{"count": 2}]}
    made = running(desiredWorkers=5, autoscalerRetries=6, **demand)
    scrape.stores.clusters.watched(made, "")
    for pod in (head_pod(SPEC), worker_pod(SPEC), worker_pod(SPEC, 1), worker_pod(SPEC, 2, ready=False)):
        scrape.stores.pods.watched(pod, "")
    scrape.ages[made.key] = 2.0
    assert scrape.value("clusters", phase="Running") == 1
    assert scrape.value("clusters", phase="Error") == 0
    assert scrape.value("cluster_phase", **LABELS, phase="Running") == 1
    assert scrape.value("nodes", **LABELS, node_type="worker-node", state="ready") == 2
    assert scrape.value("nodes", **LABELS, node_type="worker-node", state="starting") == 1
    assert scrape.value("nodes", **LABELS, node_type="head-node", state="ready") == 1
    assert scrape.value("desired_workers", **LABELS) == 5
    assert scrape.value("pending_demand", **LABELS) == 7
    assert scrape.value("infeasible_demand", **LABELS) == 2
    assert scrape.value("cluster_restarts_total", **LABELS) == 6
    assert scrape.value("head_answers", **LABELS) == 1
    scrape.ages[made.key] = 61.0
    assert scrape.value("head_answers", **LABELS) == 0


def test_series_end_with_their_cluster(scrape: Scrape) -> None:
    """Though its pods, which take a while to end, are still there."""
    made = running()
    scrape.stores.clusters.watched(made, "")
    scrape.stores.pods.watched(head_pod(SPEC), "")
    assert scrape.count() > 5
    scrape.stores.clusters.deleted(replace(made, resource_version=11), "")
    assert scrape.count() == 0


def test_one_that_stands_by_tells_of_no_cluster(scrape: Scrape) -> None:
    """Else sums over replicas would be wrong."""
    scrape.stores.clusters.watched(running(), "")
    scrape.leads = False
    assert (scrape.count(), scrape.value("clusters", phase="Running")) == (0, 0)


def test_another_clusters_pods_under_its_label_are_not_its_nodes(scrape: Scrape) -> None:
    scrape.stores.clusters.watched(running(), "")
    scrape.stores.pods.watched(head_pod(SPEC, owner_uid="an earlier one"), "")
    assert scrape.value("nodes", **LABELS, node_type="head-node", state="ready") is None


def test_pods_with_endless_types_make_no_endless_series(scrape: Scrape) -> None:
    scrape.stores.clusters.watched(running(), "")
    for number in range(MAX_TYPES + 30):
        pod = worker_pod(SPEC)
        made = replace(pod, key=Key(NAMESPACE, f"w{number}"), uid=f"u{number}", node_type=f"type-{number:03}")
        scrape.stores.pods.watched(made, "")
    assert scrape.value("nodes", **LABELS, node_type="other", state="ready") == 30


@pytest.mark.parametrize(
    "status",
    [
        {"phase": "../../etc", "pendingDemand": "many", "autoscalerRetries": "x"},
        {"phase": 7, "pendingDemand": [1, {"count": "x"}], "desiredWorkers": None},
        {},
    ],
)
def test_a_status_that_another_client_wrote_breaks_nothing(scrape: Scrape, status: dict[str, Any]) -> None:
    scrape.stores.clusters.watched(cluster(status=status), "")
    assert scrape.value("cluster_phase", **LABELS, phase="") == 1
    assert scrape.value("pending_demand", **LABELS) == 0


def test_states_of_pods() -> None:
    pod = worker_pod(SPEC)
    changes: dict[str, dict[str, Any]] = {
        "ready": {},
        "starting": {"ready": False},
        "pending": {"ready": False, "phase": "Pending"},
        "ended": {"phase": "Failed"},
        "lost": {"phase": "Unknown"},
        "terminating": {"deleting": True, "phase": "Unknown"},
    }
    assert {state: state_of(replace(pod, **fields)) for state, fields in changes.items()} == {s: s for s in changes}


def test_the_process_reports_its_caches_queue_loops_and_lead() -> None:
    stores = Stores(*(Store(_cluster_of, lambda _: None) for _ in range(3)))
    queue: WorkQueue[Key] = WorkQueue()
    health = Health(lambda: 10.0)
    health.loop("lease", 60).turn()
    registry = CollectorRegistry()
    registry.register(StateCollector(stores, queue, health, lambda: True))
    stores.clusters.watched(cluster(), "")
    queue.add(cluster().key)
    assert registry.get_sample_value("ray_operator_cache_objects", {"resource": "rayclusters"}) == 1
    assert registry.get_sample_value("ray_operator_cache_objects", {"resource": "pods"}) == 0
    assert registry.get_sample_value("ray_operator_queue_depth") == 1
    assert registry.get_sample_value("ray_operator_leader") == 1
    assert registry.get_sample_value("ray_operator_loop_age_seconds", {"loop": "lease"}) == 0
