"""How many workers may still be launched: per type, altogether, and at once."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping

from autoscaler.model import NodeType

from .request import Obstacle

# Legacy: so many workers of a type may be on their way at once, however few run.
UPSCALING_FLOOR = 5


class Limits:
    """The bounds that are left while launches are decided on. Nothing here is ever exceeded, for any demand.

    ``present`` are the workers that exist, per type: running, on their way and draining alike.
    """

    def __init__(
        self, types: Iterable[NodeType], max_workers: int, present: Mapping[str, int], blocked: Iterable[str]
    ) -> None:
        self._blocked = frozenset(blocked)
        self._maximum = {t.name: t.max_workers for t in types}
        self._count = Counter(present)
        self.workers = max(0, max_workers - sum(present.values()))

    def room(self, name: str) -> int:
        """How many more of this type there may be."""
        if name in self._blocked:
            return 0
        return max(0, min(self._maximum[name] - self._count[name], self.workers))

    def could(self, name: str) -> bool:
        """Whether this type may be launched at all, were there none yet."""
        return name not in self._blocked and self._maximum[name] > 0

    def obstacle(self, name: str) -> Obstacle | None:
        """What keeps another worker of this type from being launched; None when nothing does."""
        if name in self._blocked:
            return Obstacle.BLOCKED
        if self._maximum[name] <= self._count[name]:
            return Obstacle.TYPE_MAXIMUM
        return Obstacle.CLUSTER_MAXIMUM if self.workers <= 0 else None

    def nearest(self, name: str) -> Obstacle:
        """Which bound would bind first if more and more workers of this type were launched."""
        left = self._maximum[name] - self._count[name]
        return Obstacle.TYPE_MAXIMUM if left < self.workers else Obstacle.CLUSTER_MAXIMUM

    def take(self, name: str, count: int) -> None:
        """``count`` more of this type will be there."""
        self._count[name] += count
        self.workers -= count


def at_once(speed: float, running: int) -> int | float:
    """How many workers of a type may be on their way, when so many run. A speed of 0 means 1, as it always has."""
    if not speed > 0:
        speed = 1.0
    wanted = speed * max(running, 1)
    return max(UPSCALING_FLOOR, wanted if math.isinf(wanted) else int(wanted))
