"""May this process write? Until a deadline on a monotonic clock, asked right before each write.

A process that was stopped, or whose machine slept, finds the deadline past when it goes on: whatever it was about to
send, it does not, except for the one write of each thread that was past this question already.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from controller.clock import steady_clock

from .client import ApiError, Client, Request

NOT_LEADER = "NotLeader"


class Leadership:
    """The right to write, until a moment of ``clock``. Without an election it is there from the start, for good."""

    def __init__(self, clock: Callable[[], float] = steady_clock, until: float = math.inf) -> None:
        self._clock = clock
        self._until = until
        self._resigned = False

    def leads(self) -> bool:
        """Whether a write may be sent now."""
        return self._clock() < self._until and not self._resigned

    def hold(self, until: float) -> None:
        """The right is there until then; a moment that is past takes it away."""
        self._until = until

    def resign(self) -> None:
        """Never write again."""
        self._resigned = True


class FencedClient:
    """``client`` without writes while this process does not lead: they raise ApiError with the reason NotLeader."""

    def __init__(self, client: Client, leadership: Leadership) -> None:
        self._client = client
        self._leadership = leadership

    def send(self, request: Request) -> dict[str, Any]:
        """See Client."""
        if request.writes and not self._leadership.leads():
            raise ApiError(0, NOT_LEADER, "this process does not lead")
        return self._client.send(request)
