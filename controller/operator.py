"""The running operator: watch threads, a queue, reconcile threads, the lease, and what they are seen by."""

from __future__ import annotations

import functools
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from .heads.credentials import CredentialFolder
from .heads.fenced import FencedHeads
from .heads.polled import PolledHeads
from .kube.client import ApiError, Client, WatchClient
from .kube.election import Election
from .kube.events import WARNING, Events
from .kube.leadership import FencedClient, Leadership
from .kube.store import Store, Stored, Stores
from .kube.watch import Watcher
from .kube.workqueue import NEWS_SECONDS, WorkQueue
from .monitoring.collectors import ClusterCollector, StateCollector
from .monitoring.health import Health, Loop
from .monitoring.instrumented import MeasuredClient, MeasuredGcsClient, MeasuredWatchClient
from .monitoring.metrics import Metrics
from .monitoring.pass_metrics import PassMetrics
from .objects.labels import CLUSTER_LABEL
from .objects.views import PodView, ServiceView
from .planning.observed import Settings
from .raycluster.model import PLURAL, Key, RayCluster
from .reconcile.reconciler import DONE, Reconciler, Result

log = logging.getLogger(__name__)

T = TypeVar("T", bound=Stored)

WRITE_THREADS = 16
STOP_SECONDS = 20.0
# A watch turns at least twice a minute, or once in that time when the server asks to be left alone. A pass may meet
# an API server that takes its 30 s for each of several answers.
WATCH_LIMIT_SECONDS = 300.0
PASS_LIMIT_SECONDS = 900.0
LEASE_LIMIT_SECONDS = 120.0
HEADS_LIMIT_SECONDS = 120.0


@dataclass(frozen=True)
class LeaseAt:
    """Where the lease is, who asks for it, and the connection for it: with short limits, and nobody else's."""

    namespace: str
    identity: str
    client: Client


