"""The clocks of this process. Ages are taken from one clock each: two machines never agree."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

# So much of the time that passes is used to come closer to the wall clock.
SLEW = 0.1


def steady_clock() -> float:
    """Seconds on a clock that only goes forward, and goes on while the machine sleeps (``clock_gettime(2)``)."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class SlewedClock:
    """Seconds since the epoch, without jumps: where the wall clock is set, this one goes a tenth faster or slower until
    it has caught up. So ages are right to a tenth whatever happens to the wall clock, and times become right again.
    """

    def __init__(self, wall: Callable[[], float] = time.time, steady: Callable[[], float] = steady_clock) -> None:
        self._wall = wall
        self._steady = steady
        self._lock = threading.Lock()
        self._now = wall()
        self._at = steady()

    def __call__(self) -> float:
        """The time now; never less than before."""
        with self._lock:
            at = self._steady()
            passed, self._at = at - self._at, at
            behind = self._wall() - self._now - passed
            self._now += passed + max(-SLEW * passed, min(behind, SLEW * passed))
            return self._now
