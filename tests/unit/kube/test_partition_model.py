"""Operators that share the clusters, as a model: whatever comes, goes, pauses or fails, no cluster has two of them.

A round of the model is a moment at which one process turns, and while each of its requests is on its way, another one
may.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterable
from concurrent.futures import Executor, Future
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from controller.kube.client import ApiError, Request
from controller.kube.election import Election
from controller.kube.holdings import Holdings
from controller.kube.leadership import Leadership
from controller.kube.lease import LEASE_SECONDS, LOOK_SECONDS
from controller.kube.partition_election import PartitionElection
from controller.kube.partitions import LATE_SECONDS, PARTITIONS, share_of
from tests.fakes.leases import Leases

# Until every part has one who manages it: its lease runs out, it is looked at, and left to others for a moment; an
# operator that leads alone may have to run out first. The last ones are given up one by one.
SETTLED_SECONDS = 2 * LEASE_SECONDS + LATE_SECONDS + 10 * LOOK_SECONDS

# An example takes a quarter of a second.
fewer = settings(max_examples=10 if os.environ.get("HYPOTHESIS_PROFILE", "ci") == "ci" else 200)


class Serial(Executor):
    """Does at once what it is given."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future

    def map(self, fn: Callable[..., Any], *iterables: Iterable[Any], **_: Any) -> Any:
        return [fn(*items) for items in zip(*iterables, strict=True)]


class Process:
    """An operator, one of several or alone. ``turning``: it is in the middle of a turn."""

    def __init__(self, world: World, name: str, operators: int) -> None:
        self.world = world
        self.name = name
        self.operators = operators
        self.offset = world.random.uniform(0, 1000)
        self.due = world.now
        self.paused_until = 0.0
        self.turning = False
        self.ended = False
        self.alone = Leadership(self.clock, until=0.0)
        self.holdings = Holdings(self.clock)
        self.writes: list[tuple[int, Leadership]] = []
        self.election: Election | PartitionElection
        if operators == 1:
            self.election = Election(world.api, "ops", name, self.alone, on_change=lambda _: None, clock=self.clock)
        else:
            self.election = PartitionElection(
                world.api,
                "ops",
                name,
                operators,
                self.holdings,
                on_change=lambda: None,
                clock=self.clock,
                threads=Serial(),
            )

    def clock(self) -> float:
        return self.world.now + self.offset

    def leads(self) -> list[int]:
        """The parts that it may write about now, whether it is paused or not."""
        if self.alone.leads():
            return list(range(PARTITIONS))
        return [part for part, right in self.holdings.held().items() if right.leads()]

    def turn(self) -> None:
        self.turning = True
        self.due = self.world.now + self.election.turn()
        self.turning = False

    def end(self, orderly: bool) -> None:
        """It is killed, or stops in good order: its last writes end before that."""
        self.ended = True
        if orderly:
            self.alone.resign()
            self.holdings.resign()
            for _, right in self.writes:
                right.end()
            self.election.release()
        self.alone.resign()
        self.holdings.resign()


class World:
    """Processes, one clock for all, and an API server whose answers take time or are lost."""

    def __init__(self, seed: int, *, faults: bool) -> None:
        self.random = random.Random(seed)
        self.now = 0.0
        self.api = Leases()
        self.api.fault, self.api.lost = self._asked, self._answered
        self.faults = faults
        # No write of one outlasts its right: true where nobody pauses and no answer is lost.
        self.strict = not faults
        self.processes: list[Process] = []
        self.number = 0
        self.depth = 0

    def begin(self, operators: int) -> Process:
        self.number += 1
        process = Process(self, f"p{self.number}", operators)
        self.processes.append(process)
        return process

    def live(self) -> list[Process]:
        return [p for p in self.processes if not p.ended]

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.check()

    def run(self, seconds: float) -> None:
        """Everyone turns when due."""
        until = self.now + seconds
        while self.now < until:
            ready = [p for p in self.live() if p.due <= self.now and p.paused_until <= self.now]
            for process in self.random.sample(ready, len(ready)):
                if not process.ended:
                    process.turn()
                    self.check()
            self._write()
            self.pass_time(self.random.uniform(0.05, 0.6))

    def check(self) -> None:
        """No part has two who may write about it."""
        owners: dict[int, str] = {}
        for process in self.live():
            for part in process.leads():
                assert part not in owners, f"{owners[part]} and {process.name} both lead part {part} at {self.now:.1f}"
                owners[part] = process.name
        if self.strict:
            for process in self.live():
                for part, _ in process.writes:
                    assert owners.get(part, process.name) == process.name, f"{process.name} still writes about {part}"

    def _write(self) -> None:
        """Writes end, and others begin."""
        for process in self.live():
            if process.paused_until > self.now:
                continue
            over = [w for w in process.writes if self.random.random() < 0.3]
            for write in over:
                write[1].end()
                process.writes.remove(write)
            for part, right in process.holdings.held().items():
                if self.random.random() < 0.2 and right.begin():
                    process.writes.append((part, right))

    def _asked(self, request: Request) -> None:
        self.pass_time(self.random.uniform(0.0, 0.05))
        self._meanwhile()
        if self.faults and self.random.random() < 0.03:
            self.pass_time(3.0)
            raise ApiError(0, "NoAnswer", "it takes too long")

    def _answered(self, request: Request) -> None:
        self._meanwhile()
        if self.faults and self.random.random() < 0.03:
            self.pass_time(3.0)
            raise ApiError(0, "NoAnswer", "the answer is lost")
        self.pass_time(self.random.uniform(0.0, 0.05))

    def _meanwhile(self) -> None:
        """Another process turns while a request of one is on its way; now and then the one that asks is paused."""
        if self.depth < 2 and self.random.random() < 0.2:
            ready = [p for p in self.live() if not p.turning and p.paused_until <= self.now]
            if ready:
                self.depth += 1
                self.random.choice(ready).turn()
                self.depth -= 1
        if self.faults and self.random.random() < 0.01:
            self.pass_time(self.random.uniform(5, 40))


