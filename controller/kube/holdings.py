"""The parts of all RayClusters that this process holds, and its right to write about each of them.

A part that is lost and held again later is another holding: what was known or planned under the first one counts no
more.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

from controller.clock import steady_clock
from controller.raycluster.model import Key

from .leadership import Leadership
from .partitions import partition_of


class Holdings:
    """Rights over parts. Safe to use from many threads; one of them gains and loses."""

    def __init__(self, clock: Callable[[], float] = steady_clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._held: Mapping[int, Leadership] = {}
        self._none = Leadership(clock, until=0.0)
        self._none.resign()
        self._resigned = False

    def leads(self) -> bool:
        """See Rights: of any part."""
        return any(right.leads() for right in self._held.values())

    def of(self, cluster: Key) -> Leadership:
        """See Rights. A cluster of no part that is held has a right that is never there."""
        return self._held.get(partition_of(cluster), self._none)

    def held(self) -> Mapping[int, Leadership]:
        """The parts, and the right that each holding has. It does not change: a change is another mapping."""
        return self._held

    def gain(self, partition: int) -> Leadership:
        """A part is held from now on. Its right is not there yet."""
        right = Leadership(self._clock, until=0.0)
        with self._lock:
            if self._resigned:
                right.resign()
            self._held = {**self._held, partition: right}
        return right

    def lose(self, partition: int) -> None:
        """A part is held no more: nothing further is written about it."""
        with self._lock:
            held = dict(self._held)
            held.pop(partition).resign()
            self._held = held

    def resign(self) -> None:
        """See Rights."""
        with self._lock:
            self._resigned = True
            for right in self._held.values():
                right.resign()
