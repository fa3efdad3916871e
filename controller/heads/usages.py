"""What heads have said about who uses their clusters: one question at a time to each, and its last outcome."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock

from autoscaler.gcs.errors import GcsError
from autoscaler.model import RayUsage
from controller.planning.observed import UsageView
from controller.raycluster.model import Key

Begin = Callable[[Callable[[RayUsage | GcsError], None]], None]


class Usages:
    """Safe to use from many threads. ``on_change`` gets the cluster whose head has answered, or failed to."""

    def __init__(self, on_change: Callable[[Key], object], clock: Callable[[], float]) -> None:
        self._on_change = on_change
        self._clock = clock
        self._lock = Lock()
        # Cluster -> the head that was asked last, by the uid of its pod, and when.
        self._asking: dict[Key, tuple[str, float]] = {}
        # Cluster -> the head that was asked, what came of it, and when it was asked.
        self._outcomes: dict[Key, tuple[str, RayUsage | GcsError, float]] = {}

    def ask(self, cluster: Key, head_uid: str, begin: Begin) -> None:
        """Begin to ask a head, unless it is being asked. ``begin``: calls its argument once, from any thread."""
        asked = (head_uid, self._clock())
        with self._lock:
            if self._asking.get(cluster, ("",))[0] == head_uid:
                return
            self._asking[cluster] = asked
        try:
            begin(lambda outcome: self._answered(cluster, asked, outcome))
        except Exception as error:
            self._answered(cluster, asked, GcsError("invalid", repr(error)))

    def view(self, cluster: Key) -> UsageView | None:
        """The last outcome of a question to its head."""
        with self._lock:
            uid, outcome, asked_at = self._outcomes.get(cluster, ("", None, 0.0))
        if outcome is None:
            return None
        age = self._clock() - asked_at
        if isinstance(outcome, GcsError):
            return UsageView(None, str(outcome), uid, age)
        return UsageView(outcome, "", uid, age)

    def forget(self, cluster: Key) -> None:
        """It has another head, or none. An answer that is under way is thrown away."""
        with self._lock:
            self._asking.pop(cluster, None)
            self._outcomes.pop(cluster, None)

    def _answered(self, cluster: Key, asked: tuple[str, float], outcome: RayUsage | GcsError) -> None:
        with self._lock:
            if self._asking.get(cluster) != asked:
                return
            del self._asking[cluster]
            self._outcomes[cluster] = (asked[0], outcome, asked[1])
        self._on_change(cluster)
