"""Is the process well? Every loop of it says when it turns; one that has not for too long makes the process unwell."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable


class Loop:
    """One thread's loop. It turns again and again, or rests: then it waits for work, for however long.

    Written by its thread, read by any other: each is one assignment.
    """

    def __init__(self, limit: float, clock: Callable[[], float]) -> None:
        self.limit = limit
        self._clock = clock
        self._turned: float | None = None

    def turn(self) -> None:
        """It is at work, and will turn or rest within ``limit`` seconds."""
        self._turned = self._clock()

    def rest(self) -> None:
        """Nothing to do."""
        self._turned = None

    def since_turn(self) -> float:
        """Seconds since it turned; 0 while it rests."""
        turned = self._turned
        return 0.0 if turned is None else max(0.0, self._clock() - turned)


class Health:
    """Every loop of the process. Limits are generous: a restart helps against a deadlock, not against a slow API."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._loops: dict[str, Loop] = {}
        self._late: dict[str, tuple[float, Callable[[], float]]] = {}
        self._threads: tuple[threading.Thread, ...] = ()

    def loop(self, name: str, limit: float) -> Loop:
        """A new loop; it rests until it turns first. It takes the place of an earlier one of its name."""
        loop = self._loops[name] = Loop(limit, self._clock)
        return loop

    def watch(self, name: str, limit: float, late: Callable[[], float]) -> None:
        """A loop that does not report by itself. ``late``: by how many seconds its work is late."""
        self._late[name] = (limit, late)

    def keep_alive(self, threads: Iterable[threading.Thread]) -> None:
        """From now on none of these, which have started, may end; with none of them, all may."""
        self._threads = tuple(threads)

    def ages(self) -> dict[str, float]:
        """Seconds since each loop turned, or by which its work is late."""
        return {name: age for name, _, age in self._measured()}

    def _measured(self) -> list[tuple[str, float, float]]:
        """Name, limit and age of each. Other threads begin loops meanwhile."""
        loops = [(name, loop.limit, loop.since_turn()) for name, loop in list(self._loops.items())]
        return loops + [(name, limit, late()) for name, (limit, late) in list(self._late.items())]

    def stuck(self) -> list[str]:
        """One sentence for each loop that is over its limit; none when all is well."""
        ended = [f"the thread {thread.name} has ended" for thread in self._threads if not thread.is_alive()]
        return ended + [
            f"{name} has not turned for {age:.0f} s, the limit is {limit:.0f} s"
            for name, limit, age in self._measured()
            if age > limit
        ]
