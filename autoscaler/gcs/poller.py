"""What every Ray head wants right now, asked from one thread, however many heads there are.

A head that does not answer holds no thread: calls are begun here and answered through a callback. How often a head is
asked depends on whether a person is waiting there (``pause``) and on how many heads share the process.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from autoscaler.model import RayState

from .client import Credentials, GcsError
from .convert import essence
from .pacing import (
    BUSY,
    GATHER_SECONDS,
    IDLE,
    IDLE_NOTICE_SECONDS,
    Pace,
    has_idle_worker,
    is_waiting,
    on_grid,
    pause,
    size,
)

logger = logging.getLogger(__name__)


class Source(Protocol):
    """A head as the poller sees it: ``autoscaler.gcs.GcsClient``, or what a test puts there."""

    def begin_state(self, done: Callable[[RayState | GcsError], None]) -> None:
        """Ask; ``done`` is called exactly once, from any thread."""

    def close(self) -> None:
        """Hold no connection any more."""


K = TypeVar("K", bound=Hashable)
C = TypeVar("C", bound=Source)


@dataclass(frozen=True)
class Snapshot:
    """What is known of a head. ``state`` is its last answer, however old: see ``state.taken_at``.

    ``error``: why the last question got no answer, None if it got one. ``failing_since``: when the first question
    without an answer since the last good one ended. Times are the poller's clock.
    """

    state: RayState | None
    error: GcsError | None = None
    failing_since: float | None = None


class _Head(Generic[C]):
    """One watched head. ``due`` is None while a question is under way: there is never more than one."""

    def __init__(self, address: str, credentials: Credentials | None, client: C, busy: bool) -> None:
        self.address = address
        self.credentials = credentials
        self.client = client
        self.hinted = busy
        self.snapshot: Snapshot | None = None
        self.due: float | None = None
        self.asked_at = float("-inf")
        self.noticed_at = float("-inf")
        self.failures = 0

    @property
    def busy(self) -> bool:
        state = self.snapshot.state if self.snapshot else None
        return self.hinted or (state is not None and is_waiting(state))

    @property
    def pace(self) -> Pace:
        return BUSY if self.busy else IDLE


class Poller(Generic[K, C]):
    """Asks watched heads for their state and says whose answer is news.

    ``on_change`` gets the key, on the poller's thread: when the answer differs from the last in anything but its
    clocks, when answers stop or come back, and every second or so while a worker is idle.

    ``_heap`` holds (due, sequence, key, head); an entry that the head disagrees with is outdated. ``_answers`` is
    filled by any thread and emptied by ``step``; ``_under_way`` counts the questions whose answer is not there yet.
    An answer for a head that is not watched any more is thrown away.
    """

    def __init__(
        self,
        client_factory: Callable[[str, Credentials | None], C],
        on_change: Callable[[K], None],
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._client_factory = client_factory
        self._on_change = on_change
        self._clock = clock
        self._jitter = jitter
        self._change = threading.Condition()
        self._heads: dict[K, _Head[C]] = {}
        self._busy: set[K] = set()
        self._heap: list[tuple[float, int, K, _Head[C]]] = []
        self._sequence = itertools.count()
        self._answers: deque[tuple[K, _Head[C], RayState | GcsError]] = deque()
        self._under_way = 0
        self._stopped = False
        self._thread: threading.Thread | None = None

    def watch(self, key: K, address: str, credentials: Credentials | None = None) -> None:
        """Ask the head there from now on, at once first. Another address or other credentials: another head."""
        with self._change:
            known = self._heads.get(key)
            if known and (known.address, known.credentials) == (address, credentials):
                return
            head = _Head(address, credentials, self._client_factory(address, credentials), bool(known and known.hinted))
            self._heads[key] = head
            self._count(key, head)
            self._ask_at(key, head, self._clock())
        if known:
            known.client.close()

    def forget(self, key: K) -> None:
        """Ask there no more, and close the connection."""
        with self._change:
            head = self._heads.pop(key, None)
            self._busy.discard(key)
        if head:
            head.client.close()

    def hint(self, key: K, *, busy: bool) -> None:
        """Whether something is being launched or drained there, so that the head is to be asked often."""
        with self._change:
            head = self._heads.get(key)
            if head is None or head.hinted == busy:
                return
            head.hinted = busy
            self._count(key, head)
            if busy and head.due is not None:
                self._ask_at(key, head, min(head.due, max(self._clock(), head.asked_at + BUSY.shortest)))

    def latest(self, key: K) -> Snapshot | None:
        """What is known of the head; None before the first question came to an end."""
        with self._change:
            head = self._heads.get(key)
            return head.snapshot if head else None

    def late(self) -> float:
        """Seconds by which a question or an answer is late; more than a few mean that asking has come to a halt."""
        with self._change:
            now = self._clock()
            dues = (h.due if h.due is not None else h.asked_at for h in self._heads.values())
            return max((0.0, *(now - due for due in dues)))

    def client(self, key: K) -> C | None:
        """The connection to the head, for reports and drains; None if it is not watched."""
        with self._change:
            head = self._heads.get(key)
            return head.client if head else None

    def start(self) -> None:
        """Ask from a thread of our own until ``stop``."""
        self._thread = threading.Thread(target=self._run, name="poller", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread, and forget every head."""
        with self._change:
            self._stopped = True
            self._change.notify_all()
        if self._thread:
            self._thread.join()
        for key in list(self._heads):
            self.forget(key)

    def _run(self) -> None:
        while not self._stopped:
            self.step()
            with self._change:
                if not self._stopped and (self._under_way or not self._answers):
                    self._change.wait(self._patience())

    def _patience(self) -> float | None:
        """While some answer and some do not, a moment: waking up for each would cost more than the answers do."""
        wait = self._next_due_in()
        if not self._under_way:
            return wait
        return GATHER_SECONDS if wait is None else min(wait, GATHER_SECONDS)

    def step(self) -> float | None:
        """Take in the answers, and begin the questions that are due. Seconds until the next; None without one."""
        with self._change:
            news = [key for key, head, answer in self._pop_answers() if self._take_in(key, head, answer)]
            due = list(self._pop_due())
        for key, head in due:
            self._ask(key, head)
        for key in dict.fromkeys(news):
            self._tell(key)
        with self._change:
            return self._next_due_in()

    def _pop_answers(self) -> Iterator[tuple[K, _Head[C], RayState | GcsError]]:
        while self._answers:
            yield self._answers.popleft()

    def _take_in(self, key: K, head: _Head[C], answer: RayState | GcsError) -> bool:
        """Whether it is news."""
        if self._heads.get(key) is not head:
            return False
        before, now = head.snapshot, self._clock()
        head.snapshot = after = _after(before, answer, now)
        head.failures = head.failures + 1 if after.error else 0
        self._count(key, head)
        self._ask_at(key, head, on_grid(now + self._pause(head), head.pace.grid))
        notice = after.error is None and now - head.noticed_at >= IDLE_NOTICE_SECONDS and has_idle_worker(after.state)
        if is_news(before, after) or notice:
            head.noticed_at = now
            return True
        return False

    def _pause(self, head: _Head[C]) -> float:
        state = head.snapshot.state if head.snapshot else None
        return pause(
            pace=head.pace,
            heads=len(self._busy) if head.busy else len(self._heads) - len(self._busy),
            failures=head.failures,
            items=size(state) if state else 0,
            jitter=self._jitter(),
        )

    def _count(self, key: K, head: _Head[C]) -> None:
        if head.busy:
            self._busy.add(key)
        else:
            self._busy.discard(key)

    def _ask_at(self, key: K, head: _Head[C], due: float) -> None:
        head.due = due
        heapq.heappush(self._heap, (due, next(self._sequence), key, head))
        self._change.notify()

    def _pop_due(self) -> Iterator[tuple[K, _Head[C]]]:
        while (wait := self._next_due_in()) is not None and wait <= 0:
            _, _, key, head = heapq.heappop(self._heap)
            head.due = None
            head.asked_at = self._clock()
            self._under_way += 1
            yield key, head

    def _next_due_in(self) -> float | None:
        while self._heap:
            due, _, key, head = self._heap[0]
            if self._heads.get(key) is head and head.due == due:
                return due - self._clock()
            heapq.heappop(self._heap)
        return None

    def _ask(self, key: K, head: _Head[C]) -> None:
        try:
            head.client.begin_state(lambda answer: self._answered(key, head, answer))
        except Exception as error:
            logger.exception("asking a Ray head failed")
            self._answered(key, head, GcsError("invalid", repr(error)))

    def _answered(self, key: K, head: _Head[C], answer: RayState | GcsError) -> None:
        with self._change:
            self._answers.append((key, head, answer))
            self._under_way -= 1
            if not self._under_way:
                self._change.notify()

    def _tell(self, key: K) -> None:
        try:
            self._on_change(key)
        except Exception:
            logger.exception("nobody took the news from a Ray head")


def _after(before: Snapshot | None, answer: RayState | GcsError, now: float) -> Snapshot:
    if isinstance(answer, RayState):
        return Snapshot(answer)
    if before is None:
        return Snapshot(None, answer, now)
    return Snapshot(before.state, answer, now if before.failing_since is None else before.failing_since)


def is_news(before: Snapshot | None, after: Snapshot) -> bool:
    """Whether a decision or a condition may depend on the difference."""
    if before is None or _kind(before.error) != _kind(after.error):
        return True
    if before.state is None or after.state is None:
        return before.state is not after.state
    return essence(before.state) != essence(after.state)


def _kind(error: GcsError | None) -> str | None:
    return error.kind if error else None