class Operator:
    """Everything one process runs, for all namespaces (``namespaces`` empty) or for the given ones.

    Without ``lease`` it leads from the start; with it, it stands by until the lease is its own, all its caches warm.
    """

    def __init__(
        self,
        client: WatchClient,
        namespaces: tuple[str, ...] = (),
        workers: int = 4,
        lease: LeaseAt | None = None,
        *,
        settings: Settings | None = None,
        ray_credentials: Path | None = None,
    ) -> None:
        self._stop = threading.Event()
        self.metrics = Metrics()
        self.health = Health()
        self.passes = PassMetrics(self.metrics)
        self.leadership = Leadership(until=0.0) if lease else Leadership()
        self._queue: WorkQueue[Key] = WorkQueue(on_taken=self.metrics.queue_wait_seconds.observe)
        self._executor = ThreadPoolExecutor(WRITE_THREADS, thread_name_prefix="write")
        self._scopes = namespaces or ("",)
        self.stores = Stores(
            clusters=Store(lambda c: c.key, self._queue.add, self._scopes, self._listed),
            pods=Store(lambda p: p.cluster, self._queue.add, self._scopes, self._listed),
            services=Store(_cluster_of_service, self._queue.add, self._scopes, self._listed),
        )
        measured = MeasuredWatchClient(client, self.metrics)
        writes = FencedClient(measured, self.leadership)
        self.heads = PolledHeads(
            self._queue.add_news,
            connect=functools.partial(MeasuredGcsClient, self.metrics),
            credentials=CredentialFolder(ray_credentials) if ray_credentials else lambda namespace: None,
        )
        self._events = Events(writes)
        self._reconciler = Reconciler(
            writes,
            self.stores,
            self._events,
            FencedHeads(self.heads, self.leadership),
            self._executor,
            hooks=self.passes,
            settings=settings,
        )
        self._election = self._candidate(lease) if lease else None
        self._threads = [
            *(w for scope in self._scopes for w in self._watchers_of(measured, scope)),
            *(self._worker(f"reconcile-{number}") for number in range(workers)),
        ]
        self._workers = self._threads[-workers:]
        self._elector = self._lease_thread(self._election) if self._election else None
        self.health.watch("heads", HEADS_LIMIT_SECONDS, self.heads.late)
        self.metrics.registry.register(ClusterCollector(self.stores, self.leadership.leads, self.heads.view))
        self.metrics.registry.register(StateCollector(self.stores, self._queue, self.health, self.leadership.leads))

    def _candidate(self, lease: LeaseAt) -> Election:
        return Election(
            MeasuredClient(lease.client, self.metrics),
            lease.namespace,
            lease.identity,
            self.leadership,
            on_change=self._on_leadership,
            on_failure=self.metrics.lease_failures.inc,
        )

    def _watchers_of(self, client: MeasuredWatchClient, namespace: str) -> list[threading.Thread]:
        def watch(
            resource: str, store: Store[T], convert: Callable[[dict[str, Any]], T], selector: str = ""
        ) -> threading.Thread:
            name = f"watch-{resource}-{namespace or 'all'}"
            loop = self.health.loop(name, WATCH_LIMIT_SECONDS)
            timed = client.for_watch(resource, namespace, loop.turn)
            watcher = Watcher(timed, resource, namespace, store, convert, selector=selector, stop=self._stop)
            return threading.Thread(target=watcher.run, name=name, daemon=True)

        return [
            watch(PLURAL, self.stores.clusters, RayCluster.from_object),
            watch("pods", self.stores.pods, PodView.from_object, CLUSTER_LABEL),
            watch("services", self.stores.services, ServiceView.from_object, CLUSTER_LABEL),
        ]

    def _worker(self, name: str) -> threading.Thread:
        loop = self.health.loop(name, PASS_LIMIT_SECONDS)
        return threading.Thread(target=self._work, args=(loop,), name=name, daemon=True)

    def _lease_thread(self, election: Election) -> threading.Thread:
        loop = self.health.loop("lease", LEASE_LIMIT_SECONDS)
        return threading.Thread(target=self._elect, args=(election, loop), name="lease", daemon=True)

    def start(self) -> None:
        """Start every thread and return. Reconciling begins, per namespace, once all its watches have listed."""
        self.heads.start()
        for thread in self._threads:
            thread.start()
        if self._elector:
            self._elector.start()

    def stop(self) -> None:
        """Finish the writes in flight, give the lease up, and stop. All other state is in the API server."""
        deadline = time.monotonic() + STOP_SECONDS
        # What a pass in hand has not sent by now is the next leader's to do.
        self.leadership.resign()
        log.info("stopping")
        self._stop.set()
        self._queue.close()
        finished = True
        for thread in [*self._workers, *([self._elector] if self._elector else [])]:
            thread.join(max(0.0, deadline - time.monotonic()))
            finished = finished and not thread.is_alive()
        if self._election and finished:
            self._election.release()
        self.heads.stop()
        self._executor.shutdown(wait=False, cancel_futures=True)

    def unready(self) -> str:
        """Why the caches are not complete yet; empty when they are, whether this process leads or stands by."""
        missing = [scope or "all namespaces" for scope in self._scopes if not self.stores.listed(scope)]
        return f"not everything is listed yet: {', '.join(missing)}" if missing else ""

    def queued(self) -> int:
        """How many clusters wait for a worker."""
        return len(self._queue)

    def _listed(self, scope: str) -> None:
        # A namespace that may not be read keeps waiting; the others do not wait for it.
        if self.stores.listed(scope):
            for key in self.stores.clusters.keys(scope):
                self._queue.add(key)

    def _elect(self, election: Election, loop: Loop) -> None:
        while not self._stop.is_set():
            loop.turn()
            self._stop.wait(election.turn())

    def _on_leadership(self, leads: bool) -> None:
        self.metrics.leader_changes.inc()
        # Every cluster is looked at: to begin with all that waits, or to let go of its head.
        for key in self.stores.clusters.keys(""):
            self._queue.add(key)

    def _work(self, loop: Loop) -> None:
        while (key := self._queue.take()) is not None:
            loop.turn()
            try:
                self._settle(key, self._pass(key))
            finally:
                self._queue.done(key)
                loop.rest()

    def _pass(self, key: Key) -> Result:
        if not self.stores.listed(key.namespace):
            return DONE
        if not self.leadership.leads():
            # Whoever leads next looks at every cluster.
            self._reconciler.let_go(key)
            return DONE
        started = time.monotonic()
        result, outcome = self._reconciled(key)
        self.metrics.reconcile_seconds.labels(outcome).observe(time.monotonic() - started)
        return result

    def _reconciled(self, key: Key) -> tuple[Result, str]:
        try:
            result = self._reconciler.reconcile(key)
            return result, _outcome(result)
        except ApiError as error:
            if self.leadership.leads():
                log.warning("%s %s", key.log_prefix, error)
        except Exception as error:
            # A defect met by one cluster must not stop the others: it is logged, and that cluster backs off.
            log.exception("%s the pass failed unexpectedly", key.log_prefix)
            self._tell_defect(key, error)
        return Result(retry=True), "failed"

    def _tell_defect(self, key: Key, error: Exception) -> None:
        if cluster := self.stores.clusters.get(key):
            message = f"looking after this cluster fails unexpectedly: {error!r}; it is tried less and less often"
            self._events.post(cluster, WARNING, "ReconcileFailed", f"{message}, and the operator's log has the details")

    def _settle(self, key: Key, result: Result) -> None:
        if result.retry:
            self.metrics.queue_retries.inc()
            self._queue.retry(key)
        else:
            self._queue.forget(key)
        if result.look_again_in is not None:
            # What is due does not wait for a retry that may be minutes away; nor does it make a loop of retries.
            least = NEWS_SECONDS if result.retry else 0.0
            self._queue.add_after(key, max(result.look_again_in, least))


def _cluster_of_service(service: ServiceView) -> Key:
    return service.cluster


def _outcome(result: Result) -> str:
    if result.retry:
        return "retry"
    return "done" if result.look_again_in is None else "again"
