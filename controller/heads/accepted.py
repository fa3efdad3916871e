"""Drains that heads have accepted, for as long as their answers do not show it: none is asked for twice."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock

from controller.raycluster.model import Key

# An accepted drain shows in all answers that are this much younger. One without it means that the head forgot.
SHOWS_SECONDS = 1.0
# For so long a drain is remembered: answers that old count for nothing.
REMEMBERED_SECONDS = 60.0

# A node's id, and the deadline of its drain; None for a drain of an idle one.
Drain = tuple[bytes, float | None]


class AcceptedDrains:
    """Safe to use from many threads. ``clock``: the one that answers are stamped with."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = Lock()
        # Cluster -> drain -> when its head accepted it.
        self._accepted: dict[Key, dict[Drain, float]] = {}

    def note(self, cluster: Key, drain: Drain) -> None:
        """The head has accepted it now."""
        now = self._clock()
        with self._lock:
            lately = self._accepted.get(cluster, {}).items()
            self._accepted[cluster] = {d: at for d, at in lately if now - at < REMEMBERED_SECONDS} | {drain: now}

    def hides(self, cluster: Key, drain: Drain, answered_at: float) -> bool:
        """The head has accepted it, and an answer of that time is too old to show it."""
        with self._lock:
            at = self._accepted.get(cluster, {}).get(drain)
        return at is not None and answered_at < at + SHOWS_SECONDS

    def forget(self, cluster: Key) -> None:
        """It has another head, or none."""
        with self._lock:
            self._accepted.pop(cluster, None)
