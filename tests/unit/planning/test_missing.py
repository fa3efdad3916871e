"""A worker's pod that stays ready while Ray has no node in it: how long it counts as on its way, and what follows."""

from __future__ import annotations

from dataclasses import replace

import pytest

from autoscaler.model import NodeStatus, RayNode, RayState
from controller.objects.views import PodView
from controller.planning.actions import CreatePod, DeletePod
from controller.planning.missing import DEAD_SECONDS, JOIN_SECONDS, missing_since
from controller.planning.observed import Observed, RayView
from controller.planning.plan import Plan, make_plan
from tests.fakes.heads import node
from tests.support.builders import NOW, seen
from tests.support.plans import HEAD, W0, W1

LIVES = node(2, W1.name, "worker-node", free=0)
DEAD = replace(node(1, W0.name, "worker-node"), status=NodeStatus.DEAD, total={}, available={})


def answer(*nodes: RayNode, age: float = 0.0, head_uid: str = "head-uid") -> RayView:
    return RayView(RayState("s", 0.0, nodes), head_uid, age)


def planned(since: float, ray: RayView, *pods: PodView) -> Plan:
    return make_plan(replace(seen(pods or (HEAD, W0, W1), ray=ray), missing={W0.uid: NOW - since}))


def replaced(plan: Plan) -> list[str]:
    """Why pods are deleted; as many are made."""
    gone = [a.reason.text for a in plan.actions if isinstance(a, DeletePod)]
    assert len([a for a in plan.actions if isinstance(a, CreatePod)]) == len(gone)
    return gone


@pytest.mark.parametrize(
    ("nodes", "seconds", "why"),
    [
        ((DEAD, LIVES), DEAD_SECONDS, "it is ready, and its Ray node is dead"),
        ((LIVES,), JOIN_SECONDS, "it is ready, and no Ray node has joined from it"),
        ((replace(DEAD, ip="10.9.9.9"), LIVES), JOIN_SECONDS, "it is ready, and no Ray node has joined from it"),
    ],
)
def test_it_is_replaced_after_a_bounded_time_and_the_reason_is_told(
    nodes: tuple[RayNode, ...], seconds: float, why: str
) -> None:
    ray = answer(*nodes)
    early = planned(seconds - 1, ray)
    assert (early.actions, early.look_again_at) == ((), NOW + 1)
    assert replaced(planned(seconds, ray)) == [why]


def test_nothing_is_given_up_on_an_old_answer_and_the_head_is_asked_again() -> None:
    plan = planned(1e6, answer(DEAD, LIVES, age=30.0))
    assert replaced(plan) == []
    assert plan.look_again_at == NOW + 1


def test_a_node_that_starts_again_in_the_same_pod_is_kept() -> None:
    again = replace(DEAD, node_id=b"n" * 28, status=NodeStatus.RUNNING)
    ray = answer(DEAD, again, LIVES)
    assert missing_since({W0.uid: NOW - 59}, [HEAD, W0, W1], ray, NOW) == {}


@pytest.mark.parametrize(
    ("pod", "ray", "since"),
    [
        pytest.param(W0, answer(LIVES), NOW, id="seen for the first time"),
        pytest.param(replace(W0, ready=False), answer(LIVES), None, id="it starts"),
        pytest.param(replace(W0, deleting=True), answer(LIVES), None, id="it is on its way out"),
        pytest.param(replace(W0, head_uid=""), answer(LIVES), None, id="it does not know its head"),
        pytest.param(W0, answer(LIVES, head_uid="another"), None, id="another head answers"),
        pytest.param(W0, answer(LIVES, age=30.0), None, id="the answer is old"),
        pytest.param(W0, None, None, id="the head has not answered yet"),
    ],
)
def test_time_counts_from_the_first_fresh_answer_without_it(
    pod: PodView, ray: RayView | None, since: float | None
) -> None:
    found = missing_since({}, [HEAD, pod, W1], ray, NOW)
    assert found.get(W0.uid) == since
    assert found.keys() <= {W0.uid}


def test_a_silent_head_says_nothing_new() -> None:
    before = {W0.uid: NOW - 30, "gone": NOW - 30}
    assert missing_since(before, [HEAD, W0, W1], None, NOW) == {W0.uid: NOW - 30}


def test_it_is_no_capacity_for_ever_that_work_waits_for() -> None:
    """The whole way: two workers, of which one has lost its raylet and keeps its container."""
    ray = answer(DEAD, LIVES)
    missing: dict[str, float] = {}
    for second in range(0, 70, 5):
        missing = missing_since(missing, [HEAD, W0, W1], ray, NOW + second)
        observed: Observed = replace(seen([HEAD, W0, W1], ray=ray), now=NOW + second, missing=missing)
        if replaced(make_plan(observed)):
            assert second == DEAD_SECONDS
            return
    raise AssertionError("it is kept")
