"""The clock that ages are taken from goes on at its pace, whatever happens to the wall clock."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from controller.clock import SlewedClock
from controller.kube.client import ApiError
from tests.support.builders import NOW, raw_spec
from tests.support.world import World


@dataclass
class Machine:
    """A wall clock that is set, and one that is not. Both may stand still between two looks."""

    wall: float = NOW
    steady: float = 5.0

    def passes(self, seconds: float) -> None:
        self.wall += seconds
        self.steady += seconds

    def clock(self) -> SlewedClock:
        return SlewedClock(lambda: self.wall, lambda: self.steady)


@pytest.mark.parametrize("jump", [-3600.0, -1.0, 0.0, 1.0, 3600.0, 1e9])
def test_a_minute_is_a_minute_to_a_tenth_and_time_never_goes_back(jump: float) -> None:
    machine = Machine()
    clock = machine.clock()
    machine.wall += jump
    before = first = clock()
    for _ in range(60):
        machine.passes(1)
        now = clock()
        assert now > before
        before = now
    assert before - first == pytest.approx(60, abs=6)


@pytest.mark.parametrize("jump", [-60.0, 60.0])
def test_it_has_caught_up_with_the_wall_clock_after_ten_times_as_long(jump: float) -> None:
    machine = Machine()
    clock = machine.clock()
    machine.wall += jump
    machine.passes(10 * 60 - 10)
    assert abs(clock() - machine.wall) == pytest.approx(1)
    machine.passes(20)
    assert clock() == machine.wall


def test_time_that_passes_while_nobody_looks_counts() -> None:
    machine = Machine()
    clock = machine.clock()
    machine.passes(3600)
    assert clock() == NOW + 3600


def no_quota(method: str, resource: str, name: str) -> ApiError | None:
    refused = (method, resource) == ("POST", "pods") and "worker" in name
    return ApiError(403, "Forbidden", f'pods "{name}" is forbidden: exceeded quota: small') if refused else None


def test_a_quota_that_is_raised_is_used_within_a_minute_though_the_wall_clock_is_set_back_an_hour() -> None:
    """What is refused is set aside until a time: by the wall clock, that time would be an hour away."""
    world, machine = World(raw_spec(1)), Machine()
    clock = machine.clock()

    def second() -> None:
        world.turn()
        machine.passes(1)
        world.now = clock()

    world.api.refuse = no_quota
    for _ in range(6):
        second()
    assert not [name for name in world.api.names("pods") if "worker" in name]
    world.api.refuse = lambda *_: None
    machine.wall -= 3600
    for _ in range(60):
        second()
    assert [name for name in world.api.names("pods") if "worker" in name]
