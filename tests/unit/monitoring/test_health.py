"""Which loops are stuck."""

from __future__ import annotations

from controller.monitoring.health import Health


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_loop_is_stuck_when_it_has_not_turned_for_longer_than_its_limit() -> None:
    clock = Clock()
    health = Health(clock)
    loop = health.loop("watch", 60)
    loop.turn()
    clock.now += 60
    assert health.stuck() == []
    clock.now += 1
    assert health.stuck() == ["watch has not turned for 61 s, the limit is 60 s"]
    loop.turn()
    assert health.stuck() == []


def test_a_loop_that_waits_for_work_is_well_for_however_long() -> None:
    clock = Clock()
    health = Health(clock)
    loop = health.loop("worker", 60)
    clock.now += 1000
    assert health.stuck() == []
    loop.turn()
    loop.rest()
    clock.now += 1000
    assert health.stuck() == []
    assert health.ages() == {"worker": 0.0}


def test_a_loop_whose_work_is_late_is_stuck_too() -> None:
    late = [5.0]
    health = Health()
    health.watch("heads", 60, lambda: late[0])
    assert (health.stuck(), health.ages()) == ([], {"heads": 5.0})
    late[0] = 61
    assert health.stuck() == ["heads has not turned for 61 s, the limit is 60 s"]