def change(world: World) -> None:
    """Something happens to the processes."""
    what = world.random.randrange(5)
    live = world.live()
    if what == 0 or len(live) < 2:
        world.begin(world.random.choice((1, 2, 2, 3, 4, 4, 8)))
    elif what == 1:
        world.random.choice(live).end(orderly=world.random.random() < 0.5)
    elif what == 2 and world.faults:
        world.random.choice(live).paused_until = world.now + world.random.uniform(1, 60)
    elif what == 3:
        # A rolling update to another number of operators: a new one first, then an old one goes.
        world.begin(world.random.choice((1, 2, 4)))
        world.run(world.random.uniform(1, 20))
        world.random.choice(live).end(orderly=True)


def changed(world: World, *, times: int, seconds: float) -> World:
    """The world after so many changes, each followed by up to so many seconds. It checks each write as it is made."""
    for _ in range(times):
        change(world)
        world.run(world.random.uniform(0.5, seconds))
    return world


@fewer
@given(seed=st.integers(0, 2**32))
def test_no_part_ever_has_two_who_may_write_about_it(seed: int) -> None:
    """Processes of any number of operators come, go, are killed and paused; answers are late and lost."""
    changed(World(seed, faults=True), times=12, seconds=25)


@fewer
@given(seed=st.integers(0, 2**32))
def test_what_is_handed_over_is_not_written_about_any_more(seed: int) -> None:
    """Without pauses and lost answers, the last write of one who looked after a part ends before another one begins."""
    changed(World(seed, faults=False), times=10, seconds=15)


@fewer
@given(seed=st.integers(0, 2**32), operators=st.sampled_from((2, 3, 4, 8)), more=st.integers(0, 2))
def test_in_the_end_each_part_has_one_and_no_process_more_than_its_share(seed: int, operators: int, more: int) -> None:
    """However it began, once there are as many processes as there should be, or some more."""
    world = changed(World(seed, faults=True), times=5, seconds=15)
    world.faults = False
    for process in world.live():
        process.end(orderly=world.random.random() < 0.5)
    for _ in range(operators + more):
        world.begin(operators)
        world.run(world.random.uniform(0, 20))
    world.run(SETTLED_SECONDS)
    counts = sorted(len(p.leads()) for p in world.live())
    assert sum(counts) == PARTITIONS
    # What has no even share is somebody's too.
    assert counts[-1] <= share_of(operators) + PARTITIONS % operators


@fewer
@given(seed=st.integers(0, 2**32))
def test_one_that_is_lost_is_followed_within_20_seconds(seed: int) -> None:
    """Its lease runs out, is looked at every second, and is left to one that stands by for two."""
    world = World(seed, faults=False)
    for _ in range(4):
        world.begin(4)
    world.run(SETTLED_SECONDS)
    world.random.choice(world.live()).end(orderly=False)
    assert sum(len(p.leads()) for p in world.live()) == PARTITIONS * 3 // 4
    world.run(LEASE_SECONDS + LATE_SECONDS + 3 * LOOK_SECONDS)
    assert sum(len(p.leads()) for p in world.live()) == PARTITIONS
