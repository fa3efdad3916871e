"""What writes about a cluster, with the right that this process has to: another right, another writer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection

from controller.clock import SlewedClock
from controller.heads.fenced import FencedHeads
from controller.kube.events import Events
from controller.kube.leadership import FencedClient, Leadership
from controller.planning.observed import Settings
from controller.raycluster.model import Key
from controller.reconcile.reconciler import Reconciler
from controller.reconcile.turns import FairExecutor
from controller.reconcile.worker import Owner

from .parts import Parts


class Owners:
    """One owner for each right. Safe to use from many threads."""

    def __init__(self, parts: Parts, writers: FairExecutor, settings: Settings | None) -> None:
        self._parts = parts
        self._writers = writers
        self._settings = settings
        self._clock: Callable[[], float] = SlewedClock()
        self._lock = threading.Lock()
        self._made: dict[Leadership, Owner] = {}

    def of(self, cluster: Key) -> Owner:
        """What manages a cluster now; without a right to write about it, it writes nothing."""
        right = self._parts.leadership.of(cluster)
        with self._lock:
            owner = self._made.get(right)
            if owner is None:
                owner = self._made[right] = self._make(right)
        return owner

    def let_go(self, rights: Collection[Leadership]) -> None:
        """These rights are not there any more, nor what was known under them."""
        with self._lock:
            self._made = {right: owner for right, owner in self._made.items() if right not in rights}

    def _make(self, right: Leadership) -> Owner:
        writes = FencedClient(self._parts.unfenced, right)
        events = Events(writes, self._clock)
        reconciler = Reconciler(
            writes,
            self._parts.stores,
            events,
            FencedHeads(self._parts.heads, right),
            self._writers.of,
            hooks=self._parts.passes,
            settings=self._settings,
            clock=self._clock,
        )
        return Owner(right, reconciler, events)
