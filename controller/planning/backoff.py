"""How long to wait after something went wrong: at once the first time, then ever longer, up to five minutes."""

from __future__ import annotations

# What went well for this long had a good start: what ended it is not counted with what came before.
QUIET_SECONDS = 600.0
BASE_SECONDS = 5.0
LIMIT_SECONDS = 300.0


def backoff_seconds(attempt: int) -> float:
    """How long the next try is held back after so many failures: the first at once, then 5 s doubling to 5 minutes."""
    # Attempts are counted for as long as a pod keeps crashing: the exponent is bounded before the power is.
    return min(BASE_SECONDS * 2.0 ** min(attempt - 2, 30), LIMIT_SECONDS) if attempt > 1 else 0.0
