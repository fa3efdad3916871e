"""Which workers leave first when there are too many, and how long a busy one has to finish."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest

from autoscaler.model import NodeStatus, RayNode, RayState
from controller.objects.views import PodView
from controller.planning.actions import DeletePod, DrainPod, RetirePod
from controller.planning.observed import Observed, RayView, Settings
from controller.planning.plan import Plan, make_plan
from controller.raycluster.model import parse_spec
from tests.fakes.heads import node
from tests.support.builders import NOW, cluster, head_pod, raw_spec, seen, worker_pod

SPEC = parse_spec(raw_spec(0))
HEAD = head_pod(SPEC)


def worker(number: int, age: float = 3600.0, **fields: Any) -> PodView:
    return worker_pod(SPEC, number, started_at=NOW - age, **fields)


def busy(pod: PodView, number: int) -> RayNode:
    return node(number, pod.name, pod.node_type, free=0)


def idle(pod: PodView, number: int, seconds: float) -> RayNode:
    return node(number, pod.name, pod.node_type, idle=seconds)


def shown(workers: list[PodView], nodes: list[RayNode], most: int, least: int = 0, **fields: Any) -> Observed:
    """A cluster whose maxWorkers the user has just set to ``most``, and its type's minWorkers to ``least``."""
    answer = RayView(RayState("s", 0.0, tuple(nodes)), HEAD.uid, 0.0)
    return replace(seen([HEAD, *workers], cluster(raw_spec(least, maxWorkers=most)), ray=answer), **fields)


def leaving(plan: Plan) -> list[str]:
    """Who goes, by name."""
    return [a.pod.name for a in plan.actions if isinstance(a, DeletePod | RetirePod | DrainPod)]


@pytest.mark.parametrize(("seconds", "deadline"), [(None, NOW + 600), (60.0, NOW + 60), (0.0, NOW)])
def test_a_busy_worker_has_ten_minutes_to_finish_or_as_long_as_the_administrator_says(
    seconds: float | None, deadline: float
) -> None:
    settings = Settings() if seconds is None else Settings(drain_seconds=seconds)
    pod = worker(0)
    plan = make_plan(shown([pod], [busy(pod, 1)], 0, settings=settings))
    (drain,) = plan.actions
    assert isinstance(drain, DrainPod)
    assert (drain.pod, drain.node_id, drain.deadline) == (pod, bytes([1]) * 28, deadline)


def test_a_draining_worker_is_looked_at_again_when_its_time_is_over_and_deleted_then_though_it_works() -> None:
    pod = worker(0, drain_by=NOW + 600, drain_reason="r")
    draining = replace(busy(pod, 1), status=NodeStatus.DRAINING)
    before = make_plan(shown([pod], [draining], 0, now=NOW + 599))
    assert (before.actions, before.look_again_at) == ((), NOW + 600)
    after = make_plan(shown([pod], [draining], 0, now=NOW + 600))
    assert [type(a) for a in after.actions] == [DeletePod]


def test_too_many_workers_leave_in_order_of_what_is_lost() -> None:
    """First who has not started, the youngest first; then the idle, the longest idle first; then the youngest busy."""
    waiting = [worker(n, age, phase="Pending", ready=False) for n, age in ((0, 20.0), (1, 10.0))]
    idling = [worker(n) for n in (2, 3)]
    working = [worker(n, age) for n, age in ((4, 300.0), (5, 100.0), (6, 200.0))]
    nodes = [idle(idling[0], 2, 5.0), idle(idling[1], 3, 50.0), *(busy(p, n) for n, p in enumerate(working, start=4))]
    order = [waiting[1], waiting[0], idling[1], idling[0], working[1], working[2], working[0]]
    everyone = [*waiting, *idling, *working]
    for shuffle in range(5):
        random.Random(shuffle).shuffle(everyone)
        for excess in range(len(order) + 1):
            plan = make_plan(shown(everyone, nodes, len(order) - excess))
            assert sorted(leaving(plan)) == sorted(p.name for p in order[:excess]), excess


def test_of_an_outdated_type_the_youngest_of_the_busy_is_replaced_first() -> None:
    """Where there is no room for a replacement, one goes."""
    old, young = worker(0, 3000.0, config_hash="old"), worker(1, 1000.0, config_hash="old")
    plan = make_plan(shown([old, young], [busy(old, 1), busy(young, 2)], 2, 2))
    assert leaving(plan) == [young.name]
