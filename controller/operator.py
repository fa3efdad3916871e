"""The running operator: how its parts are put together, and how they start and stop."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from .kube.client import WatchClient
from .kube.election import Election
from .kube.holdings import Holdings
from .kube.leadership import Leadership
from .kube.lease import LeaseAt
from .kube.partition_election import PartitionElection
from .monitoring.collectors import PartCollector
from .monitoring.health import Health
from .monitoring.instrumented import MeasuredClient
from .planning.observed import Settings
from .reconcile.turns import FairExecutor
from .reconcile.unreadable import SetAside
from .reconcile.worker import ReconcileWorker
from .wiring.owners import Owners
from .wiring.parts import Parts, make_parts
from .wiring.picture import PartialPicture
from .wiring.shared import SharedWatches
from .wiring.watching import Looks, watch_nodes, watch_scope

log = logging.getLogger(__name__)

WRITE_THREADS = 16
# An API server on two cores makes no more pods a second with more at a time, and answers everybody else later.
WRITES_OF_ONE = 6
STOP_SECONDS = 20.0
# A pass may meet an API server that takes its 30 s for each of several answers.
PASS_LIMIT_SECONDS = 900.0
LEASE_LIMIT_SECONDS = 120.0


class Elects(Protocol):
    """What decides, by leases, what this process may write about."""

    def run(self, stop: threading.Event, on_turn: Callable[[], None]) -> None:
        """Look at the leases again and again until ``stop`` is set. ``on_turn`` is called before each look."""

    def release(self) -> None:
        """Give up what is held. Called when nothing is being written any more."""


class Operator:
    """Starts and stops the threads of one process.

    ``watchers`` end when ``stop`` is set, ``workers`` when the queue is closed. ``election``: None to lead for good.
    ``end_watches``: ends those that come and go.
    """

    def __init__(
        self,
        parts: Parts,
        *,
        stop: threading.Event,
        watchers: Sequence[threading.Thread],
        workers: Sequence[threading.Thread],
        election: Elects | None,
        writers: FairExecutor,
        end_watches: Callable[[], None] = lambda: None,
    ) -> None:
        self.parts = parts
        self._stop = stop
        self._watchers = watchers
        self._workers = workers
        self._election = election
        self._electors = [self._elector(election)] if election else []
        self._writers = writers
        self._end_watches = end_watches

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
        self._end_watches()
        if self._election and finished:
            self._election.release()
        self.parts.heads.stop()
        self._writers.shutdown()

    def _elector(self, election: Elects) -> threading.Thread:
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
    nodes: bool = False,
) -> Operator:
    """An operator, not started, for all namespaces (``namespaces`` empty) or for the given ones.

    Without ``lease`` it leads from the start; with it, it stands by until the lease is its own, all its caches warm.
    ``nodes``: watch which of them are being emptied.
    """
    scopes, writers = namespaces or ("",), FairExecutor(WRITE_THREADS, WRITES_OF_ONE)
    leadership = Leadership(until=0.0) if lease else Leadership()
    parts = make_parts(client, scopes, leadership, ray_credentials)
    owners, stop = Owners(parts, writers, settings), threading.Event()
    looks = Looks(stop, SetAside(parts.metrics.set_aside, writers.of, owners.of))
    threads: list[threading.Thread] = []
    for scope in scopes:
        needed, made = watch_scope(parts, scope, looks)
        parts.watches.extend(needed)
        threads += made
    threads += [watch_nodes(parts, looks)] if nodes else []
    return Operator(
        parts,
        stop=stop,
        watchers=threads,
        workers=_workers(parts, owners, workers),
        election=_election(parts, leadership, lease) if lease else None,
        writers=writers,
    )


def compose_sharing(
    client: WatchClient,
    namespaces: tuple[str, ...],
    workers: int,
    lease: LeaseAt,
    shards: int,
    *,
    settings: Settings | None = None,
    ray_credentials: Path | None = None,
    nodes: bool = False,
) -> Operator:
    """One of several operators that share the clusters, not started. ``shards``: how many they are.

    It watches and writes about the parts whose leases it holds, about nothing while it holds none; and see compose.
    """
    scopes, writers, holdings = namespaces or ("",), FairExecutor(WRITE_THREADS, WRITES_OF_ONE), Holdings()
    parts = make_parts(client, scopes, holdings, ray_credentials, picture := PartialPicture(holdings, scopes))
    parts.metrics.registry.register(PartCollector(holdings))
    owners = Owners(parts, writers, settings)
    looks = Looks(threading.Event(), SetAside(parts.metrics.set_aside, writers.of, owners.of))
    watches = SharedWatches(parts, holdings, picture, owners, looks.set_aside)
    election = PartitionElection(
        MeasuredClient(lease.client, parts.metrics),
        lease.namespace,
        lease.identity,
        shards,
        holdings,
        on_change=watches.follow,
        on_look=picture.looked,
        on_failure=parts.metrics.lease_failures.inc,
    )
    return Operator(
        parts,
        stop=looks.stop,
        watchers=[watch_nodes(parts, looks)] if nodes else (),
        workers=_workers(parts, owners, workers),
        election=election,
        writers=writers,
        end_watches=picture.end,
    )


def _workers(parts: Parts, owners: Owners, number: int) -> list[threading.Thread]:
    worker = ReconcileWorker(
        parts.queue, parts.stores.clusters, owners.of, complete=parts.picture.complete, hooks=parts.passes
    )
    return [_worker(parts.health, worker, f"reconcile-{n}") for n in range(number)]


def _worker(health: Health, worker: ReconcileWorker, name: str) -> threading.Thread:
    loop = health.loop(name, PASS_LIMIT_SECONDS)
    return _thread(name, lambda: worker.run(loop))


def _election(parts: Parts, leadership: Leadership, lease: LeaseAt) -> Election:
    def on_change(_: bool) -> None:
        parts.metrics.leader_changes.inc()
        # To begin with all that waits, or to let go of each head.
        parts.look_at_all()

    return Election(
        MeasuredClient(lease.client, parts.metrics),
        lease.namespace,
        lease.identity,
        leadership,
        on_change=on_change,
        on_failure=parts.metrics.lease_failures.inc,
    )


def _thread(name: str, target: Callable[[], None]) -> threading.Thread:
    return threading.Thread(target=target, name=name, daemon=True)
