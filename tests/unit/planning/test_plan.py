"""What the operator does about one situation, as tables: the situation, and the pods made and deleted."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from autoscaler.model import Demand, RayState, Shape
from controller.objects.views import PodView
from controller.planning.actions import (
    MAX_PER_KIND,
    CreatePod,
    CreateService,
    DeletePod,
    PatchService,
    TellHead,
    summarize,
)
from controller.planning.blocked_types import Pause
from controller.planning.observed import RayView
from controller.planning.plan import Plan, make_plan
from controller.planning.slots import backoff_seconds
from controller.raycluster.model import RayCluster, parse_spec
from tests.support.builders import NOW, cluster, failed, head_pod, raw_spec, raw_type, seen, service, worker_pod
from tests.support.plans import HEAD, SPEC, W0, W1, WELL, changed_pod, created, deleted, slot, with_spec


def test_a_healthy_cluster_is_left_alone() -> None:
    plan = make_plan(seen(WELL))
    assert plan == Plan(head=HEAD, actions=(), workers=(W0, W1), targets={"worker-node": 2}, decision=plan.decision)


def test_a_new_cluster_gets_service_head_and_workers_in_one_pass() -> None:
    plan = make_plan(seen(without_service=True))
    assert plan.actions[0] == CreateService()
    assert created(plan) == [
        ("head-node", slot("head-node", 0), 0),
        ("worker-node", slot("worker-node", 0), 0),
        ("worker-node", slot("worker-node", 1), 0),
    ]
    assert all(a.head is None for a in plan.actions if isinstance(a, CreatePod))


def test_raising_min_workers_adds_just_the_missing_ones_and_tells_them_the_head() -> None:
    plan = make_plan(seen(WELL, with_spec(workers=4)))
    assert [(a.name, a.head) for a in plan.actions if isinstance(a, CreatePod)] == [
        (slot("worker-node", 2), HEAD),
        (slot("worker-node", 3), HEAD),
    ]
    assert not deleted(plan)


def test_lowering_min_workers_deletes_nobody() -> None:
    assert make_plan(seen(WELL, with_spec(workers=0))).actions == ()


def test_a_deleted_worker_is_replaced_in_its_slot() -> None:
    assert created(make_plan(seen([HEAD, W1]))) == [("worker-node", W0.name, 0)]


def test_a_worker_on_its_way_out_is_replaced_under_another_name() -> None:
    plan = make_plan(seen([HEAD, replace(W0, deleting=True), W1]))
    assert created(plan) == [("worker-node", slot("worker-node", 2), 0)]
    assert not deleted(plan)


@pytest.mark.parametrize("phase", ["Failed", "Succeeded"])
def test_a_worker_that_ended_is_deleted_and_replaced_at_once_the_first_time(phase: str) -> None:
    plan = make_plan(seen([HEAD, failed(W0, seconds_ago=1, attempt=0) if phase == "Failed" else over(W0), W1]))
    assert list(deleted(plan)) == [W0.name]
    assert [(kind, attempt) for kind, _, attempt in created(plan)] == [("worker-node", 1)]


def over(pod: PodView) -> PodView:
    return replace(pod, phase="Succeeded", started_at=NOW - 9, ended_at=NOW - 1)


def test_a_crash_looping_worker_is_held_back_until_its_time() -> None:
    plan = make_plan(seen([HEAD, failed(W0, seconds_ago=1, attempt=3), W1]))
    assert plan.actions == ()
    assert plan.look_again_at == NOW - 1 + 20


def test_a_held_back_worker_is_replaced_once_it_is_due_and_its_attempts_are_counted_on() -> None:
    plan = make_plan(seen([HEAD, failed(W0, seconds_ago=20, attempt=3), W1]))
    assert list(deleted(plan)) == [W0.name]
    assert [attempt for *_, attempt in created(plan)] == [4]


def test_a_quiet_life_forgives_earlier_crashes() -> None:
    plan = make_plan(seen([HEAD, failed(W0, lived=600, attempt=9), W1]))
    assert [attempt for *_, attempt in created(plan)] == [1]


def test_a_crash_just_before_the_end_of_the_quiet_time_still_counts() -> None:
    assert make_plan(seen([HEAD, failed(W0, lived=599, attempt=9), W1])).actions == ()


def test_held_back_workers_take_up_slots_so_that_crashes_never_multiply_pods() -> None:
    crashed = [failed(worker_pod(SPEC, n), attempt=5) for n in range(2)]
    plan = make_plan(seen([HEAD, *crashed]))
    assert plan.actions == ()


def test_the_next_look_is_at_the_earliest_of_the_held_back() -> None:
    pods = [HEAD, failed(W0, seconds_ago=3, attempt=2), failed(W1, seconds_ago=0, attempt=2)]
    assert make_plan(seen(pods)).look_again_at == NOW + 7


def test_a_surplus_crashed_worker_is_deleted_when_due_and_not_replaced() -> None:
    plan = make_plan(seen([HEAD, W0, W1, failed(worker_pod(SPEC, 2), seconds_ago=99)]))
    assert list(deleted(plan)) == [worker_pod(SPEC, 2).name]
    assert not created(plan)


@pytest.mark.parametrize(
    ("attempt", "seconds"), [(0, 0), (1, 0), (2, 5), (3, 10), (7, 160), (8, 300), (9, 300), (10**9, 300)]
)
def test_backoff_starts_at_once_and_doubles_to_five_minutes(attempt: int, seconds: float) -> None:
    assert backoff_seconds(attempt) == seconds


def test_a_crashed_worker_of_an_old_config_does_not_hold_back_the_new() -> None:
    plan = make_plan(seen([HEAD, failed(W0, attempt=9)], cluster(changed_pod(1))))
    assert [attempt for *_, attempt in created(plan)] == [0, 0]


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param(raw_spec(maxWorkers=9, idleTimeoutMinutes=1, upscalingSpeed=3.0), id="bounds"),
        pytest.param(
            raw_spec(
                podTypes=[
                    raw_type("head-node", "ray-head-", rayResources={"CPU": 0}),
                    raw_type("worker-node", minWorkers=2, rayResources={"CPU": 9}),
                ]
            ),
            id="rayResources",
        ),
    ],
)
def test_bounds_and_ray_resources_restart_nothing(spec: dict[str, Any]) -> None:
    assert make_plan(seen(WELL, cluster(spec))).actions == ()


def test_a_worker_made_before_the_head_had_an_address_gets_it_once() -> None:
    untold = worker_pod(SPEC, 0, head_ip="", head_uid="")
    assert make_plan(seen([HEAD, untold, W1])).actions == (TellHead(untold, HEAD),)


def test_no_worker_gets_a_head_without_an_address() -> None:
    untold = [worker_pod(SPEC, n, head_ip="", head_uid="") for n in range(2)]
    assert make_plan(seen([replace(HEAD, ip=""), *untold])).actions == ()


def test_a_missing_service_is_made() -> None:
    assert make_plan(seen(WELL, without_service=True)).actions == (CreateService(),)


@pytest.mark.parametrize("edit", [{"ports": ()}, {"selector": (("app", "mine"),)}])
def test_an_edited_service_is_put_right(edit: dict[str, Any]) -> None:
    edited = service(**edit)
    assert make_plan(seen(WELL, head_service=edited)).actions == (PatchService(edited),)


@pytest.mark.parametrize("leaving", [False, True])
def test_a_foreign_service_is_not_touched_and_the_refused_creation_will_say_so(leaving: bool) -> None:
    foreign = service(owner_uid="other", deleting=leaving)
    assert make_plan(seen(WELL, head_service=foreign)).actions == (CreateService(),)


def test_a_service_on_its_way_out_is_waited_for() -> None:
    leaving = service(deleting=True, ports=())
    assert make_plan(seen(WELL, head_service=leaving)).actions == ()


def test_pods_of_another_kind_are_not_touched() -> None:
    assert make_plan(seen([*WELL, replace(W0, kind="unmanaged", uid="x", key=W0.key._replace(name="x"))])).actions == ()


def test_a_taken_name_is_passed_over() -> None:
    plan = make_plan(seen([HEAD], with_spec(workers=1), taken={slot("worker-node", 0)}))
    assert created(plan) == [("worker-node", slot("worker-node", 1), 0)]


def test_colliding_slot_names_are_each_used_once(monkeypatch: pytest.MonkeyPatch) -> None:
    colliding = lambda cluster, pod_type, ordinal: f"slot-{ordinal // 3}"  # noqa: E731
    monkeypatch.setattr("controller.planning.slots.slot_name", colliding)
    assert [name for _, name, _ in created(make_plan(seen()))] == ["slot-0", "slot-1", "slot-2"]


def test_planning_is_deterministic() -> None:
    assert make_plan(seen()) == make_plan(seen())


def test_actions_are_reported_once_per_kind_with_numbers() -> None:
    plan = make_plan(seen([W0, W1], with_spec(workers=3)))
    assert summarize(plan.actions) == [
        ("DeletedPods", "deleted 2 pods of type worker-node: its head is gone"),
        ("CreatedPods", "created 4 pods: 1 head-node, 3 worker-node for minWorkers"),
    ]


def big(workers: int, **fields: Any) -> RayCluster:
    """A cluster whose minimum is so many workers."""
    types = [raw_type("head-node", "ray-head-"), raw_type("worker-node", minWorkers=workers)]
    return cluster(raw_spec(maxWorkers=workers, podTypes=types, **fields))


def test_a_plan_lists_what_a_pass_can_do_and_counts_the_rest() -> None:
    """Its cost depends on what a pass can do, not on a number in the spec."""
    plan = make_plan(seen([HEAD], big(1_000_000_000)))
    assert (len(plan.actions), plan.put_off) == (MAX_PER_KIND, 1_000_000_000 - MAX_PER_KIND)
    assert plan.targets == {"worker-node": 1_000_000_000}


def test_deletes_are_bounded_per_pass_and_the_rest_is_counted() -> None:
    """The head was replaced, and so is every worker of the old one; creates have a bound of their own."""
    of = big(300)
    workers = [worker_pod(SPEC, n) for n in range(300)]
    plan = make_plan(seen([replace(HEAD, uid="new-head"), *workers], of))
    assert Counter(type(a) for a in plan.actions) == {DeletePod: MAX_PER_KIND, CreatePod: MAX_PER_KIND}
    assert plan.put_off == 400


@pytest.mark.parametrize(("pods", "most"), [(1, 100), (1600, 100), (1616, 101), (4000, 250)])
def test_a_pass_does_more_for_a_large_cluster(pods: int, most: int) -> None:
    """Each looks at all pods: of passes of one size, a cluster of n pods would need so many that it costs n squared."""
    plan = make_plan(seen([HEAD, *(worker_pod(SPEC, n) for n in range(pods - 1))], big(100_000)))
    assert Counter(type(a) for a in plan.actions) == {CreatePod: most}
    assert plan.put_off == 100_000 - (pods - 1) - most


def test_workers_get_their_head_in_portions() -> None:
    of = big(300)
    spec = parse_spec(of.spec)
    workers = [worker_pod(spec, n, head_ip="", head_uid="") for n in range(300)]
    plan = make_plan(seen([head_pod(spec), *workers], of))
    assert Counter(type(a) for a in plan.actions) == {TellHead: MAX_PER_KIND}
    assert plan.put_off == 200


def test_the_room_of_a_minimum_that_takes_several_passes_is_given_to_no_other_type() -> None:
    types = [raw_type("head-node", "ray-head-"), raw_type("worker-node", minWorkers=400), raw_type("other")]
    waiting = RayView(RayState("s", 0.0, (), (Demand(Shape.of({"CPU": 1}), 1000),)), HEAD.uid, 1.0)
    plan = make_plan(seen([HEAD], cluster(raw_spec(maxWorkers=400, podTypes=types)), ray=waiting))
    assert plan.decision and plan.decision.launches == {"worker-node": MAX_PER_KIND}
    assert plan.put_off == 300


def test_a_minimum_of_a_type_that_is_set_aside_brings_no_further_pass() -> None:
    block = Pause("QuotaExceeded", "exceeded quota", NOW, until=NOW + 30)
    plan = make_plan(seen([HEAD], big(1000), blocks={"worker-node": block}))
    assert (plan.actions, plan.put_off) == ((), 0)
