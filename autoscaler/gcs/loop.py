"""The event loop, with a thread of its own, that all clients of a process share.

gRPC's other way to have many calls under way costs a thread per head that does not answer.
"""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from .errors import GcsError

T = TypeVar("T")


@functools.cache
def _event_loop() -> asyncio.AbstractEventLoop:
    """gRPC's asyncio support has one completion queue per process, so one loop serves it best."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="gcs", daemon=True).start()
    return loop


def submit(coroutine: Coroutine[Any, Any, T]) -> Future[T]:
    """Run it on the event loop."""
    return asyncio.run_coroutine_threadsafe(coroutine, _event_loop())


def begin(coroutine: Coroutine[Any, Any, T], done: Callable[[T | GcsError], None]) -> None:
    """Run it on the event loop. ``done`` gets the outcome, on the loop's thread."""

    def ended(future: Future[T]) -> None:
        error = future.exception()
        if error is None:
            done(future.result())
        else:
            done(error.bare() if isinstance(error, GcsError) else GcsError("invalid", repr(error)))

    submit(coroutine).add_done_callback(ended)
