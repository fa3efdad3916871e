"""Large answers take turns: their memory is that of a few, however many heads give them."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cache

from .errors import GcsError

AT_A_TIME = 2
# A question that waits for longer counts as one without an answer, and is asked again like any other.
LONGEST_WAIT_SECONDS = 10.0
# After that time half of what a head has taken is forgotten.
HALF_LIFE_SECONDS = 30.0


class Used:
    """For how many seconds one head has had a turn of late."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seconds = 0.0
        self._at = clock()

    def seconds(self) -> float:
        """What is not forgotten yet."""
        now = self._clock()
        self._seconds *= 0.5 ** (max(now - self._at, 0) / HALF_LIFE_SECONDS)
        self._at = now
        return self._seconds

    def add(self, seconds: float) -> None:
        """A turn is over."""
        self._seconds = self.seconds() + seconds


class Turns:
    """Lets a few in at a time. Used on one event loop.

    Of those that wait, the one goes first that has taken the least: a head that lets its answers drip waits for those
    that do not, and none waits for ever.
    """

    def __init__(
        self,
        places: int = AT_A_TIME,
        clock: Callable[[], float] = time.monotonic,
        longest_wait: float = LONGEST_WAIT_SECONDS,
    ) -> None:
        self._free = places
        self._clock = clock
        self._longest_wait = longest_wait
        self._sequence = itertools.count()
        # (seconds taken, sequence, done once it may go in), a heap.
        self._waiting: list[tuple[float, int, asyncio.Future[None]]] = []

    @asynccontextmanager
    async def turn(self, used: Used) -> AsyncIterator[None]:
        """A turn of the head that has ``used`` so much.

        Raises:
            GcsError: others were let in for too long.
        """
        await self._enter(used)
        began = self._clock()
        try:
            yield
        finally:
            used.add(self._clock() - began)
            self._leave()

    async def _enter(self, used: Used) -> None:
        if self._free:
            self._free -= 1
            return
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = (used.seconds(), next(self._sequence), place)
        heapq.heappush(self._waiting, waiting)
        try:
            await asyncio.wait({place}, timeout=self._longest_wait)
        except asyncio.CancelledError:
            if not self._gives_up(waiting):
                self._leave()
            raise
        if self._gives_up(waiting):
            raise GcsError("timeout", "its answer is large, and large answers of other heads came first")

    def _gives_up(self, waiting: tuple[float, int, asyncio.Future[None]]) -> bool:
        """Wait no longer; False where it may go in by now. Nothing is left of it: while others are let in before, those
        that have taken much come again and again.
        """
        if not waiting[2].cancel():
            return False
        self._waiting.remove(waiting)
        heapq.heapify(self._waiting)
        return True

    def _leave(self) -> None:
        if self._waiting:
            heapq.heappop(self._waiting)[2].set_result(None)
        else:
            self._free += 1


@cache
def large_answers() -> Turns:
    """The turns of all heads of this process."""
    return Turns()
