"""The work queue between watch threads and reconcilers."""

from __future__ import annotations

import heapq
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

RETRY_BASE_SECONDS = 0.2
RETRY_LIMIT_SECONDS = 120.0
# What else there is to do for a key waits so long at most, though it fails: work may wait while a Service is refused.
NEWS_SECONDS = 5.0
# No key waits for longer, whatever delay is asked for: what a user writes into a spec reaches delays, threads cannot
# wait for years, and one more look an hour costs nothing.
LONGEST_DELAY_SECONDS = 3600.0


class WorkQueue(Generic[K]):
    """Keys to reconcile, each at most once in the queue and at most once in hand.

    ``_waiting``: keys to hand out, oldest first, and since when they wait; ``on_taken`` gets the number of seconds
    one did. ``_busy``: keys in some worker's hands. A key added while busy
    goes into ``_dirty`` and back into ``_waiting`` when its worker is done: a change is never lost and a key is
    never in two hands. A cluster that changes all the time goes to the back of the line each time.
    ``_news``: keys in hand about which news came. What the news deserve depends on how this pass ends, which only
    ``done`` knows: at once after a success, in a while after a failure.
    ``_due``: when a key is to be handed out later, the earliest time asked for; an entry of ``_later`` that says
    otherwise is outdated. So a key that fails and changes all the time is not retried more and more often.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, on_taken: Callable[[float], object] = lambda _: None
    ) -> None:
        self._clock = clock
        self._on_taken = on_taken
        self._change = threading.Condition()
        self._waiting: OrderedDict[K, float] = OrderedDict()
        self._busy: set[K] = set()
        self._dirty: set[K] = set()
        self._news: set[K] = set()
        self._due: dict[K, float] = {}
        self._later: list[tuple[float, int, K]] = []
        self._sequence = 0
        self._failures: dict[K, int] = {}
        self._closed = False

    def __len__(self) -> int:
        """How many keys wait to be handed out."""
        with self._change:
            return len(self._waiting)

    def add(self, key: K) -> None:
        """Hand the key out soon."""
        with self._change:
            self._add(key)

    def _add(self, key: K) -> None:
        if key in self._busy:
            self._dirty.add(key)
        elif key not in self._waiting:
            self._waiting[key] = self._clock()
            self._change.notify()

    def add_news(self, key: K) -> None:
        """Hand the key out soon, or, if it waits for a retry, in a while: frequent news must not undo its backoff."""
        with self._change:
            if key in self._busy:
                self._news.add(key)
            elif key in self._failures:
                self.add_after(key, NEWS_SECONDS)
            else:
                self._add(key)

    def add_after(self, key: K, seconds: float) -> None:
        """Hand the key out in some time, an hour at most, or earlier if that was asked for before."""
        # A delay that is no number is no reason to wait.
        bounded = min(seconds, LONGEST_DELAY_SECONDS) if seconds > 0 else 0.0
        with self._change:
            due = self._clock() + bounded
            if due >= self._due.get(key, math.inf):
                return
            self._due[key] = due
            self._sequence += 1
            heapq.heappush(self._later, (due, self._sequence, key))
            self._change.notify()

    def retry(self, key: K) -> float:
        """Hand the key out again after a delay that doubles with each retry in a row. Returns the delay."""
        with self._change:
            failures = self._failures.get(key, 0)
            self._failures[key] = failures + 1
        delay = min(RETRY_BASE_SECONDS * 2.0 ** min(failures, 30), RETRY_LIMIT_SECONDS)
        self.add_after(key, delay)
        return delay

    def forget(self, key: K) -> None:
        """The key's work succeeded: its next retry starts from the smallest delay."""
        with self._change:
            self._failures.pop(key, None)

    def take(self) -> K | None:
        """Wait for a key; None once the queue is closed. Every key taken must be given to ``done``."""
        with self._change:
            while not self._closed:
                timeout = self._move_due()
                if self._waiting:
                    key, since = self._waiting.popitem(last=False)
                    self._busy.add(key)
                    self._on_taken(self._clock() - since)
                    return key
                self._change.wait(timeout)
            return None

    def done(self, key: K) -> None:
        """The worker lets go of the key."""
        with self._change:
            self._busy.discard(key)
            if key in self._dirty:
                self._dirty.discard(key)
                self._add(key)
            if key in self._news:
                self._news.discard(key)
                self.add_news(key)

    def close(self) -> None:
        """Hand out nothing more."""
        with self._change:
            self._closed = True
            self._change.notify_all()

    def _move_due(self) -> float | None:
        """Move keys whose time has come into the line; seconds until the next one is due, None without one."""
        while self._later:
            due, _, key = self._later[0]
            outdated = self._due.get(key) != due
            wait = due - self._clock()
            if wait > 0 and not outdated:
                return wait
            heapq.heappop(self._later)
            if not outdated:
                del self._due[key]
                self._add(key)
        return None
