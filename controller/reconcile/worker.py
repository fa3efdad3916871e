"""The worker's loop: take a cluster from the queue, run a pass over it, and put it back when it is due again."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Protocol

from controller.kube.client import ApiError
from controller.kube.events import WARNING, Events
from controller.kube.leadership import Leadership
from controller.kube.store import Stores
from controller.kube.workqueue import NEWS_SECONDS, WorkQueue
from controller.raycluster.model import Key

from .hooks import Hooks, Outcome
from .reconciler import DONE, Reconciler, Result

log = logging.getLogger(__name__)


class Loop(Protocol):
    """Where a thread says that it is alive."""

    def turn(self) -> None:
        """It is at work."""

    def rest(self) -> None:
        """It has nothing to do."""


class ReconcileWorker:
    """Runs passes over the clusters of a queue. ``run`` may be called from many threads at a time."""

    def __init__(
        self,
        queue: WorkQueue[Key],
        stores: Stores,
        reconciler: Reconciler,
        *,
        leadership: Leadership,
        events: Events,
        hooks: Hooks,
        stopwatch: Callable[[], float] = time.monotonic,
    ) -> None:
        self._queue = queue
        self._stores = stores
        self._reconciler = reconciler
        self._leadership = leadership
        self._events = events
        self._hooks = hooks
        self._stopwatch = stopwatch

    def run(self, loop: Loop) -> None:
        """Work until the queue is closed."""
        while (key := self._queue.take()) is not None:
            loop.turn()
            try:
                self._requeue(key, self._pass(key))
            except Exception:
                # A defect of the loop itself, met by one cluster, must not end the thread that serves all others.
                log.exception("%s could not be queued again", key.log_prefix)
                self._queue.retry(key)
            finally:
                self._queue.done(key)
                loop.rest()

    def _pass(self, key: Key) -> Result:
        if not self._stores.listed(key.namespace):
            return DONE
        if not self._leadership.leads():
            # The next leader looks at every cluster.
            self._reconciler.let_go(key)
            return DONE
        started = self._stopwatch()
        result, outcome = self._reconciled(key)
        self._hooks.passed(outcome, self._stopwatch() - started)
        return result

    def _reconciled(self, key: Key) -> tuple[Result, Outcome]:
        try:
            result = self._reconciler.reconcile(key)
            return result, _outcome(result)
        except ApiError as error:
            if self._leadership.leads():
                log.warning("%s %s", key.log_prefix, error)
        except Exception as error:
            # A defect met by one cluster must not stop the others: it is logged, and that cluster backs off.
            log.exception("%s the pass failed unexpectedly", key.log_prefix)
            self._report_defect(key, error)
        return Result(retry=True), "failed"

    def _report_defect(self, key: Key, error: Exception) -> None:
        if cluster := self._stores.clusters.get(key):
            message = f"looking after this cluster fails unexpectedly: {error!r}; it is tried less and less often"
            self._events.post(cluster, WARNING, "ReconcileFailed", f"{message}, and the operator's log has the details")

    def _requeue(self, key: Key, result: Result) -> None:
        if result.retry:
            self._queue.retry(key)
        else:
            self._queue.forget(key)
        if result.look_again_in is not None:
            # What is due does not wait for a retry that may be minutes away; nor does it make a loop of retries.
            least = NEWS_SECONDS if result.retry else 0.0
            self._queue.add_after(key, max(result.look_again_in, least))


def _outcome(result: Result) -> Outcome:
    if result.retry:
        return "retry"
    return "done" if result.look_again_in is None else "again"
