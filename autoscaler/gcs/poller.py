"""What every Ray head wants right now, asked from one thread, however many heads there are.

A head that does not answer holds no thread: calls are begun here and answered through a callback. How often a head is
asked depends on whether a person is waiting there (``pause``) and on how many heads share the process.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Generic

from autoscaler.model import RayState

from .client import Credentials
from .errors import GcsError
from .kept import Kept
from .pacing import BUSY, GATHER_SECONDS, IDLE_NOTICE_SECONDS, WARM_SECONDS, has_idle_worker
from .snapshot import Snapshot, after, is_news
from .watched import C, Head, Heads, K

logger = logging.getLogger(__name__)


class Poller(Generic[K, C]):
    """Asks watched heads for their state and says whose answer is news.

    ``on_change`` gets the key, on the poller's thread: when the answer differs from the last in anything but its
    clocks, when answers stop or come back, and every second or so while a worker is idle.

    ``_answers`` is filled by any thread and emptied by ``step``; ``_under_way`` counts the questions whose answer is
    not there yet. An answer for a head that is not watched any more is thrown away.
    """

    def __init__(
        self,
        client_factory: Callable[[str, Credentials | None], C],
        on_change: Callable[[K], None],
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
        kept: Kept[K] | None = None,
    ) -> None:
        self._client_factory = client_factory
        self._on_change = on_change
        self._clock = clock
        self._jitter = jitter
        self._kept = kept
        self._change = threading.Condition()
        self._heads: Heads[K, C] = Heads()
        self._answers: deque[tuple[K, Head[C], RayState | GcsError]] = deque()
        self._under_way = 0
        self._stopped = False
        self._thread: threading.Thread | None = None

    def watch(self, key: K, address: str, credentials: Credentials | None = None) -> None:
        """Ask the head there from now on, at once first. Another address or other credentials: another head."""
        with self._change:
            known = self._heads.get(key)
            if known and (known.address, known.credentials) == (address, credentials):
                return
            client = self._client_factory(address, credentials)
            self._heads.add(key, Head(address, credentials, client, bool(known and known.hinted)), self._clock())
            self._change.notify()
        if known:
            known.client.close()

    def forget(self, key: K) -> None:
        """Ask there no more, and close the connection."""
        with self._change:
            head = self._heads.pop(key)
            if self._kept:
                self._kept.drop(key)
        if head:
            head.client.close()

    def hint(self, key: K, *, busy: bool) -> None:
        """Whether something is being launched or drained there, so that the head is to be asked often."""
        with self._change:
            head = self._heads.get(key)
            if head is None or head.hinted == busy:
                return
            head.hinted = busy
            self._heads.count(key, head)
            if busy and head.due is not None:
                self._heads.ask_at(key, head, min(head.due, max(self._clock(), head.asked_at + BUSY.shortest)))
                self._change.notify()

    def latest(self, key: K) -> Snapshot | None:
        """What is known of the head; None before the first question came to an end."""
        with self._change:
            head = self._heads.get(key)
            return head.snapshot if head else None

    def late(self) -> float:
        """Seconds by which a question or an answer is late; more than a few mean that asking has come to a halt."""
        with self._change:
            return self._heads.late(self._clock())

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
                    self._change.wait(_patience(self._heads.next_due_in(self._clock()), self._under_way))

    def step(self) -> float | None:
        """Take in the answers, and begin the questions that are due. Seconds until the next; None without one."""
        with self._change:
            answers, self._answers = self._answers, deque()
            news = [key for key, head, answer in answers if self._take_in(key, head, answer)]
            due = list(self._heads.pop_due(self._clock()))
            self._under_way += len(due)
        for key, head in due:
            self._ask(key, head)
        for key in dict.fromkeys(news):
            self._tell(key)
        with self._change:
            return self._heads.next_due_in(self._clock())

    def _take_in(self, key: K, head: Head[C], answer: RayState | GcsError) -> bool:
        """Whether it is news."""
        if self._heads.get(key) is not head:
            return False
        before, now = head.snapshot, self._clock()
        if isinstance(answer, RayState) and self._kept and not self._kept.takes(key, answer.size):
            answer = GcsError("invalid", "there is no room: other heads' answers fill their memory", answer.cost)
        head.cost = answer.cost
        head.snapshot = found = after(before, answer, now)
        head.failures = head.failures + 1 if found.error else 0
        changed = is_news(before, found)
        if changed and before is not None:
            head.changed_at = now
        head.warm = now - head.changed_at < WARM_SECONDS and not found.error
        self._heads.count(key, head)
        self._heads.ask_again(key, head, now, self._jitter())
        notice = found.error is None and now - head.noticed_at >= IDLE_NOTICE_SECONDS and has_idle_worker(found.state)
        if changed or notice:
            head.noticed_at = now
            return True
        return False

    def _ask(self, key: K, head: Head[C]) -> None:
        try:
            head.client.begin_state(lambda answer: self._answered(key, head, answer))
        except Exception as error:
            logger.exception("asking a Ray head failed")
            self._answered(key, head, GcsError("invalid", repr(error)))

    def _answered(self, key: K, head: Head[C], answer: RayState | GcsError) -> None:
        with self._change:
            self._answers.append((key, head, answer))
            self._under_way -= 1
            if not self._under_way:
                self._change.notify()

    def _tell(self, key: K) -> None:
        try:
            self._on_change(key)
        except Exception:
            logger.exception("delivering the answer of a Ray head failed")


def _patience(wait: float | None, under_way: int) -> float | None:
    """While some answer and some do not, a moment: waking up for each would cost more than the answers do."""
    if not under_way:
        return wait
    return GATHER_SECONDS if wait is None else min(wait, GATHER_SECONDS)
