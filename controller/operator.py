"""The running operator: watch threads, a queue, reconcile threads."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import ThreadPoolExecutor

from .api import Api, ApiError
from .events import Events
from .heads import PolledHeads
from .model import PLURAL, Key, RayCluster
from .queue import WorkQueue
from .reconciler import DONE, Reconciler, Result, Stores
from .store import Store
from .views import CLUSTER_LABEL, PodView, ServiceView
from .watch import Watcher

log = logging.getLogger(__name__)

WRITE_THREADS = 16
STOP_SECONDS = 20.0


class Operator:
    """Everything one process runs, for all namespaces (``namespaces`` empty) or for the given ones."""

    def __init__(self, api: Api, namespaces: tuple[str, ...] = (), workers: int = 4) -> None:
        self._stop = threading.Event()
        self._queue: WorkQueue[Key] = WorkQueue()
        self._executor = ThreadPoolExecutor(WRITE_THREADS, thread_name_prefix="write")
        scopes = namespaces or ("",)
        self._stores = Stores(
            clusters=Store(lambda c: c.key, self._queue.add, scopes, self._listed),
            pods=Store(lambda p: p.cluster, self._queue.add, scopes, self._listed),
            services=Store(_cluster_of_service, self._queue.add, scopes, self._listed),
        )
        self._heads = PolledHeads(self._queue.add_unless_failing)
        self._reconciler = Reconciler(api, self._stores, Events(api), self._heads, self._executor)
        self._workers = workers
        self._watchers = [w for scope in scopes for w in self._watchers_of(api, scope)]
        self._threads: list[threading.Thread] = []

    def _watchers_of(self, api: Api, namespace: str) -> list[threading.Thread]:
        clusters = Watcher(api, PLURAL, namespace, self._stores.clusters, RayCluster.from_object, stop=self._stop)
        pods = Watcher(
            api,
            "pods",
            namespace,
            self._stores.pods,
            PodView.from_object,
            selector=CLUSTER_LABEL,
            stop=self._stop,
        )
        services = Watcher(
            api,
            "services",
            namespace,
            self._stores.services,
            ServiceView.from_object,
            selector=CLUSTER_LABEL,
            stop=self._stop,
        )
        runs = {"rayclusters": clusters.run, "pods": pods.run, "services": services.run}
        return [
            threading.Thread(target=run, name=f"watch-{what}-{namespace or 'all'}", daemon=True)
            for what, run in runs.items()
        ]

    def start(self) -> None:
        """Start every thread and return. Reconciling begins, per namespace, once all its watches have listed."""
        for thread in self._watchers:
            thread.start()
        self._heads.start()
        self._threads = [
            threading.Thread(target=self._work, name=f"reconcile-{n}", daemon=True) for n in range(self._workers)
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Finish the passes in hand and stop. Nothing needs tidying: all state is in the API server."""
        self._stop.set()
        self._queue.close()
        for thread in self._threads:
            thread.join(STOP_SECONDS)
        self._heads.stop()
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _listed(self, scope: str) -> None:
        # A namespace that may not be read keeps waiting; the others do not wait for it.
        if self._stores.listed(scope):
            for key in self._stores.clusters.keys(scope):
                self._queue.add(key)

    def _work(self) -> None:
        while (key := self._queue.take()) is not None:
            try:
                self._settle(key, self._pass(key))
            finally:
                self._queue.done(key)

    def _pass(self, key: Key) -> Result:
        if not self._stores.listed(key.namespace):
            return DONE
        try:
            return self._reconciler.reconcile(key)
        except ApiError as error:
            log.warning("%s %s", key.log_prefix, error)
        except Exception:
            # A defect met by one cluster must not stop the others: it is logged, and that cluster backs off.
            log.exception("%s the pass failed unexpectedly", key.log_prefix)
        return Result(retry=True)

    def _settle(self, key: Key, result: Result) -> None:
        if result.retry:
            self._queue.retry(key)
            return
        self._queue.forget(key)
        if result.look_again_in is not None:
            self._queue.add_after(key, result.look_again_in)


def _cluster_of_service(service: ServiceView) -> Key:
    return service.cluster
