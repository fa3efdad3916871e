"""What the operator's port answers: ``/metrics``, ``/livez``, ``/readyz`` and the status page at ``/``."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from importlib.metadata import version
from typing import Protocol

from prometheus_client.exposition import choose_encoder

from controller.heads.polled import Heads
from controller.kube.leadership import Rights
from controller.kube.store import Stores
from controller.objects.pod_state import state_of
from controller.planning.idle_record import IdleRecord
from controller.raycluster.model import Key, RayCluster
from controller.status.read import ClusterStatus

from .health import Health
from .http_server import Reply, Route
from .metrics import Metrics
from .pass_metrics import PassMetrics
from .status_page import ClusterRow, DecisionRow, Page, render


class Served(Protocol):
    """The running operator, as far as its port shows it."""

    @property
    def metrics(self) -> Metrics:
        """What is counted and measured."""

    @property
    def health(self) -> Health:
        """Whether its loops turn."""

    @property
    def leadership(self) -> Rights:
        """Whether it may write."""

    @property
    def stores(self) -> Stores:
        """The watched objects."""

    @property
    def passes(self) -> PassMetrics:
        """The last decisions."""

    @property
    def heads(self) -> Heads:
        """What the Ray heads answered last."""

    def unready(self) -> str:
        """Why the caches are not complete yet; empty when they are."""

    def queued(self) -> int:
        """How many clusters wait for a worker."""


def routes(operator: Served, namespaces: tuple[str, ...]) -> Mapping[str, Route]:
    """Path -> what answers it."""

    def metrics(accept: str) -> Reply:
        encode, content_type = choose_encoder(accept)
        return Reply(encode(operator.metrics.registry), content_type)

    def alive(_: str) -> Reply:
        stuck = operator.health.stuck()
        return Reply("".join(f"{line}\n" for line in stuck or ["ok"]).encode(), status=500 if stuck else 200)

    def ready(_: str) -> Reply:
        why = operator.unready()
        return Reply(f"{why or 'ok'}\n".encode(), status=503 if why else 200)

    def page(_: str) -> Reply:
        return Reply(render(page_of(operator, namespaces)).encode(), "text/html; charset=utf-8")

    return {"/": page, "/metrics": metrics, "/livez": alive, "/readyz": ready}


def page_of(operator: Served, namespaces: tuple[str, ...]) -> Page:
    """What the status page shows now."""
    leads, now = operator.leadership.leads(), time.time()
    clusters = [c for c in operator.stores.clusters.all() if operator.leadership.of(c.key).leads()]
    unready = operator.unready()
    return Page(
        version=version("ray-kubernetes-operator"),
        namespaces=", ".join(namespaces) or "all namespaces",
        leads=leads,
        troubles=[*operator.health.stuck(), *([unready] if unready else [])],
        queue=operator.queued(),
        clusters=[_row(operator, c) for c in clusters],
        hour=operator.passes.hour() if leads else None,
        hour_of=lambda row: operator.passes.hour_of(Key(row.namespace, row.name)),
        decisions=[DecisionRow(now - d.at, str(d.cluster), d.what) for d in operator.passes.decisions()],
    )


def _row(operator: Served, cluster: RayCluster) -> ClusterRow:
    status = ClusterStatus.of(cluster.status)
    ready = status.condition("Ready")
    view = operator.heads.view(cluster.key)
    pods = operator.stores.pods.of_cluster(cluster.key)
    return ClusterRow(
        namespace=cluster.namespace,
        name=cluster.name,
        phase=status.phase,
        ready=ready.met,
        message=ready.message,
        restarts=status.restarts,
        workers_ready=status.ready_workers,
        workers_desired=status.desired_workers,
        pending=status.pending,
        infeasible=status.infeasible,
        answer_age=view.age if view else None,
        nodes=Counter((p.node_type, state_of(p)) for p in pods if p.owner_uid == cluster.uid),
        use=IdleRecord.of(cluster.status).words,
    )
