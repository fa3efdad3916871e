"""The running operator: how its parts are put together, and how they start and stop."""

from __future__ import annotations

import functools
import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

from .clock import SlewedClock
from .heads.credentials import CredentialFolder
from .heads.fenced import FencedHeads
from .heads.polled import PolledHeads
from .kube.client import WatchClient
from .kube.election import Election, LeaseAt
from .kube.events import Events
from .kube.index import Stored
from .kube.leadership import FencedClient, Leadership
from .kube.patience import PatientClient
from .kube.store import Store, Stores, sharing_spec
from .kube.watch import Watcher
from .kube.workqueue import WorkQueue
from .monitoring.collectors import ClusterCollector, StateCollector
from .monitoring.health import Health
from .monitoring.instrumented import MeasuredClient, MeasuredGcsClient, MeasuredWatchClient
from .monitoring.metrics import Metrics
from .monitoring.pass_metrics import PassMetrics
from .objects.claim import ClaimView
from .objects.labels import CLUSTER_LABEL
from .objects.views import PodView, ServiceView
from .planning.observed import Settings
from .raycluster.model import PLURAL, Key, RayCluster
from .reconcile.reconciler import Reconciler
from .reconcile.turns import FairExecutor
from .reconcile.unreadable import SetAside
from .reconcile.worker import ReconcileWorker

log = logging.getLogger(__name__)

T = TypeVar("T", bound=Stored)

WRITE_THREADS = 16
STOP_SECONDS = 20.0
# A watch turns at least twice a minute, or once in that time when the server asks to be left alone. A pass may meet
# an API server that takes its 30 s for each of several answers.
WATCH_LIMIT_SECONDS = 300.0
PASS_LIMIT_SECONDS = 900.0
LEASE_LIMIT_SECONDS = 120.0
# A cache whose watch has failed for so long is reported as old.
STALE_SECONDS = 60.0
HEADS_LIMIT_SECONDS = 120.0


class Watches(Protocol):
    """A watch, as far as readiness depends on it."""

    def failing(self) -> tuple[float, str]:
        """For how many seconds nothing has come of it, and why."""


@dataclass(frozen=True)
class Parts:
    """What the threads of an operator share, and what its port shows.

    ``scopes``: namespaces, or "" for all. ``connection``: for reads and watches. ``writes``: only while it leads.
    """

    scopes: tuple[str, ...]
    metrics: Metrics
    health: Health
    leadership: Leadership
    queue: WorkQueue[Key]
    stores: Stores
    heads: PolledHeads
    passes: PassMetrics
    connection: MeasuredWatchClient
    writes: FencedClient
    watches: list[Watches] = field(default_factory=list)

    def unready(self) -> str:
        """Why the caches are not complete or grow old; empty when all is well, whether this process leads or not."""
        missing = [scope or "all namespaces" for scope in self.scopes if not self.stores.listed(scope)]
        if missing:
            return f"not everything is listed yet: {', '.join(missing)}"
        failing = [(seconds, why) for seconds, why in (w.failing() for w in self.watches) if seconds > STALE_SECONDS]
        return "; ".join(f"{why}, for {seconds:.0f} s" for seconds, why in failing)

    def queued(self) -> int:
        """How many clusters wait for a worker."""
        return len(self.queue)

    def look_at_all(self, scope: str = "") -> None:
        """Have a pass over every cluster of a scope."""
        for cluster in self.stores.clusters.all(scope):
            self.queue.add(cluster.key)


class Operator:
    """Starts and stops the threads of one process.

    ``watchers`` end when ``stop`` is set, ``workers`` when the queue is closed. ``election``: None to lead for good.
    """

    def __init__(
        self,
        parts: Parts,
        *,
        stop: threading.Event,
        watchers: Sequence[threading.Thread],
        workers: Sequence[threading.Thread],
        election: Election | None,
        writers: FairExecutor,
    ) -> None:
        self.parts = parts
        self._stop = stop
        self._watchers = watchers
        self._workers = workers
        self._election = election
        self._electors = [self._elector(election)] if election else []
        self._writers = writers

    def start(self) -> None:
        """Start every thread and return. Reconciling begins, per namespace, once all its watches have listed."""
        self.parts.heads.start()
        threads = (*self._watchers, *self._workers, *self._electors)
        for thread in threads:
            thread.start()
        self.parts.health.keep_alive(threads)

    def stop(self) -> None:
        """Finish the writes in flight, give the lease up, and stop. All other state is in the API server."""
        deadline = time.monotonic() + STOP_SECONDS
        # What a pass in hand has not sent by now is the next leader's to do.
        self.parts.leadership.resign()
        log.info("stopping")
        self.parts.health.keep_alive(())
        self._stop.set()
        self.parts.queue.close()
        finished = True
        for thread in (*self._workers, *self._electors):
            thread.join(max(0.0, deadline - time.monotonic()))
            finished = finished and not thread.is_alive()
        if self._election and finished:
            self._election.release()
        self.parts.heads.stop()
        self._writers.shutdown()

    def _elector(self, election: Election) -> threading.Thread:
        loop = self.parts.health.loop("lease", LEASE_LIMIT_SECONDS)
        return _thread("lease", lambda: election.run(self._stop, loop.turn))


