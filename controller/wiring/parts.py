"""What the threads of an operator share, and what its port shows."""

from __future__ import annotations

import functools
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from controller.heads.credentials import CredentialFolder
from controller.heads.polled import PolledHeads
from controller.kube.client import WatchClient
from controller.kube.leadership import Rights
from controller.kube.nodes import Nodes
from controller.kube.patience import PatientClient
from controller.kube.store import Store, Stores
from controller.kube.workqueue import WorkQueue
from controller.monitoring.collectors import ClusterCollector, StateCollector
from controller.monitoring.health import Health
from controller.monitoring.instrumented import MeasuredGcsClient, MeasuredWatchClient
from controller.monitoring.metrics import Metrics
from controller.monitoring.pass_metrics import PassMetrics
from controller.raycluster.model import Key

from .picture import Picture, WholePicture

# A cache whose watch has failed for so long is reported as old.
STALE_SECONDS = 60.0
HEADS_LIMIT_SECONDS = 120.0


class Watched(Protocol):
    """A watch, as far as readiness depends on it."""

    def failing(self) -> tuple[float, str]:
        """For how many seconds nothing has come of it, and why."""


@dataclass(frozen=True)
class Parts:
    """The parts of one process.

    ``scopes``: namespaces, or "" for all. ``connection``: for reads and watches. ``unfenced``: for writes, each of
    which needs a right. ``watches``: those whose failure makes the process unready.
    """

    scopes: tuple[str, ...]
    metrics: Metrics
    health: Health
    leadership: Rights
    queue: WorkQueue[Key]
    stores: Stores
    heads: PolledHeads
    passes: PassMetrics
    connection: MeasuredWatchClient
    unfenced: PatientClient
    picture: Picture
    watches: list[Watched] = field(default_factory=list)

    def unready(self) -> str:
        """Why the caches are not complete or grow old; empty when all is well, whether this process leads or not."""
        if missing := self.picture.missing():
            return f"not everything is listed yet: {missing}"
        failing = [(seconds, why) for seconds, why in (w.failing() for w in self.watches) if seconds > STALE_SECONDS]
        return "; ".join(f"{why}, for {seconds:.0f} s" for seconds, why in failing)

    def queued(self) -> int:
        """How many clusters wait for a worker."""
        return len(self.queue)

    def look_at_all(self, scope: str = "") -> None:
        """Have a pass over every cluster of a scope."""
        _look_at(self.stores, self.queue, scope)


def make_parts(
    client: WatchClient,
    scopes: tuple[str, ...],
    leadership: Rights,
    ray_credentials: Path | None,
    picture: Picture | None = None,
) -> Parts:
    """The parts, nothing of which runs yet. ``picture``: None for one of everything."""
    metrics, health = Metrics(), Health()
    connection = MeasuredWatchClient(client, metrics)
    queue: WorkQueue[Key] = WorkQueue(on_taken=metrics.queue_wait_seconds.observe)
    stores = _stores(queue, scopes)
    parts = Parts(
        scopes,
        metrics,
        health,
        leadership,
        queue,
        stores,
        PolledHeads(
            queue.add_news,
            connect=functools.partial(MeasuredGcsClient, metrics),
            credentials=CredentialFolder(ray_credentials) if ray_credentials else lambda namespace: None,
        ),
        PassMetrics(metrics),
        connection,
        PatientClient(connection),
        picture or WholePicture(stores, scopes),
    )
    health.watch("heads", HEADS_LIMIT_SECONDS, parts.heads.late)
    metrics.registry.register(
        ClusterCollector(parts.stores, lambda cluster: leadership.of(cluster).leads(), parts.heads.view)
    )
    metrics.registry.register(StateCollector(parts.stores, queue, health, leadership.leads))
    return parts


def _stores(queue: WorkQueue[Key], scopes: tuple[str, ...]) -> Stores:
    def listed(scope: str) -> None:
        # A namespace that may not be read keeps waiting; the others do not wait for it.
        if stores.listed(scope):
            _look_at(stores, queue, scope)

    def signs_changed(names: Collection[str]) -> None:
        # The clusters that have pods on these nodes.
        for cluster in {pod.cluster for pod in stores.pods.all() if pod.node in names}:
            queue.add(cluster)

    stores = Stores(
        clusters=Store(lambda c: c.key, queue.add, scopes, listed),
        pods=Store(lambda p: p.cluster, queue.add, scopes, listed),
        services=Store(lambda s: s.cluster, queue.add, scopes, listed),
        claims=Store(lambda c: c.cluster, queue.add, scopes, listed),
        cleanups=Store(lambda j: j.cluster, queue.add, scopes, listed),
        nodes=Nodes(signs_changed),
    )
    return stores


def _look_at(stores: Stores, queue: WorkQueue[Key], scope: str) -> None:
    for key in stores.keys(scope):
        queue.add(key)
