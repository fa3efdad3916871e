"""Workers whose end Kubernetes has announced: drained with the time that is left, replaced before they have gone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from autoscaler.model import Demand, NodeStatus, RayNode, RayState, Shape
from controller.objects.views import PodView
from controller.planning.actions import CreatePod, DeletePod, DrainPod, RetirePod
from controller.planning.observed import Observed, RayView
from controller.planning.plan import Plan, make_plan
from controller.planning.reasons import Label
from controller.raycluster.model import parse_spec
from controller.status.cluster_status import report_of, status_of
from tests.fakes.heads import node
from tests.support.builders import NOW, cluster, head_pod, raw_spec, seen, worker_pod

SPEC = parse_spec(raw_spec(0))
HEAD, W0, W1 = head_pod(SPEC), worker_pod(SPEC, 0), worker_pod(SPEC, 1)
BUSY, IDLE = node(1, W0.name, "worker-node", free=0), node(1, W0.name, "worker-node", idle=1.0)
DRAINING = replace(BUSY, status=NodeStatus.DRAINING)


def deleted(pod: PodView, seconds_ago: float = 10.0, grace: float = 30.0, **fields: Any) -> PodView:
    """Somebody has deleted it."""
    at = NOW - seconds_ago
    return replace(pod, deleting=True, deleted_at=at, delete_by=at + grace, **fields)


def disrupted(pod: PodView, seconds_ago: float = 0.0, grace: float = 30.0, **fields: Any) -> PodView:
    """Kubernetes says that it is about to end it."""
    told = {"disrupted": "EvictionByEvictionAPI", "disrupted_at": NOW - seconds_ago, "grace": grace}
    return replace(pod, **{**told, **fields})


def shown(
    *pods: PodView,
    nodes: tuple[RayNode, ...] = (BUSY,),
    least: int = 0,
    age: float = 0.0,
    waiting: int = 0,
    **fields: Any,
) -> Observed:
    demands = (Demand(Shape.of({"CPU": 1}), waiting),) if waiting else ()
    answer = RayView(RayState("s", 0.0, nodes, demands), HEAD.uid, age)
    return seen([HEAD, *pods], cluster(raw_spec(least, **fields)), ray=answer)


def drains(plan: Plan) -> dict[str, float]:
    """Who is drained, and until when."""
    return {a.pod.name: a.deadline for a in plan.actions if isinstance(a, DrainPod)}


def made(plan: Plan) -> int:
    return sum(isinstance(a, CreatePod) for a in plan.actions)


GONE = NOW + 20
DRAINS = [
    ("deleted", deleted(W0), BUSY, 0.0, GONE),
    ("deleted, with a minute", deleted(W0, grace=60.0), BUSY, 0.0, NOW + 50),
    ("deleted and idle", deleted(W0), IDLE, 0.0, GONE),
    ("deleted, and Ray drains it by itself", deleted(W0, 0.0), DRAINING, 0.0, NOW + 30),
    ("deleted a moment ago", deleted(W0, 1.0), BUSY, 0.0, None),
    ("deleted a moment ago with little time", deleted(W0, 0.0, 3.0), BUSY, 0.0, NOW + 3),
    ("retired a moment ago by the operator itself", deleted(W0, 0.0, 3.0), IDLE, 0.0, None),
    ("deleted, and the head's answer is old", deleted(W0), BUSY, 6.0, None),
    ("deleted, its time is over", deleted(W0, 31.0), BUSY, 0.0, None),
    ("deleted and told", deleted(W0, drain_by=GONE, drain_label="interrupted"), DRAINING, 0.0, None),
    ("deleted with less time than it was told", deleted(W0, drain_by=NOW + 60), DRAINING, 0.0, GONE),
    ("deleted with less time, the answer is old", deleted(W0, drain_by=NOW + 60), DRAINING, 6.0, None),
    ("deleted and noted, Ray did not hear of it", deleted(W0, drain_by=GONE), BUSY, 0.0, GONE),
    ("ended by its drain's deadline", deleted(W0, drain_by=NOW - 1), DRAINING, 0.0, None),
    ("of another head", deleted(W0, head_uid="other"), BUSY, 0.0, None),
    ("evicted", disrupted(W0), BUSY, 0.0, NOW + 30),
    ("evicted, idle", disrupted(W0), IDLE, 0.0, NOW + 30),
    ("evicted, seen late", disrupted(W0, 20.0), BUSY, 0.0, NOW + 10),
    ("evicted long ago, and still there", disrupted(W0, 90.0), BUSY, 0.0, NOW + 30),
    ("evicted and told", disrupted(W0, drain_by=GONE, drain_label="interrupted"), DRAINING, 0.0, None),
    ("evicted, and the head's answer is old", disrupted(W0), BUSY, 6.0, None),
]


@pytest.mark.parametrize(("pod", "shown_as", "age", "until"), [r[1:] for r in DRAINS], ids=[r[0] for r in DRAINS])
def test_an_announced_end_is_a_drain_with_the_time_that_is_left(
    pod: PodView, shown_as: RayNode, age: float, until: float | None
) -> None:
    plan = make_plan(shown(pod, nodes=(shown_as,), age=age))
    assert drains(plan) == ({} if until is None else {pod.name: until})
    assert not [a for a in plan.actions if isinstance(a, DeletePod | RetirePod)]


def test_what_has_not_joined_ray_goes_at_once() -> None:
    pod = disrupted(W0, phase="Pending", ready=False)
    (gone,) = make_plan(shown(pod, nodes=())).actions
    assert isinstance(gone, DeletePod)
    assert (gone.pod, gone.reason.label) == (pod, Label.INTERRUPTED)


@pytest.mark.parametrize("pod", [disrupted(W0), deleted(W0)], ids=["evicted", "deleted"])
def test_the_replacement_of_a_minimum_does_not_wait_until_it_has_gone(pod: PodView) -> None:
    assert made(make_plan(shown(pod, least=1))) == 1


@pytest.mark.parametrize("pod", [disrupted(W0), deleted(W0)], ids=["evicted", "deleted"])
@pytest.mark.parametrize(
    ("shown_as", "most", "count"),
    [
        pytest.param(BUSY, 10, 1, id="its work needs another"),
        pytest.param(DRAINING, 10, 1, id="its work still needs another"),
        pytest.param(IDLE, 10, 0, id="nothing runs there"),
        pytest.param(BUSY, 1, 0, id="the bounds leave no room"),
    ],
)
def test_what_runs_there_counts_as_waiting(pod: PodView, shown_as: RayNode, most: int, count: int) -> None:
    plan = make_plan(shown(pod, nodes=(shown_as,), maxWorkers=most))
    assert made(plan) == count
    assert [a.why.text for a in plan.actions if isinstance(a, CreatePod)] == [
        "work of workers that are about to end"
    ] * count


def test_what_waits_and_what_is_about_to_end_get_a_worker_each() -> None:
    plan = make_plan(shown(disrupted(W0), waiting=2))
    reasons = sorted(a.why.text for a in plan.actions if isinstance(a, CreatePod))
    assert reasons == ["waiting work", "waiting work", "work of workers that are about to end"]


def test_a_worker_that_is_there_takes_the_work_over_and_is_kept_for_it() -> None:
    """However long it has been idle, and however its own replacement comes."""
    free = node(2, W1.name, "worker-node", idle=3600.0)
    plan = make_plan(shown(disrupted(W0), W1, nodes=(BUSY, free)))
    assert (made(plan), [a for a in plan.actions if isinstance(a, RetirePod)]) == (0, [])
    coming = replace(W1, phase="Pending", ready=False)
    assert made(make_plan(shown(deleted(W0), coming))) == 0


def test_neither_the_status_nor_the_report_to_ray_says_that_such_work_waits() -> None:
    """Ray may cancel what cannot be placed."""
    observed = shown(deleted(W0), maxWorkers=1)
    plan = make_plan(observed)
    assert observed.ray is not None
    (met,) = (c for c in status_of(observed, plan)["conditions"] if c["type"] == "DemandMet")
    assert (met["status"], report_of(observed.ray, plan).infeasible) == ("True", ())


def test_a_worker_that_the_operator_ends_for_a_reason_of_its_own_gets_no_replacement() -> None:
    """It was above maxWorkers, or idle: that its work is not over makes no place for another."""
    pod = replace(W0, drain_by=NOW + 60, drain_label="above_maximum")
    for leaving in (pod, deleted(pod)):
        assert made(make_plan(shown(leaving, nodes=(DRAINING,)))) == 0


def test_many_ends_at_once_are_reported_as_fast_as_passes_go() -> None:
    """Each is told once; a head that does not listen is not asked in a loop."""
    pods = [disrupted(worker_pod(SPEC, n)) for n in range(40)]
    nodes = tuple(node(n + 1, pod.name, "worker-node", free=0) for n, pod in enumerate(pods))
    told: list[str] = []
    while True:
        plan = make_plan(shown(*pods, nodes=nodes, maxWorkers=40))
        told += (new := list(drains(plan)))
        if not plan.put_off:
            break
        pods = [
            replace(p, drain_by=drains(plan)[p.name], drain_label="interrupted") if p.name in new else p for p in pods
        ]
        nodes = tuple(replace(n, status=NodeStatus.DRAINING) if n.instance_id in new else n for n in nodes)
    assert sorted(told) == sorted(p.name for p in pods)
