"""Requests of many clusters take turns: one that makes thousands of pods lets each other one in after its next."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, Executor, Future
from functools import partial
from typing import Any, Generic, NamedTuple, TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")
R = TypeVar("R")


class Turns(Generic[K, T]):
    """Items that wait, each in the lane of its key: lanes take turns, and in a lane the first comes first.

    ``most``: how many items of a lane may be taken and not yet done. A lane with as many is passed over.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        # In the order of their next turns; none is empty.
        self._lanes: OrderedDict[K, deque[T]] = OrderedDict()
        self._passed_over: dict[K, deque[T]] = {}
        self._taken: dict[K, int] = {}
        self._waiting = 0

    def __len__(self) -> int:
        return self._waiting

    def __bool__(self) -> bool:
        """Whether one can be taken."""
        return bool(self._lanes)

    def add(self, key: K, item: T) -> None:
        """The item waits. The first one of a lane waits for one turn of each other lane."""
        lanes = self._lanes if self._taken.get(key, 0) < self._most else self._passed_over
        lanes.setdefault(key, deque()).append(item)
        self._waiting += 1

    def take(self) -> tuple[K, T]:
        """The item whose turn it is, to be told to ``done``.

        Raises:
            LookupError: none can be taken.
        """
        if not self._lanes:
            raise LookupError("nothing waits")
        key, lane = self._lanes.popitem(last=False)
        item = lane.popleft()
        self._waiting -= 1
        self._taken[key] = self._taken.get(key, 0) + 1
        if lane:
            lanes = self._lanes if self._taken[key] < self._most else self._passed_over
            lanes[key] = lane
        return key, item

    def done(self, key: K) -> None:
        """One that was taken from the lane is."""
        self._taken[key] -= 1
        if not self._taken[key]:
            del self._taken[key]
        if lane := self._passed_over.pop(key, None):
            self._lanes[key] = lane

    def clear(self) -> list[T]:
        """What waits, which waits no longer."""
        left = [item for lane in (*self._lanes.values(), *self._passed_over.values()) for item in lane]
        self._lanes.clear()
        self._passed_over.clear()
        self._waiting = 0
        return left


class _Call(NamedTuple):
    """What is run when its turn comes, or else is told that it never comes."""

    run: Callable[[], object]
    cancel: Callable[[], object]


class FairExecutor:
    """Runs calls in threads of its own, which start when they are needed. Safe to use from many threads.

    ``at_once``: how many of one cluster run at a time.

    The standard library's pool has one line for all, and spends a sixth of a burst's CPU on its bookkeeping.
    """

    def __init__(self, threads: int, at_once: int) -> None:
        self._most = threads
        self._change = threading.Condition()
        self._turns: Turns[Hashable, _Call] = Turns(at_once)
        self._started = self._resting = 0
        self._closed = False

    def of(self, key: Hashable) -> Executor:
        """The executor of one cluster."""
        return _Lane(lambda calls: self._add(key, calls))

    def shutdown(self) -> None:
        """Start nothing more: what has not begun is cancelled."""
        with self._change:
            self._closed = True
            left = self._turns.clear()
            self._change.notify_all()
        for call in left:
            call.cancel()

    def _add(self, key: Hashable, calls: Sequence[_Call]) -> None:
        with self._change:
            if self._closed:
                raise RuntimeError("nothing more is started after the shutdown")
            for call in calls:
                self._turns.add(key, call)
            self._change.notify(len(calls))
            # A thread that was called a moment ago still rests: what it was called for waits as well.
            more = max(min(len(self._turns) - self._resting, self._most - self._started), 0)
            self._started += more
        for _ in range(more):
            try:
                threading.Thread(target=self._run, name="write", daemon=True).start()
            except RuntimeError:
                self._missing()

    def _missing(self) -> None:
        """There are no more threads to be had. Without any, nothing may wait for one: those who ask again try again."""
        with self._change:
            self._started -= 1
            left = [] if self._started else self._turns.clear()
        for call in left:
            call.cancel()

    def _run(self) -> None:
        key, call = self._next()
        while call:
            call.run()
            key, call = self._next(key)

    def _next(self, done: Hashable | None = None) -> tuple[Hashable, _Call | None]:
        """Wait for the call whose turn it is; None after the shutdown. ``done``: the lane of the one that has ended."""
        with self._change:
            if done is not None:
                self._turns.done(done)
            self._resting += 1
            while not (self._turns or self._closed):
                self._change.wait()
            self._resting -= 1
            if self._closed:
                return None, None
            taken = self._turns.take()
            if self._turns and self._resting:
                # A lane that was passed over may be taken again.
                self._change.notify()
            return taken


class _Lane(Executor):
    def __init__(self, add: Callable[[Sequence[_Call]], None]) -> None:
        self._add = add

    def submit(self, fn: Callable[..., R], /, *args: Any, **kwargs: Any) -> Future[R]:
        """See Executor."""
        future: Future[R] = Future()

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = fn(*args, **kwargs)
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(result)

        self._add([_Call(run, future.cancel)])
        return future

    def map(
        self, fn: Callable[..., R], *iterables: Iterable[Any], timeout: float | None = None, chunksize: int = 1
    ) -> Iterator[R]:
        """See Executor; but all of it has ended when this returns, unless the time is over."""
        del chunksize
        batch = _Batch(fn, list(zip(*iterables, strict=False)))
        self._add(batch.calls())
        return iter(batch.wait(timeout))


class _Batch(Generic[R]):
    """Calls of one function that are waited for together."""

    def __init__(self, call: Callable[..., R], arguments: Sequence[tuple[Any, ...]]) -> None:
        self._call = call
        self._arguments = arguments
        self._results: dict[int, R] = {}
        self._errors: dict[int, BaseException] = {}
        self._lock = threading.Lock()
        self._left = len(arguments)
        self._over = threading.Event()

    def calls(self) -> list[_Call]:
        """Each of them."""
        return [_Call(partial(self._run, n), partial(self._failed, n, CancelledError())) for n in range(self._left)]

    def _run(self, number: int) -> None:
        try:
            self._results[number] = self._call(*self._arguments[number])
        except BaseException as error:
            self._failed(number, error)
        else:
            self._ended()

    def _failed(self, number: int, error: BaseException) -> None:
        self._errors[number] = error
        self._ended()

    def _ended(self) -> None:
        with self._lock:
            self._left -= 1
            if not self._left:
                self._over.set()

    def wait(self, timeout: float | None) -> list[R]:
        """The results in their order.

        Raises:
            TimeoutError: not all have ended.
            BaseException: that of the first call that failed.
        """
        if self._arguments and not self._over.wait(timeout):
            raise TimeoutError
        if self._errors:
            raise self._errors[min(self._errors)]
        return [self._results[number] for number in range(len(self._arguments))]
