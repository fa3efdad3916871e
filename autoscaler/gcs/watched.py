"""The heads that the poller watches, and when each is to be asked next. Not safe to use from several threads."""

from __future__ import annotations

import heapq
import itertools
from collections import Counter
from collections.abc import Callable, Hashable, Iterator
from typing import Generic, Protocol, TypeVar

from autoscaler.model import RayState

from .client import Credentials
from .errors import GcsError
from .pacing import BUSY, IDLE, WARM, Pace, is_waiting, on_grid, pause, size
from .snapshot import Snapshot


class Source(Protocol):
    """A head as the poller sees it: ``autoscaler.gcs.GcsClient``, or what a test puts there."""

    def begin_state(self, done: Callable[[RayState | GcsError], None]) -> None:
        """Ask; ``done`` is called exactly once, from any thread."""

    def close(self) -> None:
        """Hold no connection any more."""


K = TypeVar("K", bound=Hashable)
C = TypeVar("C", bound=Source)


class Head(Generic[C]):
    """One watched head. ``due`` is None while a question is under way: there is never more than one."""

    def __init__(self, address: str, credentials: Credentials | None, client: C, hinted: bool) -> None:
        self.address = address
        self.credentials = credentials
        self.client = client
        self.hinted = hinted
        self.snapshot: Snapshot | None = None
        self.due: float | None = None
        self.asked_at = float("-inf")
        self.noticed_at = float("-inf")
        # Its answers have changed a moment ago.
        self.warm = False
        self.changed_at = float("-inf")
        self.failures = 0
        # Seconds of CPU that reading its last answer took.
        self.cost = 0.0

    @property
    def state(self) -> RayState | None:
        """Its last answer."""
        return self.snapshot.state if self.snapshot else None

    @property
    def busy(self) -> bool:
        """Whether a person or a launch waits there."""
        return self.hinted or (self.state is not None and is_waiting(self.state))

    @property
    def pace(self) -> Pace:
        """How often it is asked."""
        return BUSY if self.busy else WARM if self.warm else IDLE


class Heads(Generic[K, C]):
    """Heads by key, and a heap of (due, sequence, key, head): an entry that the head disagrees with is outdated."""

    def __init__(self) -> None:
        self._heads: dict[K, Head[C]] = {}
        self._paces: dict[K, Pace] = {}
        self._at_pace: Counter[Pace] = Counter()
        self._heap: list[tuple[float, int, K, Head[C]]] = []
        self._sequence = itertools.count()

    def get(self, key: K) -> Head[C] | None:
        """The head that is watched under the key."""
        return self._heads.get(key)

    def __iter__(self) -> Iterator[K]:
        return iter(self._heads)

    def add(self, key: K, head: Head[C], due: float) -> None:
        """Watch the head in place of another under its key, and ask it at ``due`` first."""
        self._heads[key] = head
        self.count(key, head)
        self.ask_at(key, head, due)

    def pop(self, key: K) -> Head[C] | None:
        """Watch the head no longer. Its entry in the heap is outdated by that."""
        self._uncount(key)
        return self._heads.pop(key, None)

    def count(self, key: K, head: Head[C]) -> None:
        """How often the head is asked may have changed."""
        self._uncount(key)
        self._paces[key] = head.pace
        self._at_pace[head.pace] += 1

    def _uncount(self, key: K) -> None:
        if key in self._paces:
            self._at_pace[self._paces.pop(key)] -= 1

    def ask_at(self, key: K, head: Head[C], due: float) -> None:
        """The next question to the head is due then."""
        head.due = due
        heapq.heappush(self._heap, (due, next(self._sequence), key, head))

    def ask_again(self, key: K, head: Head[C], now: float, jitter: float) -> None:
        """The next question is due after a pause; see ``pacing.pause``."""
        seconds = pause(
            pace=head.pace,
            heads=self._at_pace[head.pace],
            failures=head.failures,
            items=size(head.state) if head.state else 0,
            jitter=jitter,
            cost=head.cost,
        )
        self.ask_at(key, head, on_grid(now + seconds, head.pace.grid))

    def pop_due(self, now: float) -> Iterator[tuple[K, Head[C]]]:
        """Heads whose question is due; it is under way then."""
        while (wait := self.next_due_in(now)) is not None and wait <= 0:
            _, _, key, head = heapq.heappop(self._heap)
            head.due = None
            head.asked_at = now
            yield key, head

    def next_due_in(self, now: float) -> float | None:
        """Seconds until the next question is due; None if none will be."""
        while self._heap:
            due, _, key, head = self._heap[0]
            if self._heads.get(key) is head and head.due == due:
                return due - now
            heapq.heappop(self._heap)
        return None

    def late(self, now: float) -> float:
        """Seconds by which a question or an answer is late."""
        dues = (h.due if h.due is not None else h.asked_at for h in self._heads.values())
        return max((0.0, *(now - due for due in dues)))