def compose(
    client: WatchClient,
    namespaces: tuple[str, ...] = (),
    workers: int = 4,
    lease: LeaseAt | None = None,
    *,
    settings: Settings | None = None,
    ray_credentials: Path | None = None,
) -> Operator:
    """An operator, not started, for all namespaces (``namespaces`` empty) or for the given ones.

    Without ``lease`` it leads from the start; with it, it stands by until the lease is its own, all its caches warm.
    """
    leadership = Leadership(until=0.0) if lease else Leadership()
    parts = _parts(client, namespaces or ("",), leadership, ray_credentials)
    stop, writers = threading.Event(), FairExecutor(ThreadPoolExecutor(WRITE_THREADS, thread_name_prefix="write"))
    clock = SlewedClock()
    events = Events(parts.writes, clock)
    worker = _reconcile_worker(parts, writers, events, settings, clock)
    set_aside = SetAside(parts.metrics.set_aside, events, writers.of, leadership.leads)
    return Operator(
        parts,
        stop=stop,
        watchers=[thread for scope in parts.scopes for thread in _watchers(parts, scope, stop, set_aside)],
        workers=[_worker(parts.health, worker, f"reconcile-{number}") for number in range(workers)],
        election=_election(parts, lease) if lease else None,
        writers=writers,
    )


def _parts(client: WatchClient, scopes: tuple[str, ...], leadership: Leadership, ray_credentials: Path | None) -> Parts:
    metrics, health = Metrics(), Health()
    connection = MeasuredWatchClient(client, metrics)
    queue: WorkQueue[Key] = WorkQueue(on_taken=metrics.queue_wait_seconds.observe)

    def listed(scope: str) -> None:
        # A namespace that may not be read keeps waiting; the others do not wait for it.
        if parts.stores.listed(scope):
            parts.look_at_all(scope)

    parts = Parts(
        scopes,
        metrics,
        health,
        leadership,
        queue,
        Stores(
            clusters=Store(lambda c: c.key, queue.add, scopes, listed),
            pods=Store(lambda p: p.cluster, queue.add, scopes, listed),
            services=Store(lambda s: s.cluster, queue.add, scopes, listed),
            claims=Store(lambda c: c.cluster, queue.add, scopes, listed),
        ),
        PolledHeads(
            queue.add_news,
            connect=functools.partial(MeasuredGcsClient, metrics),
            credentials=CredentialFolder(ray_credentials) if ray_credentials else lambda namespace: None,
        ),
        PassMetrics(metrics),
        connection,
        FencedClient(PatientClient(connection), leadership),
    )
    health.watch("heads", HEADS_LIMIT_SECONDS, parts.heads.late)
    metrics.registry.register(ClusterCollector(parts.stores, leadership.leads, parts.heads.view))
    metrics.registry.register(StateCollector(parts.stores, queue, health, leadership.leads))
    return parts


def _watchers(parts: Parts, namespace: str, stop: threading.Event, set_aside: SetAside) -> list[threading.Thread]:
    def watch(
        resource: str,
        store: Store[T],
        convert: Callable[[dict[str, Any]], T],
        selector: str = "",
        wanted: Callable[[str], bool] | None = None,
    ) -> threading.Thread:
        name = f"watch-{resource}-{namespace or 'all'}"
        loop = parts.health.loop(name, WATCH_LIMIT_SECONDS)
        timed = parts.connection.for_watch(resource, namespace, loop.turn)
        watcher = Watcher(
            timed,
            resource,
            namespace,
            store,
            convert,
            selector=selector,
            stop=stop,
            on_set_aside=set_aside.of(resource),
            wanted=lambda: wanted is None or wanted(namespace),
        )
        # What only some clusters need makes the process unready for none of the others.
        if wanted is None:
            parts.watches.append(watcher)
        return _thread(name, watcher.run)

    stores = parts.stores
    return [
        watch(PLURAL, stores.clusters, lambda obj: sharing_spec(RayCluster.from_object(obj), stores.clusters)),
        watch("pods", stores.pods, PodView.from_object, CLUSTER_LABEL),
        watch("services", stores.services, ServiceView.from_object, CLUSTER_LABEL),
        watch("persistentvolumeclaims", stores.claims, ClaimView.from_object, CLUSTER_LABEL, stores.claims_wanted),
    ]


def _reconcile_worker(
    parts: Parts, writers: FairExecutor, events: Events, settings: Settings | None, clock: SlewedClock
) -> ReconcileWorker:
    heads = FencedHeads(parts.heads, parts.leadership)
    hooks = parts.passes
    reconciler = Reconciler(
        parts.writes, parts.stores, events, heads, writers.of, hooks=hooks, settings=settings, clock=clock
    )
    return ReconcileWorker(
        parts.queue, parts.stores, reconciler, leadership=parts.leadership, events=events, hooks=hooks
    )


def _worker(health: Health, worker: ReconcileWorker, name: str) -> threading.Thread:
    loop = health.loop(name, PASS_LIMIT_SECONDS)
    return _thread(name, lambda: worker.run(loop))


def _election(parts: Parts, lease: LeaseAt) -> Election:
    def on_change(_: bool) -> None:
        parts.metrics.leader_changes.inc()
        # To begin with all that waits, or to let go of each head.
        parts.look_at_all()

    return Election(
        MeasuredClient(lease.client, parts.metrics),
        lease.namespace,
        lease.identity,
        parts.leadership,
        on_change=on_change,
        on_failure=parts.metrics.lease_failures.inc,
    )


def _thread(name: str, target: Callable[[], None]) -> threading.Thread:
    return threading.Thread(target=target, name=name, daemon=True)
