"""Calls to Ray heads that nothing waits long for: a head that does not answer costs its own cluster only.

Reconcile threads are few and serve all clusters. A call gets ``PATIENCE_SECONDS`` of theirs, fifteen times what a head
takes that is well. A call that takes longer goes on by itself; its cluster is looked at again when it has ended, and
the outcome is there for the next one who asks for the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as CallTimeoutError
from dataclasses import dataclass
from threading import Lock

from controller.raycluster.model import Key

PATIENCE_SECONDS = 0.3
# Threads for all heads together, and how many of them one head can hold.
THREADS = 32
PER_HEAD = 8
# An outcome that was not asked for in so long says nothing about now.
OUTCOME_SECONDS = 10.0


@dataclass
class _Call:
    """One call: when it began, and when it ended (None while it goes on)."""

    future: Future[bool]
    began: float
    ended: float | None = None


class HeadCalls:
    """Runs calls on threads of its own. ``on_late`` gets the cluster whose late call has ended."""

    def __init__(
        self,
        on_late: Callable[[Key], object],
        clock: Callable[[], float] = time.monotonic,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        self._on_late = on_late
        self._clock = clock
        self._patience = patience
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="heads")
        self._lock = Lock()
        # Cluster -> what is asked -> the call. Its size is bounded by PER_HEAD calls a cluster.
        self._calls: dict[Key, dict[Hashable, _Call]] = {}

    def ask(self, cluster: Key, what: Hashable, call: Callable[[], bool]) -> bool:
        """The outcome of ``call``, which must not raise; False where there is none yet.

        ``what``: a question that is under way already is not asked a second time.
        """
        with self._lock:
            calls = self._calls.setdefault(cluster, {})
            known = calls.get(what)
            if known and known.ended is not None:
                del calls[what]
                if self._clock() - known.ended <= OUTCOME_SECONDS:
                    return known.future.result()
                known = None
            if known or not self._has_room(calls):
                return False
            made = calls[what] = _Call(self._pool.submit(call), self._clock())
        try:
            outcome = made.future.result(self._patience)
        except CallTimeoutError:
            made.future.add_done_callback(lambda _: self._late(cluster, made))
            return False
        self._drop(cluster, what)
        return outcome

    def send(self, call: Callable[[], object]) -> None:
        """Run ``call``, which must not raise, without waiting for it."""
        self._pool.submit(call)

    def forget(self, cluster: Key) -> None:
        """The outcomes of calls to a head that is not asked any more are of no use."""
        with self._lock:
            self._calls.pop(cluster, None)

    def stop(self) -> None:
        """Begin no call any more."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _has_room(self, calls: dict[Hashable, _Call]) -> bool:
        """A head that is late with one answer is not asked anything else meanwhile."""
        under_way = [c for c in calls.values() if c.ended is None]
        late = any(self._clock() - c.began > self._patience for c in under_way)
        for what in [w for w, c in calls.items() if c.ended is not None and self._clock() - c.ended > OUTCOME_SECONDS]:
            del calls[what]
        return not late and len(under_way) < PER_HEAD

    def _late(self, cluster: Key, call: _Call) -> None:
        with self._lock:
            call.ended = self._clock()
        if not call.future.cancelled():
            self._on_late(cluster)

    def _drop(self, cluster: Key, what: Hashable) -> None:
        with self._lock:
            calls = self._calls.get(cluster, {})
            calls.pop(what, None)
            if not calls:
                self._calls.pop(cluster, None)
