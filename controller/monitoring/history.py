"""The last hour of each cluster, and of all together: what the status page draws. In memory, and bounded.

An hour is a ring of slots of half a minute. What holds until it changes (workers, waiting work) is carried from slot to
slot, so that a cluster that nothing happens to costs nothing. Times are of any one clock that never goes back.
"""

from __future__ import annotations

import threading
from array import array
from collections.abc import Sequence
from dataclasses import dataclass

from controller.raycluster.model import Key

SLOT_SECONDS = 30.0
SLOTS = 120
# Clusters beyond these have no history. Each takes less than 3 kB, see tests/unit/monitoring/test_history.py.
MAX_CLUSTERS = 2000

# Where nothing is known.
UNKNOWN = -1.0

_READY, _WANTED, _WAITING, _TO_POD, _TO_NODE = range(5)


@dataclass(frozen=True)
class Counts:
    """What holds until it changes: workers that are ready, workers that are wanted, and work that waits."""

    ready: int = 0
    wanted: int = 0
    waiting: int = 0


@dataclass(frozen=True)
class Hour:
    """One value for each slot, the oldest first, and UNKNOWN where nothing is known.

    ``ready``, ``wanted``: workers at the end of the slot. ``waiting``: the most work that waited. ``to_pod``,
    ``to_node``: the longest time from waiting work to a pod and from a pod to its Ray node, seconds.
    """

    ready: Sequence[float]
    wanted: Sequence[float]
    waiting: Sequence[float]
    to_pod: Sequence[float]
    to_node: Sequence[float]


class History:
    """The last hour of up to ``clusters`` clusters. Any thread may call it; no call takes longer with more clusters."""

    def __init__(self, clusters: int = MAX_CLUSTERS) -> None:
        self._clusters = clusters
        self._lock = threading.Lock()
        self._rings: dict[Key, _Ring] = {}
        self._all = _Ring()

    def counted(self, key: Key, now: float, counts: Counts) -> None:
        """So many there are from now on."""
        with self._lock:
            ring = self._ring(key)
            if ring is None:
                return
            before = ring.counts or Counts()
            ring.count(now, counts)
            self._all.count(now, _moved(self._all.counts or Counts(), before, counts))

    def took_to_pod(self, key: Key, now: float, seconds: float) -> None:
        """From waiting work to a pod it took so long."""
        self._took(key, now, _TO_POD, seconds)

    def took_to_node(self, key: Key, now: float, seconds: float) -> None:
        """From a pod to its Ray node it took so long."""
        self._took(key, now, _TO_NODE, seconds)

    def forget(self, key: Key, now: float) -> None:
        """The cluster is gone, or another process manages it."""
        with self._lock:
            ring = self._rings.pop(key, None)
            if ring and ring.counts:
                # Without any cluster nothing is known: another process may lead by now.
                left = _moved(self._all.counts or Counts(), ring.counts, Counts())
                self._all.count(now, left if self._rings else None)

    def of(self, key: Key, now: float) -> Hour | None:
        """A cluster's last hour; None when nothing is known of it."""
        with self._lock:
            ring = self._rings.get(key)
            return ring.hour(now) if ring else None

    def total(self, now: float) -> Hour:
        """The last hour of all clusters: the sums of what there was, the longest of what took time."""
        with self._lock:
            return self._all.hour(now)

    def _took(self, key: Key, now: float, what: int, seconds: float) -> None:
        with self._lock:
            if ring := self._ring(key):
                ring.take(now, what, seconds)
                self._all.take(now, what, seconds)

    def _ring(self, key: Key) -> _Ring | None:
        if key not in self._rings and len(self._rings) < self._clusters:
            self._rings[key] = _Ring()
        return self._rings.get(key)


class _Ring:
    """All series of an hour in one array: slot after slot of the first, of the second, and so on."""

    __slots__ = ("_slot", "_values", "counts")

    def __init__(self) -> None:
        # Four bytes a value, which hold whole numbers up to 16 million.
        self._values = array("f", (UNKNOWN,)) * (5 * SLOTS)
        self._slot: int | None = None
        self.counts: Counts | None = None

    def count(self, now: float, counts: Counts | None) -> None:
        at = self._at(now)
        self.counts = counts
        if counts is None:
            return
        self._values[at + _READY * SLOTS] = counts.ready
        self._values[at + _WANTED * SLOTS] = counts.wanted
        self._most(at + _WAITING * SLOTS, counts.waiting)

    def take(self, now: float, what: int, seconds: float) -> None:
        self._most(self._at(now) + what * SLOTS, seconds)

    def hour(self, now: float) -> Hour:
        first = self._at(now) + 1
        parts = (self._values[series * SLOTS : (series + 1) * SLOTS] for series in range(5))
        return Hour(*(part[first:] + part[:first] for part in parts))

    def _most(self, place: int, value: float) -> None:
        self._values[place] = max(self._values[place], value)

    def _at(self, now: float) -> int:
        """The place of the slot of ``now`` in each series, once the slots since the last one are filled."""
        slot = int(now // SLOT_SECONDS)
        if self._slot is None:
            self._slot = slot
        counts = self.counts
        carried = (counts.ready, counts.wanted, counts.waiting) if counts else (UNKNOWN, UNKNOWN, UNKNOWN)
        # Threads read the clock before they come here in turn: a time may be a little older than the last.
        slot = max(slot, self._slot)
        for passed in range(max(self._slot, slot - SLOTS) + 1, slot + 1):
            for series, value in enumerate((*carried, UNKNOWN, UNKNOWN)):
                self._values[passed % SLOTS + series * SLOTS] = value
        self._slot = slot
        return slot % SLOTS


def _moved(total: Counts, before: Counts, after: Counts) -> Counts:
    return Counts(
        total.ready - before.ready + after.ready,
        total.wanted - before.wanted + after.wanted,
        total.waiting - before.waiting + after.waiting,
    )
