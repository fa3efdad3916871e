"""The worker's loop: take a cluster from the queue, run a pass over it, and put it back when it is due again."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from controller.kube.client import ApiError
from controller.kube.events import WARNING, Events
from controller.kube.leadership import Leadership
from controller.kube.store import Store
from controller.kube.workqueue import NEWS_SECONDS, WorkQueue
from controller.raycluster.model import Key, RayCluster

from .hooks import Hooks, Outcome
from .reconciler import DONE, Reconciler, Result

log = logging.getLogger(__name__)


class Loop(Protocol):
    """Where a thread says that it is alive."""

    def turn(self) -> None:
        """It is at work."""

    def rest(self) -> None:
        """It has nothing to do."""


@dataclass(frozen=True)
class Owner:
    """What manages a cluster: the right to write about it, and what writes with that right."""

    leadership: Leadership
    reconciler: Reconciler
    events: Events


class ReconcileWorker:
    """Runs passes over the clusters of a queue. ``run`` may be called from many threads at a time.

    ``complete``: whether everything about a cluster is known; before that there is no pass over it.
    """

    def __init__(
        self,
        queue: WorkQueue[Key],
        clusters: Store[RayCluster],
        owner_of: Callable[[Key], Owner],
        *,
        complete: Callable[[Key], bool],
        hooks: Hooks,
        stopwatch: Callable[[], float] = time.monotonic,
    ) -> None:
        self._queue = queue
        self._clusters = clusters
        self._owner_of = owner_of
        self._complete = complete
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
        owner = self._owner_of(key)
        if not owner.leadership.leads():
            # The next leader looks at every cluster.
            owner.reconciler.let_go(key)
            return DONE
        if not self._complete(key):
            return DONE
        started = self._stopwatch()
        result, outcome = self._reconciled(owner, key)
        self._hooks.passed(outcome, self._stopwatch() - started)
        return result

    def _reconciled(self, owner: Owner, key: Key) -> tuple[Result, Outcome]:
        try:
            result = owner.reconciler.reconcile(key)
            return result, _outcome(result)
        except ApiError as error:
            if owner.leadership.leads():
                log.warning("%s %s", key.log_prefix, error)
        except Exception as error:
            # A defect met by one cluster must not stop the others: it is logged, and that cluster backs off.
            log.exception("%s the pass failed unexpectedly", key.log_prefix)
            self._report_defect(owner.events, key, error)
        return Result(retry=True), "failed"

    def _report_defect(self, events: Events, key: Key, error: Exception) -> None:
        if cluster := self._clusters.get(key):
            message = f"looking after this cluster fails unexpectedly: {error!r}; it is tried less and less often"
            events.post(cluster, WARNING, "ReconcileFailed", f"{message}, and the operator's log has the details")

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
