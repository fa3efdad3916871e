"""May this process write? Until a deadline on a monotonic clock, asked right before each write.

A process that was stopped, or whose machine slept, finds the deadline past when it goes on: whatever it was about to
send, it does not, except for the one write of each thread that was past this question already.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from typing import Any, Protocol

from controller.clock import steady_clock
from controller.raycluster.model import Key

from .client import ApiError, Client, Request

NOT_LEADER = "NotLeader"


class Rights(Protocol):
    """What this process may write about: every cluster or none, or those of its share."""

    def leads(self) -> bool:
        """Whether any write may be sent now."""

    def of(self, cluster: Key) -> Leadership:
        """The right to write about this cluster."""

    def resign(self) -> None:
        """Never write again."""


class Leadership:
    """The right to write, until a moment of ``clock``. Without an election it is there from the start, for good."""

    def __init__(self, clock: Callable[[], float] = steady_clock, until: float = math.inf) -> None:
        self._clock = clock
        self._until = until
        self._resigned = False
        self._lock = threading.Lock()
        self._writing = 0

    def leads(self) -> bool:
        """Whether a write may be sent now."""
        return self._clock() < self._until and not self._resigned

    def of(self, cluster: Key) -> Leadership:
        """See Rights."""
        return self

    def hold(self, until: float) -> bool:
        """The right is there until then; a moment that is past takes it away. Whether it had run out before."""
        before, self._until = self._until, until
        return self._clock() >= before

    def resign(self) -> None:
        """Never write again."""
        with self._lock:
            self._resigned = True

    def begin(self) -> bool:
        """Whether a write may be sent now; then ``end`` has to follow."""
        with self._lock:
            begins = self.leads()
            self._writing += begins
        return begins

    def end(self) -> None:
        """A write that had begun is over, whatever came of it."""
        with self._lock:
            self._writing -= 1

    def writes(self) -> bool:
        """Whether a write is under way. Once this process has resigned, none begins."""
        with self._lock:
            return self._writing > 0


class FencedClient:
    """``client`` without writes while this process does not lead: they raise ApiError with the reason NotLeader."""

    def __init__(self, client: Client, leadership: Leadership) -> None:
        self._client = client
        self._leadership = leadership

    def send(self, request: Request) -> dict[str, Any]:
        """See Client."""
        if not request.writes:
            return self._client.send(request)
        if not self._leadership.begin():
            raise ApiError(0, NOT_LEADER, "this process does not lead")
        try:
            return self._client.send(request)
        finally:
            self._leadership.end()
