"""A suspended cluster: its workers finish, then its head goes, and nothing is left to do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from autoscaler.model import NodeStatus, RayState
from controller.objects.views import PodView
from controller.planning.actions import CreatePod, CreateService, DeletePod, DrainPod, RetirePod
from controller.planning.observed import RayView
from controller.planning.plan import Plan, make_plan
from controller.planning.reasons import Label
from tests.fakes.heads import node
from tests.support.builders import NOW, failed, raw_spec, seen
from tests.support.plans import HEAD, W0, W1, WELL, changed_pod, created, deleted, with_spec

ASLEEP = with_spec(suspend=True)
IDLE, BUSY = node(1, W0.name, W0.node_type, idle=1.0), node(2, W1.name, W1.node_type)


def answer(*nodes: Any, age: float = 0.0) -> RayView:
    return RayView(RayState("s", 0.0, tuple(nodes)), HEAD.uid, age)


def plan(*pods: PodView, **fields: Any) -> Plan:
    return make_plan(seen(pods, ASLEEP, **fields))


def test_idle_workers_are_retired_and_busy_ones_drained_while_the_head_stays() -> None:
    made = plan(*WELL, ray=answer(IDLE, BUSY))
    assert [type(a) for a in made.actions] == [RetirePod, DrainPod]
    drain = made.actions[1]
    assert isinstance(drain, DrainPod)
    assert (drain.deadline, drain.reason.label) == (NOW + 600, Label.SUSPENDED)
    assert made.head == HEAD


def test_the_head_waits_for_the_last_worker_and_no_longer() -> None:
    """A worker that is terminating has its grace period; the head goes once that is over, whatever the kubelet says."""
    ending = replace(W0, deleting=True, delete_by=NOW + 30)
    made = plan(HEAD, ending, ray=answer())
    assert (made.actions, made.look_again_at, made.head) == ((), NOW + 30, HEAD)
    over = plan(HEAD, replace(ending, delete_by=NOW), ray=answer())
    assert deleted(over) == {HEAD.name: Label.SUSPENDED}
    assert over.head is None


def test_nothing_is_left_to_do_without_pods() -> None:
    made = plan()
    assert (made.actions, made.look_again_at, made.announcements) == ((), None, ())


def test_the_service_is_kept_and_made() -> None:
    assert plan(without_service=True).actions == (CreateService(),)


@pytest.mark.parametrize("drain_by", [0.0, NOW + 100])
def test_a_worker_that_ray_has_not_heard_of_is_not_waited_for(drain_by: float) -> None:
    made = plan(HEAD, replace(W0, drain_by=drain_by, drain_label="suspended"), ray=answer())
    assert deleted(made) == {W0.name: Label.SUSPENDED}


def test_a_worker_that_has_just_become_ready_may_be_at_work_already() -> None:
    made = plan(HEAD, replace(W0, running_since=NOW - 2), ray=answer(age=1.0))
    assert (made.actions, made.look_again_at) == ((), NOW + 1)


def test_time_to_finish_has_an_end() -> None:
    draining = replace(BUSY, status=NodeStatus.DRAINING)
    leaving = replace(W1, drain_by=NOW + 10, drain_label="suspended", drain_reason="the cluster is suspended")
    waiting = plan(HEAD, leaving, ray=answer(draining))
    assert (waiting.actions, waiting.look_again_at) == ((), NOW + 10)
    over = plan(HEAD, replace(leaving, drain_by=NOW), ray=answer(draining))
    assert deleted(over) == {W1.name: Label.SUSPENDED}


def test_a_drain_that_ray_has_not_heard_of_is_repeated_with_its_deadline() -> None:
    leaving = replace(W1, drain_by=NOW + 10, drain_label="suspended")
    (again,) = plan(HEAD, leaving, ray=answer(BUSY)).actions
    assert isinstance(again, DrainPod) and again.deadline == NOW + 10


@pytest.mark.parametrize(
    ("head", "fields", "why"),
    [
        (None, {}, "no head"),
        (replace(HEAD, ip="", ready=False, phase="Pending"), {}, "a head without an address"),
        (replace(HEAD, ready=False), {"silence": 1.0}, "a head that starts"),
        (HEAD, {"silence": 31.0}, "a head that answers no more"),
        (replace(HEAD, uid="another"), {}, "a head that the workers do not belong to"),
    ],
)
def test_workers_that_nobody_can_be_asked_about_go_at_once(
    head: PodView | None, fields: dict[str, Any], why: str
) -> None:
    made = plan(*([head] if head else []), W0, W1, **fields)
    assert {*deleted(made)} - {HEAD.name} == {W0.name, W1.name}, why
    assert not any(isinstance(a, DrainPod | RetirePod) for a in made.actions)


def test_a_head_that_has_not_been_asked_yet_is_waited_for() -> None:
    made = plan(*WELL)
    assert (made.actions, made.look_again_at) == ((), NOW + 1)
    old = plan(*WELL, ray=answer(IDLE, BUSY, age=6.0))
    assert (old.actions, old.look_again_at) == ((), NOW + 1)


def test_what_has_ended_or_is_lost_goes_as_well() -> None:
    made = plan(HEAD, failed(W0), replace(W1, phase="Unknown"), ray=answer())
    assert deleted(made) == {W0.name: Label.ENDED, W1.name: Label.NODE_LOST}
    assert deleted(plan(failed(HEAD))) == {HEAD.name: Label.ENDED}


def test_a_change_of_the_spec_at_the_same_time_replaces_nothing() -> None:
    """The head of the old spec stays until its workers have finished, and is not replaced by one of the new."""
    changed = with_spec(**{**changed_pod(0), "suspend": True})
    made = make_plan(seen(WELL, changed, ray=answer(IDLE, BUSY)))
    assert [type(a) for a in made.actions] == [RetirePod, DrainPod]
    assert made.head_change is None


def test_a_second_head_goes_first() -> None:
    second = replace(HEAD, key=HEAD.key._replace(name="second"), uid="second", started_at=NOW)
    assert deleted(plan(*WELL, second, ray=answer(IDLE, BUSY))) == {"second": Label.SUSPENDED}


def test_false_brings_everything_back() -> None:
    back = make_plan(seen((), with_spec(suspend=False)))
    assert [name for name, _, _ in created(back)] == ["head-node", "worker-node", "worker-node"]
    assert back.suspension is None
    assert all(isinstance(a, CreatePod) for a in back.actions)


def test_a_worker_that_was_leaving_when_the_cluster_came_back_is_replaced_beside_it() -> None:
    leaving = replace(W1, drain_by=NOW + 300, drain_label="suspended")
    made = make_plan(seen([HEAD, W0, leaving], ray=answer(IDLE, replace(BUSY, status=NodeStatus.DRAINING))))
    assert [name for name, _, _ in created(made)] == ["worker-node"]
    assert not any(isinstance(a, DeletePod) for a in made.actions)


def test_no_more_pods_go_in_one_pass_than_in_any_other() -> None:
    spec = with_spec(**raw_spec(workers=0, suspend=True, maxWorkers=500))
    pods = [replace(W0, key=W0.key._replace(name=f"w{n}"), uid=f"w{n}") for n in range(250)]
    made = make_plan(seen(pods, spec))
    assert (len(made.actions), made.put_off) == (100, 150)
