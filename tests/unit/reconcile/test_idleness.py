"""Whole passes over a cluster that nothing uses: what becomes of it, what users see of that, and what it costs."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest

from controller.kube.client import ApiError
from controller.objects.labels import HEAD
from controller.raycluster.idle_termination import DELETE, RESUMED_ANNOTATION, SUSPEND
from controller.reconcile.reconciler import DONE
from tests.support.builders import NAME, NAMESPACE, raw_spec
from tests.support.world import World

MINUTE = 60.0


def spec(action: str = SUSPEND, **fields: Any) -> dict[str, Any]:
    return raw_spec(idleTermination={"minutes": 2, "action": action}, **fields)


def pass_once(world: World, end: float = math.inf) -> None:
    """The operator makes each pass when it wants to, or when a head has answered; else there is one now and then."""
    asked = world.heads.asked
    due = world.turn().look_again_in
    wait = 0.1 if world.heads.asked > asked else 15.0 if due is None else max(due, 0.1)
    world.now = min(end, world.now + wait)


def pass_minutes(world: World, minutes: float) -> None:
    """As long as the cluster is there."""
    end = world.now + minutes * MINUTE
    while world.now < end and world.api.names("rayclusters"):
        pass_once(world, end)


def events(world: World, reason: str) -> int:
    """How often an Event of this reason was made."""
    return sum(event.get("reason") == reason for event in world.api.events)


def running(action: str = SUSPEND) -> World:
    """A cluster that has been up for a minute, its counters at zero."""
    world = World(spec(action))
    pass_minutes(world, 1)
    assert world.status["phase"] == "Running"
    world.api.writes.clear()
    world.api.events.clear()
    return world


def idle(world: World) -> dict[str, Any]:
    found: dict[str, Any] = world.status["idle"]
    return found


def asleep() -> World:
    world = running()
    pass_minutes(world, 2)
    assert world.status["phase"] == "Suspended"
    return world


def annotate(world: World, value: str) -> None:
    """kubectl annotate, or ray-operator resume."""
    old = copy.deepcopy(world.api.objects["rayclusters", NAMESPACE, NAME])
    old["metadata"]["annotations"] = {RESUMED_ANNOTATION: value}
    world.api.put("rayclusters", old)


def test_a_cluster_that_nothing_uses_is_suspended_and_says_when_why_and_how_it_comes_back() -> None:
    world = running()
    assert (idle(world)["state"], idle(world)["since"]) == ("Idle", "2023-11-14T22:13:22Z")
    assert idle(world)["message"].endswith("it is suspended at 2023-11-14T22:15:22Z")
    pass_minutes(world, 0.9)
    assert (world.status["phase"], len(world.api.names("pods"))) == ("Running", 3)
    pass_minutes(world, 1)
    assert (world.status["phase"], world.api.names("pods")) == ("Suspended", [])
    assert world.api.names("services") == [f"{NAME}-ray-head"]
    told = world.condition("Suspended")
    assert (told["status"], told["reason"], told["message"]) == ("True", "Idle", idle(world)["message"])
    assert told["message"] == (
        "nothing used the cluster from 2023-11-14T22:13:22Z on, for 2 minutes (spec.idleTermination): suspended at "
        "2023-11-14T22:15:22Z; ray-operator resume example, or any change of the spec, brings it back"
    )
    assert [events(world, reason) for reason in ("IdleTermination", "Suspending", "Suspended")] == [1, 1, 1]
    assert world.api.objects["rayclusters", NAMESPACE, NAME]["spec"] == spec()


def test_one_that_is_to_be_deleted_is_gone_with_an_event_that_stays() -> None:
    world = running(DELETE)
    pass_minutes(world, 0.9)
    assert world.api.names("rayclusters") == [NAME]
    pass_minutes(world, 1)
    assert not [*world.api.of("rayclusters"), *world.api.of("pods"), *world.api.of("services")]
    (event,) = (e for e in world.api.events if e.get("reason") == "IdleTermination")
    assert "deleted at 2023-11-14T22:15:22Z" in event["message"]
    world.tell()
    assert world.step() == DONE


@pytest.mark.parametrize("action", [SUSPEND, DELETE])
def test_use_of_any_kind_keeps_it(action: str) -> None:
    world = running(action)
    world.heads.user = "the driver of job 01000000 is connected"
    pass_minutes(world, 9)
    assert (world.status["phase"], idle(world)["state"]) == ("Running", "InUse")
    assert idle(world)["message"] == "the driver of job 01000000 is connected"
    assert "since" not in idle(world)
    world.heads.user = ""
    pass_minutes(world, 1.9)
    assert (world.status["phase"], idle(world)["state"]) == ("Running", "Idle")
    # One that came and went between two questions.
    world.heads.last_end = int(world.now)
    pass_minutes(world, 1.9)
    assert (world.status["phase"], idle(world)["state"]) == ("Running", "Idle")


@pytest.mark.parametrize("action", [SUSPEND, DELETE])
def test_a_head_that_cannot_be_asked_decides_nothing(action: str) -> None:
    world = running(action)
    world.heads.user = None
    world.heads.state, world.joins, world.heads.silent_for = None, False, 31.0
    pass_minutes(world, 9)
    assert len(world.api.names("pods")) == 3
    assert (idle(world)["state"], idle(world)["message"]) == (
        "Unknown",
        "not known, so that nothing is done: the head does not answer",
    )


def test_the_minutes_go_on_when_the_operator_restarts() -> None:
    world = running()
    pass_minutes(world, 0.8)
    world.boot()
    pass_minutes(world, 0.1)
    assert world.status["phase"] == "Running"
    pass_minutes(world, 1)
    assert world.status["phase"] == "Suspended"


def test_a_suspended_one_costs_nothing_and_stays_so_over_restarts() -> None:
    world = asleep()
    requests: list[object] = []
    world.api.refuse = lambda *request: requests.append(request)
    for _ in range(2):
        world.tell()
        asked = world.heads.asked
        assert world.step() == DONE
        assert (requests, world.heads.head, world.heads.asked) == ([], None, asked)
        world.boot()


def test_resume_and_any_change_of_the_spec_bring_it_back_for_as_many_minutes() -> None:
    world = asleep()
    for number in range(2):
        if number:
            world.user(spec(maxWorkers=11))
        else:
            annotate(world, "2023-11-14T23:00:00Z")
        world.api.events.clear()
        pass_minutes(world, 1.9)
        assert (world.status["phase"], len(world.api.names("pods"))) == ("Running", 3)
        assert world.condition("Suspended")["reason"] == "Resumed"
        assert world.status["autoscalerRetries"] == 0
        pass_minutes(world, 0.3)
        assert world.status["phase"] == "Suspended"
        # It is said again: it happened again.
        assert (events(world, "IdleTermination"), events(world, "Suspending")) == (1, 1)


def test_without_the_field_it_comes_back_for_good() -> None:
    world = asleep()
    world.user(raw_spec())
    pass_minutes(world, 9)
    assert (world.status["phase"], "idle" in world.status) == ("Running", False)


def decide(world: World) -> None:
    """The decision is in the status, nothing has been done about it, and the head has not been heard once more."""
    while world.status.get("idle", {}).get("state") != "Decided":
        pass_once(world)
    world.heads.answer = None
    assert len(world.api.names("pods")) == 3


@pytest.mark.parametrize("action", [SUSPEND, DELETE])
def test_somebody_who_comes_at_the_last_moment_keeps_it(action: str) -> None:
    world = running(action)
    decide(world)
    world.heads.user = "the driver of job 01000000 is connected"
    pass_minutes(world, 1)
    assert (world.status["phase"], len(world.api.names("pods")), idle(world)["state"]) == ("Running", 3, "InUse")
    assert events(world, "IdleTerminationWithdrawn") == 1


@pytest.mark.parametrize("action", [SUSPEND, DELETE])
def test_a_process_that_was_away_for_hours_does_not_act_on_what_it_decided(action: str) -> None:
    world = running(action)
    decide(world)
    world.now += 7200
    world.heads.user = "the driver of job 01000000 is connected"
    world.boot()
    pass_minutes(world, 2)
    assert (world.status["phase"], len(world.api.names("pods"))) == ("Running", 3)


def test_an_edit_that_the_operator_has_not_seen_prevents_the_deletion() -> None:
    world = running(DELETE)
    decide(world)
    world.tell()
    world.user(spec(DELETE, maxWorkers=11))
    world.now += 1
    for _ in range(3):
        world.ray()
        world.step()
    assert world.api.names("rayclusters") == [NAME]
    pass_minutes(world, 1)
    assert (world.status["phase"], idle(world)["state"]) == ("Running", "Idle")


def test_an_operator_that_may_not_delete_says_so_and_goes_on() -> None:
    world = running(DELETE)
    world.api.refuse = lambda method, resource, name: (
        ApiError(403, "Forbidden", 'cannot delete resource "rayclusters"')
        if (method, resource) == ("DELETE", "rayclusters")
        else None
    )
    pass_minutes(world, 2)
    ready = world.condition("Ready")
    assert (ready["reason"], 'cannot delete resource "rayclusters"' in ready["message"]) == ("Refused", True)
    assert (len(world.api.names("pods")), idle(world)["state"]) == (3, "Decided")
    world.api.refuse = lambda *_: None
    pass_minutes(world, 1)
    assert world.api.names("rayclusters") == []


def test_a_head_that_fails_on_the_way_is_no_loss() -> None:
    world = running()
    decide(world)
    world.fail(HEAD)
    pass_minutes(world, 1)
    assert (world.status["phase"], world.status["autoscalerRetries"]) == ("Suspended", 0)


@pytest.mark.parametrize("action", [SUSPEND, DELETE])
def test_dying_after_any_write_changes_nothing_of_it(action: str) -> None:
    """The process is killed after each write in turn, from the start to the end."""

    def play(dies_after: int | None) -> World:
        world = running(action)
        world.api.dies_after = dies_after
        pass_minutes(world, 2)
        return world

    expected = play(None)
    for number in range(1, len(expected.api.writes) + 1):
        world = play(number)
        assert world.deaths == 1
        assert world.api.names("pods") == []
        assert world.api.names("rayclusters") == expected.api.names("rayclusters")
        assert world.api.writes.count(("POST", "pods")) == 0
        assert events(world, "IdleTermination") >= 1
        if action == SUSPEND:
            assert world.status["phase"] == "Suspended"


def test_idle_minutes_cost_a_question_each_half_a_minute_and_no_write() -> None:
    world = World(raw_spec(idleTermination={"minutes": 30}))
    pass_minutes(world, 1)
    world.api.writes.clear()
    world.heads.asked = 0
    pass_minutes(world, 5)
    assert (world.api.writes, world.heads.asked) == ([], 10)
