"""Which pods autoscalers of nodes are told to leave alone, and how often that is written."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from autoscaler.model import NodeStatus, RayNode, RayState
from controller.objects.views import PodView
from controller.planning.actions import ProtectPod
from controller.planning.observed import RayView
from controller.planning.plan import Plan, make_plan
from controller.planning.protection import MAX_WRITES
from tests.fakes.heads import node
from tests.support.builders import NOW, cluster, raw_spec, raw_type, seen, service, worker_pod
from tests.support.plans import HEAD, SPEC, W0, W1

BOTH = {"head": True, "busyWorkers": True}
P0, KEPT_HEAD = replace(W0, protected=True), replace(HEAD, protected=True)


def planned(
    field: dict[str, Any] | None, pods: list[PodView], *nodes: RayNode, age: float = 0.0, workers: int = 2
) -> Plan:
    types = [raw_type("head-node", "ray-head-"), raw_type("worker-node", minWorkers=workers, maxWorkers=100)]
    raw = raw_spec(podTypes=types, maxWorkers=100)
    if field is not None:
        raw["doNotDisrupt"] = field
    answer = RayView(RayState("s", 0.0, nodes), "head-uid", age)
    return make_plan(seen(pods, cluster(raw), service(), ray=answer))


def written(plan: Plan) -> list[tuple[str, bool]]:
    return [(a.pod.name, a.protect) for a in plan.actions if isinstance(a, ProtectPod)]


def busy(pod: PodView, number: int = 1) -> RayNode:
    return node(number, pod.name, "worker-node", free=0)


def idle(pod: PodView, seconds: float, number: int = 1) -> RayNode:
    return node(number, pod.name, "worker-node", idle=seconds)


@pytest.mark.parametrize("field", [None, {}, {"head": False, "busyWorkers": None}])
def test_without_the_field_nothing_is_written_and_what_was_is_taken_back(field: dict[str, Any] | None) -> None:
    assert written(planned(field, [HEAD, W0, W1], busy(W0), idle(W1, 9, 2))) == []
    taken = written(planned(field, [KEPT_HEAD, P0, W1], busy(W0), idle(W1, 9, 2)))
    assert taken == [(HEAD.name, False), (W0.name, False)]


@pytest.mark.parametrize(("before", "now"), [(HEAD, [(HEAD.name, True)]), (KEPT_HEAD, [])])
def test_a_head_that_runs_is_protected_once(before: PodView, now: list[tuple[str, bool]]) -> None:
    assert written(planned({"head": True}, [before, W0, W1], busy(W0), busy(W1, 2))) == now


@pytest.mark.parametrize(
    ("worker", "shown", "age", "now", "due"),
    [
        pytest.param(W0, busy(W0), 0.0, [(W0.name, True)], None, id="at work"),
        pytest.param(P0, busy(W0), 0.0, [], None, id="still at work"),
        pytest.param(P0, idle(W0, 59), 0.0, [], 1.0, id="idle for a moment"),
        pytest.param(P0, idle(W0, 60), 0.0, [(W0.name, False)], None, id="idle for a minute"),
        pytest.param(W0, idle(W0, 1), 0.0, [], None, id="idle, and never was at work"),
        pytest.param(W0, busy(W0), 9.0, [], None, id="at work, in an old answer"),
        pytest.param(P0, idle(W0, 60), 9.0, [], None, id="idle, in an old answer"),
        pytest.param(P0, replace(busy(W0), status=NodeStatus.DRAINING), 0.0, [], None, id="draining"),
        pytest.param(P0, busy(W1), 0.0, [], None, id="Ray does not know it"),
    ],
)
def test_a_worker_is_protected_from_its_first_work_until_it_has_been_idle_for_a_minute(
    worker: PodView, shown: RayNode, age: float, now: list[tuple[str, bool]], due: float | None
) -> None:
    plan = planned({"busyWorkers": True}, [HEAD, worker], shown, age=age, workers=1)
    assert written(plan) == now
    if due is not None:
        assert plan.look_again_at == NOW + due


def test_a_worker_that_goes_gets_no_annotation() -> None:
    """maxWorkers and minWorkers allow none: the one at work is drained."""
    types = [raw_type("head-node", "ray-head-"), raw_type("worker-node", maxWorkers=0)]
    raw = raw_spec(podTypes=types, maxWorkers=0, doNotDisrupt=BOTH)
    answer = RayView(RayState("s", 0.0, (busy(W0),)), "head-uid", 0.0)
    plan = make_plan(seen([KEPT_HEAD, W0], cluster(raw), service(), ray=answer))
    assert written(plan) == []


def test_a_pass_writes_a_few_and_the_next_one_follows_soon() -> None:
    pods = [replace(worker_pod(SPEC, n), uid=f"uid-{n}", ready=True, head_uid="head-uid") for n in range(50)]
    plan = planned(BOTH, [KEPT_HEAD, *pods], *(busy(p, n) for n, p in enumerate(pods)), workers=50)
    assert len(written(plan)) == MAX_WRITES
    assert plan.look_again_at is not None and plan.look_again_at <= NOW + 1
