"""Ages by this process's own clock, whatever the clocks of kubelets, the scheduler and the API server say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from controller.objects.pod_status import SCHEDULING_GATED, UNSCHEDULABLE
from controller.objects.views import PodView
from controller.planning.own_times import OwnTimes
from controller.raycluster.model import parse_spec, timestamp
from tests.support.builders import NOW, failed, raw_spec, worker_pod
from tests.support.world import World

POD = worker_pod(parse_spec(raw_spec()), running_since=NOW - 3000)
SKEWS = [-900.0, -60.0, 0.0, 60.0, 900.0]

CHANGES: dict[str, Callable[[float], PodView]] = {
    "ended_at": lambda skew: replace(failed(POD), ended_at=NOW + skew),
    "running_since": lambda skew: replace(POD, running_since=NOW + skew),
    "stuck_since": lambda skew: replace(POD, stuck=UNSCHEDULABLE, stuck_since=NOW + skew),
    "unready_since": lambda skew: replace(POD, node_lost=True, unready_since=NOW + skew),
    "started_at": lambda skew: replace(POD, uid="new", started_at=NOW + skew),
}


@pytest.mark.parametrize("skew", SKEWS)
@pytest.mark.parametrize("field", CHANGES)
def test_what_is_seen_to_happen_is_as_old_as_that(field: str, skew: float) -> None:
    changed = CHANGES[field](skew)
    times = OwnTimes().seen([POD], NOW - 10).seen([changed], NOW)
    for later in (NOW, NOW + 100):
        (shown,) = times.seen([changed], later).shown([changed])
        assert getattr(shown, field) == NOW


@pytest.mark.parametrize("skew", SKEWS)
@pytest.mark.parametrize("field", CHANGES)
def test_what_happened_before_this_process_is_as_old_as_others_say_and_not_of_the_future(
    field: str, skew: float
) -> None:
    changed = CHANGES[field](skew)
    (shown,) = OwnTimes().seen([changed], NOW).shown([changed])
    assert getattr(shown, field) == min(NOW + skew, NOW)


def test_what_changes_otherwise_keeps_its_times_and_what_happens_again_gets_a_new_one() -> None:
    times = OwnTimes().seen([], NOW).seen([POD], NOW + 1)
    restarted = replace(POD, running_since=NOW - 2000, resource_version=21)
    for pod, since in ((replace(POD, resource_version=21, ready=False), NOW + 1), (restarted, NOW + 9)):
        (shown,) = times.seen([pod], NOW + 9).shown([pod])
        assert (shown.running_since, shown.started_at) == (since, NOW + 1)
        assert shown.ready is pod.ready


def test_a_pod_that_is_let_through_its_gates_has_its_whole_time_to_find_room() -> None:
    """The scheduler leaves the time of the condition as it is, as long as the pod has no node."""
    gated = replace(POD, stuck=SCHEDULING_GATED, stuck_since=NOW - 100)
    for since in (NOW - 100, 0.0):
        late = replace(POD, stuck=UNSCHEDULABLE, stuck_since=since, resource_version=21)
        times = OwnTimes().seen([], NOW - 100).seen([gated], NOW - 99).seen([late], NOW)
        assert times.seen([late], NOW + 9).shown([late])[0].stuck_since == NOW
    (shown,) = OwnTimes().seen([late], NOW).shown([late])
    assert shown.stuck_since == NOW


def test_of_pods_that_are_gone_nothing_is_kept() -> None:
    assert OwnTimes().seen([POD], NOW).seen([], NOW + 1) == OwnTimes({})


def crash(world: World, skew: float) -> None:
    """The head's container ends after three seconds, by a kubelet whose clock is off."""
    pod = world.pod("head")
    stamps = {"startedAt": timestamp(world.now + skew - 3), "finishedAt": timestamp(world.now + skew)}
    state = {"terminated": {"exitCode": 1, **stamps}}
    name = pod["spec"]["containers"][0]["name"]
    status: dict[str, Any] = {"phase": "Failed", "containerStatuses": [{"name": name, "state": state}]}
    world.api.put("pods", {**pod, "status": status})


def turn(world: World) -> None:
    world.tell()
    world.step()
    world.kubelet()


def restarts(skew: float, crashes: int) -> list[float]:
    """A head that crashes again and again: for how many seconds there is no head each time."""
    world, gaps = World(raw_spec(0)), []
    for _ in range(5):
        turn(world)
        world.now += 1
    for _ in range(crashes):
        uid = world.pod("head")["metadata"]["uid"]
        crash(world, skew)
        began = world.now
        while world.pod("head")["metadata"]["uid"] == uid or "status" not in world.pod("head"):
            turn(world)
            world.now += 1
        gaps.append(world.now - began)
    return gaps


@pytest.mark.parametrize("skew", [-900.0, 900.0])
def test_a_head_that_crashes_comes_back_as_fast_and_as_slowly_whatever_its_kubelets_clock(skew: float) -> None:
    usual = restarts(0.0, 6)
    assert usual[0] < 5
    assert usual[-1] > 60
    assert restarts(skew, 6) == usual
