"""Work that comes and goes on played heads: in bursts, each task for some seconds, on whichever node is free.

A node that has nothing to do says for how long, so that its operator lets it go.
"""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

from autoscaler.model import Demand, NodeStatus, Shape
from tests.fakes.gcs import STATUS_NUMBER, FakeGcs

IDLE_MINUTES = 0.15
TASK = Shape.of({"CPU": 1})
# A node is let go about now, unless a driver of its own comes at the last moment: then Ray refuses.
LATE_SECONDS, LATE_CHANCE = 60 * IDLE_MINUTES, 0.06
# No type of these clusters has it.
IMPOSSIBLE = Demand(Shape.of({"TPU": 4}), 2)
RUNNING, IDLE = STATUS_NUMBER[NodeStatus.RUNNING], STATUS_NUMBER[NodeStatus.IDLE]


class Load:
    """What the users of all clusters do, by a seed."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self._loads: dict[FakeGcs, _Work] = {}

    def tick(self, heads: Iterable[FakeGcs], now: float) -> None:
        """Time has come to ``now``, in seconds. A head that is new begins with nothing."""
        for head in heads:
            if head not in self._loads:
                self._loads[head] = _Work(head, Random(self._random.random()), now)
            self._loads[head].tick(now)

    def ask_for_the_impossible(self, cluster: str) -> None:
        """From now on, what no node could hold waits at the head of a cluster too."""
        for head, work in self._loads.items():
            work.impossible |= any(name.startswith(f"{cluster}-") for name in head.nodes)


class _Work:
    """The work of one head: when the next burst comes, and of each node when it is done, or since when it is."""

    def __init__(self, head: FakeGcs, random: Random, now: float) -> None:
        self._head = head
        self._random = random
        self._burst = now + random.uniform(3, 30)
        self._since: dict[str, float] = {}
        self._until: dict[str, float] = {}
        self.impossible = False

    def tick(self, now: float) -> None:
        if now >= self._burst:
            self._burst = now + self._random.uniform(20, 60)
            self._wait(self._random.randint(3, 12))
        if self.impossible and IMPOSSIBLE not in self._head.demands:
            self._wait(0)
        for name, node in list(self._head.nodes.items()):
            if node.status == RUNNING and now >= self._until.setdefault(name, now + self._random.uniform(4, 25)):
                self._done(name, now)
            elif node.status == IDLE:
                idle = now - self._since.setdefault(name, now)
                node.idle_duration_ms = int(1000 * idle)
                self._take(name, late=idle >= LATE_SECONDS and self._random.random() < LATE_CHANCE)

    def _done(self, name: str, now: float) -> None:
        del self._until[name]
        self._head.set_status(name, NodeStatus.IDLE)
        self._since[name] = now
        self._take(name)

    def _take(self, name: str, *, late: bool = False) -> None:
        """A free node runs what waits, if anything does, or what comes late."""
        waits = any(demand.shape == TASK for demand in self._head.demands)
        if waits or late:
            self._wait(-1 if waits else 0)
            self._head.set_status(name, NodeStatus.RUNNING)
            self._since.pop(name, None)

    def _wait(self, more: int) -> None:
        """So many more tasks wait, or fewer. They stand before what never runs."""
        count = more + sum(demand.count for demand in self._head.demands if demand.shape == TASK)
        self._head.demands = (*([Demand(TASK, count)] if count > 0 else []), *([IMPOSSIBLE] if self.impossible else []))
