"""Numbers and times in sentences."""

from __future__ import annotations


def counted(count: float, one: str, many: str = "") -> str:
    """A number and its noun: ``1 worker``, ``2 workers``. ``many``: where that is more than an s at the end."""
    number = f"{count:g}" if isinstance(count, float) else str(count)
    return f"{number} {one if count == 1 else many or f'{one}s'}"


def duration(minutes: float) -> str:
    """A time that a spec gives in minutes: ``5 minutes``, ``1 minute``, ``2.5 seconds``."""
    return counted(minutes, "minute") if minutes >= 1 else counted(round(minutes * 60, 3), "second")
