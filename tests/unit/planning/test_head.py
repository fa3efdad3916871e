"""What the operator does about heads: lost, failed, changed, or one too many."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from controller.planning.actions import CreatePod
from controller.planning.plan import make_plan
from controller.planning.reasons import Label
from tests.support.builders import NOW, cluster, failed, head_pod, raw_spec, seen, worker_pod
from tests.support.plans import HEAD, SPEC, W0, W1, WELL, changed_pod, created, deleted, slot, with_spec


def test_a_lost_head_is_replaced_with_every_worker_that_knew_it() -> None:
    fresh = worker_pod(SPEC, 1, head_ip="", head_uid="")
    plan = make_plan(seen([W0, fresh]))
    assert deleted(plan) == {W0.name: Label.HEAD_LOST}
    assert [kind for kind, *_ in created(plan)] == ["head-node", "worker-node"]
    assert plan.workers == (fresh,)


def test_a_worker_of_an_earlier_head_is_replaced() -> None:
    plan = make_plan(seen([replace(HEAD, uid="second"), W0, W1]))
    assert set(deleted(plan)) == {W0.name, W1.name}
    assert all(a.head and a.head.uid == "second" for a in plan.actions if isinstance(a, CreatePod))


def test_a_head_that_failed_once_is_replaced_at_once() -> None:
    plan = make_plan(seen([failed(HEAD)]))
    assert HEAD.name in deleted(plan)
    assert created(plan)[0] == ("head-node", slot("head-node", 1), 1)


def test_a_crash_looping_head_is_held_back() -> None:
    plan = make_plan(seen([failed(HEAD, attempt=4), worker_pod(SPEC, head_uid=""), worker_pod(SPEC, 1, head_uid="")]))
    assert plan.actions == ()
    assert plan.look_again_at == NOW + 40


def test_a_held_back_head_starts_at_once_when_the_user_changes_its_type() -> None:
    """Whoever fixes the command that crashed does not wait for the backoff of the broken one."""
    plan = make_plan(seen([failed(HEAD, attempt=9)], with_spec(workers=0, headStartRayCommands=["ray start --head"])))
    assert list(deleted(plan)) == [HEAD.name]
    assert [attempt for *_, attempt in created(plan)] == [0]


def test_a_head_on_a_lost_node_is_deleted_and_replaced() -> None:
    plan = make_plan(seen([replace(HEAD, phase="Unknown")], with_spec(workers=0)))
    assert deleted(plan) == {HEAD.name: Label.NODE_LOST}
    assert [kind for kind, *_ in created(plan)] == ["head-node"]


def test_a_lost_head_stuck_in_deletion_is_not_asked_for_twice() -> None:
    plan = make_plan(seen([replace(HEAD, phase="Unknown", deleting=True)], with_spec(workers=0)))
    assert not deleted(plan)
    assert created(plan) == [("head-node", slot("head-node", 1), 0)]


def test_a_worker_on_a_lost_node_is_deleted_and_replaced() -> None:
    plan = make_plan(seen([HEAD, replace(W0, phase="Unknown"), W1]))
    assert deleted(plan) == {W0.name: Label.NODE_LOST}
    assert len(created(plan)) == 1


def test_of_two_heads_the_older_stays() -> None:
    younger = head_pod(SPEC, uid="younger", key=HEAD.key._replace(name="zz"), started_at=NOW - 5)
    plan = make_plan(seen([younger, *WELL]))
    assert deleted(plan) == {"zz": Label.DUPLICATE_HEAD}
    assert plan.head == HEAD
    assert not created(plan)


def test_of_two_heads_one_that_is_as_wanted_stays() -> None:
    younger = head_pod(SPEC, uid="younger", key=HEAD.key._replace(name="zz"), started_at=NOW - 5)
    plan = make_plan(seen([replace(HEAD, config_hash="old"), younger], with_spec(workers=0)))
    assert list(deleted(plan)) == [HEAD.name]
    assert plan.head == younger
    assert not created(plan)


def test_an_ended_head_beside_a_live_one_is_cleared_away() -> None:
    ended = failed(head_pod(SPEC, uid="ended", key=HEAD.key._replace(name="zz")), attempt=9)
    plan = make_plan(seen([ended, *WELL]))
    assert list(deleted(plan)) == ["zz"]
    assert not created(plan)


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param(changed_pod(0), id="image"),
        pytest.param(raw_spec(headStartRayCommands=["ray start --head --port 6379"]), id="start commands"),
        pytest.param(raw_spec(headStartRayCommands=["ray start --head --port=7000"]), id="port"),
    ],
)
def test_a_changed_head_is_deleted_first_and_made_again_once_it_is_on_its_way_out(spec: dict[str, Any]) -> None:
    plan = make_plan(seen(WELL, cluster(spec)))
    assert set(deleted(plan)) == {p.name for p in WELL}
    assert "head-node" not in [kind for kind, *_ in created(plan)]
    assert (plan.head, plan.look_again_at) == (None, NOW)
    assert plan.head_change and plan.head_change.label is Label.SPEC_CHANGED
    later = make_plan(seen([replace(p, deleting=True) for p in WELL], cluster(spec)))
    assert [kind for kind, *_ in created(later)] == ["head-node", "worker-node", "worker-node"]


def test_switching_the_head_type_replaces_the_head() -> None:
    spec = raw_spec(workers=0, headPodType="worker-node")
    plan = make_plan(seen([HEAD], cluster(spec)))
    assert deleted(plan) == {HEAD.name: Label.SPEC_CHANGED}
