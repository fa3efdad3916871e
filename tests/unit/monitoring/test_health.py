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


def test_loops_may_begin_while_health_is_asked_for() -> None:
    """Watches begin whenever parts are gained, and probes and scrapes come at any time."""
    begun = iter(range(100))

    def clock() -> float:
        health.loop(f"late-{next(begun)}", 1.0).rest()
        return 0.0

    health = Health(clock)
    health.watch("heads", 1.0, clock)
    for number in range(3):
        health.loop(f"early-{number}", 1.0).turn()
    assert not health.stuck()
    assert set(health.ages()) >= {"heads", "early-0", "early-1", "early-2"}
