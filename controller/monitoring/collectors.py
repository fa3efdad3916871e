"""Metrics per cluster: read from the stores when Prometheus asks, so that it costs nothing in between.

A series lives as long as its cluster. Only the leader has them, so that sums over replicas are right. The labels are
``raycluster`` and ``raycluster_namespace``: Prometheus itself, or a federation, often has a ``namespace`` and a
``cluster`` of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import attrgetter

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from controller.kube.holdings import Holdings
from controller.kube.partitions import PARTITIONS
from controller.kube.store import Stores
from controller.kube.workqueue import WorkQueue
from controller.objects.pod_state import state_of
from controller.planning.observed import RayView
from controller.raycluster.model import Key, RayCluster
from controller.status.read import PHASES, ClusterStatus

from .health import Health

# A cluster may have any number of types; those beyond these are exported as one.
MAX_TYPES = 50
OTHER = "other"

_CLUSTER = ("raycluster_namespace", "raycluster")
# Metric, what the status says, meaning.
_COUNTS = (
    ("desired_workers", attrgetter("desired_workers"), "How many workers each cluster should have."),
    ("ready_workers", attrgetter("ready_workers"), "How many of them are Ray nodes that can work."),
    (
        "pending_demand",
        attrgetter("pending"),
        "Tasks, actors and bundles that wait in Ray, of the most frequent shapes.",
    ),
    ("infeasible_demand", attrgetter("infeasible"), "Those of them that no node of the cluster could ever hold."),
)


class ClusterCollector(Collector):
    """Phase, nodes and demand of each cluster that this process ``leads``."""

    def __init__(self, stores: Stores, leads: Callable[[Key], bool], view: Callable[[Key], RayView | None]) -> None:
        self._stores = stores
        self._leads = leads
        self._view = view

    def collect(self) -> Iterator[Metric]:
        """Every series of every cluster."""
        clusters = sorted((c for c in self._stores.clusters.all() if self._leads(c.key)), key=lambda c: c.key)
        yield self._gauge("clusters", "RayClusters by phase.", _phases(clusters), ("phase",))
        yield self._per_cluster("cluster_phase", "1 for the phase that each cluster is in.", clusters, _phase, "phase")
        yield self._per_cluster(
            "nodes", "Pods of each cluster, by type and state.", clusters, self._nodes, "node_type", "state"
        )
        told = {tuple(c.key): ClusterStatus.of(c.status) for c in clusters}
        for name, read, text in _COUNTS:
            yield self._gauge(name, text, {key: float(read(status)) for key, status in told.items()}, _CLUSTER)
        yield self._per_cluster(
            "head_answers",
            "1 if the head has said within a minute what work waits, else 0.",
            clusters,
            lambda c: {(): self._answers(c)},
        )
        yield self._restarts(clusters)

    def _gauge(
        self, name: str, text: str, values: Mapping[tuple[str, ...], float], labels: Sequence[str]
    ) -> GaugeMetricFamily:
        family = GaugeMetricFamily(f"ray_operator_{name}", text, labels=labels)
        for key, value in values.items():
            family.add_metric(key, value)
        return family

    def _per_cluster(
        self,
        name: str,
        text: str,
        clusters: Sequence[RayCluster],
        read: Callable[[RayCluster], Mapping[tuple[str, ...], float]],
        *labels: str,
    ) -> GaugeMetricFamily:
        values = {(*c.key, *key): value for c in clusters for key, value in read(c).items()}
        return self._gauge(name, text, values, (*_CLUSTER, *labels))

    def _nodes(self, cluster: RayCluster) -> Mapping[tuple[str, ...], float]:
        pods = [p for p in self._stores.pods.of_cluster(cluster.key) if p.owner_uid == cluster.uid]
        named = set(sorted({p.node_type for p in pods})[:MAX_TYPES])
        return Counter((p.node_type if p.node_type in named else OTHER, state_of(p)) for p in pods)

    def _answers(self, cluster: RayCluster) -> float:
        view = self._view(cluster.key)
        return float(view is not None and not view.expired)

    def _restarts(self, clusters: Sequence[RayCluster]) -> Metric:
        family = CounterMetricFamily(
            "ray_operator_cluster_restarts_total", "Times that each cluster lost its head.", labels=_CLUSTER
        )
        for cluster in clusters:
            family.add_metric(cluster.key, ClusterStatus.of(cluster.status).restarts)
        return family


class StateCollector(Collector):
    """The state of the process itself: its caches and queue, its loops, whether it leads."""

    def __init__(self, stores: Stores, queue: WorkQueue[Key], health: Health, leads: Callable[[], bool]) -> None:
        self._stores = stores
        self._queue = queue
        self._health = health
        self._leads = leads

    def collect(self) -> Iterator[Metric]:
        """Every series."""
        cached = GaugeMetricFamily(
            "ray_operator_cache_objects", "Objects that the operator knows of.", labels=("resource",)
        )
        for resource, store in vars(self._stores).items():
            cached.add_metric(("rayclusters" if resource == "clusters" else resource,), len(store))
        yield cached
        yield GaugeMetricFamily("ray_operator_queue_depth", "Clusters that wait for a worker.", len(self._queue))
        yield GaugeMetricFamily(
            "ray_operator_leader", "1 while this process may write, 0 while it stands by.", float(self._leads())
        )
        loops = GaugeMetricFamily(
            "ray_operator_loop_age_seconds",
            "Since each loop turned, 0 while it waits for work. Over its limit, the process is restarted.",
            labels=("loop",),
        )
        for name, age in self._health.ages().items():
            loops.add_metric((name,), age)
        yield loops


class PartCollector(Collector):
    """Which parts of all clusters this process manages, where several operators share them."""

    def __init__(self, holdings: Holdings) -> None:
        self._holdings = holdings

    def collect(self) -> Iterator[Metric]:
        """One series for each part there is."""
        parts = GaugeMetricFamily(
            "ray_operator_part_leader",
            "1 while this process may write about a part of all clusters, else 0; where several operators share them.",
            labels=("part",),
        )
        held = self._holdings.held()
        for part in range(PARTITIONS):
            parts.add_metric((str(part),), float(part in held and held[part].leads()))
        yield parts


def _phases(clusters: Sequence[RayCluster]) -> Mapping[tuple[str, ...], float]:
    """The known phases, all of them where there are any clusters, so that a rate begins at 0."""
    counts = Counter(ClusterStatus.of(c.status).phase for c in clusters)
    return {(name,): float(counts[name]) for name in (*PHASES, "") if name or counts[name]}


def _phase(cluster: RayCluster) -> Mapping[tuple[str, ...], float]:
    return {(ClusterStatus.of(cluster.status).phase,): 1.0}
