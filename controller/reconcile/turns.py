"""Requests of many clusters take turns: one that makes thousands of pods lets each other one in after its next."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from concurrent.futures import Executor, Future
from typing import Any, Generic, TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")
R = TypeVar("R")


class Turns(Generic[K, T]):
    """Items that wait, each in the lane of its key: lanes take turns, and in a lane the first comes first."""

    def __init__(self) -> None:
        # In the order of their next turns; none is empty.
        self._lanes: OrderedDict[K, deque[T]] = OrderedDict()

    def __len__(self) -> int:
        return sum(map(len, self._lanes.values()))

    def add(self, key: K, item: T) -> None:
        """The item waits. The first one of a lane waits for one turn of each other lane."""
        self._lanes.setdefault(key, deque()).append(item)

    def take(self) -> T:
        """The item whose turn it is.

        Raises:
            LookupError: none waits.
        """
        if not self._lanes:
            raise LookupError("nothing waits")
        key, lane = next(iter(self._lanes.items()))
        item = lane.popleft()
        if lane:
            self._lanes.move_to_end(key)
        else:
            del self._lanes[key]
        return item


class FairExecutor:
    """Runs what it is given in ``threads``, an executor that has no other user. Safe to use from many threads."""

    def __init__(self, threads: Executor) -> None:
        self._threads = threads
        self._lock = threading.Lock()
        self._turns: Turns[Hashable, tuple[Future[Any], Callable[[], Any]]] = Turns()

    def of(self, key: Hashable) -> Executor:
        """The executor of one cluster."""
        return _Lane(self._threads, lambda future, call: self._add(key, future, call), self._run_next)

    def shutdown(self) -> None:
        """Start nothing more."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _add(self, key: Hashable, future: Future[Any], call: Callable[[], Any]) -> None:
        with self._lock:
            self._turns.add(key, (future, call))

    def _run_next(self) -> None:
        """Run one item: not the one for which a thread was asked, but the one whose turn it is."""
        with self._lock:
            future, call = self._turns.take()
        if not future.set_running_or_notify_cancel():
            return
        try:
            result = call()
        except BaseException as error:
            future.set_exception(error)
        else:
            future.set_result(result)


class _Lane(Executor):
    def __init__(
        self, threads: Executor, add: Callable[[Future[Any], Callable[[], Any]], None], run_next: Callable[[], None]
    ) -> None:
        self._threads = threads
        self._add = add
        self._run_next = run_next

    def submit(self, fn: Callable[..., R], /, *args: Any, **kwargs: Any) -> Future[R]:
        """See Executor."""
        future: Future[R] = Future()
        self._add(future, lambda: fn(*args, **kwargs))
        self._threads.submit(self._run_next)
        return future
