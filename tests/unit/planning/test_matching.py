"""A pod is not judged by the Ray node of an earlier pod of its name."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from autoscaler.model import NodeStatus, RayNode, RayState
from controller.objects.views import PodView
from controller.planning.actions import CreatePod
from controller.planning.matching import matched
from controller.planning.observed import RayView
from controller.planning.plan import make_plan
from controller.raycluster.model import parse_spec
from tests.fakes.heads import node
from tests.support.builders import NAMESPACE, NOW, cluster, head_pod, raw_spec, seen, worker_pod
from tests.support.plans import created
from tests.support.world import well

SPEC = parse_spec(raw_spec(0))


def young(age: float = 8.0, **fields: Any) -> PodView:
    """A pod that has just taken over the name."""
    return replace(worker_pod(SPEC, 0, uid="new"), started_at=NOW - age, running_since=NOW - age + 2, **fields)


def answer(*nodes: RayNode) -> RayView:
    return RayView(RayState("s", 0.0, nodes), "head-uid", 0.0)


def joined(pod: PodView, found: RayNode, now: float = NOW) -> bool:
    view, _ = matched(answer(found), [pod], now)
    return pod.name in view.alive


OLD = replace(node(1, young().name, "worker-node", idle=301.0), ip="10.0.9.9")


@pytest.mark.parametrize(
    ("found", "pod", "is_its_own"),
    [
        pytest.param(OLD, young(), False, id="idle for longer than the pod is old"),
        pytest.param(replace(OLD, ip=""), young(), False, id="the same of a node that says no address"),
        pytest.param(replace(OLD, status=NodeStatus.RUNNING), young(), False, id="busy, at another address"),
        pytest.param(replace(OLD, status=NodeStatus.DRAINING), young(), False, id="draining, at another address"),
        pytest.param(replace(OLD, idle_seconds=3.0), young(), False, id="idle for a moment, at another address"),
        pytest.param(replace(OLD, idle_seconds=3.0, ip=young().ip), young(), True, id="at the pod's address"),
        pytest.param(replace(OLD, idle_seconds=3.0, ip=""), young(), True, id="without an address"),
        pytest.param(replace(OLD, idle_seconds=9.0, ip=""), young(), True, id="clocks that differ a little"),
        pytest.param(OLD, young(3600), True, id="an old pod with a second network"),
    ],
)
def test_a_node_belongs_to_the_pod_of_its_name_unless_it_is_older_or_elsewhere(
    found: RayNode, pod: PodView, is_its_own: bool
) -> None:
    assert joined(pod, found) is is_its_own


def test_a_node_at_another_address_is_looked_at_again_when_ray_would_have_forgotten_an_earlier_one() -> None:
    busy = replace(OLD, status=NodeStatus.RUNNING)
    _, due = matched(answer(busy), [young()], NOW)
    assert due is not None and NOW < due <= NOW + 60
    assert joined(young(), busy, due)
    assert make_plan(seen([head_pod(SPEC)], cluster(raw_spec(0)), doubt_until=due)).look_again_at == due


def test_a_name_is_not_used_again_while_ray_lists_a_living_node_under_it() -> None:
    of = cluster(raw_spec(1))
    free = created(make_plan(seen([head_pod(SPEC)], of)))[0][1]
    ghost = node(1, free, "worker-node", free=0)
    plan = make_plan(seen([head_pod(SPEC)], of, ray=answer(ghost)))
    (create,) = (a for a in plan.actions if isinstance(a, CreatePod))
    assert create.name != free
    dead = replace(ghost, status=NodeStatus.DEAD)
    assert created(make_plan(seen([head_pod(SPEC)], of, ray=answer(dead))))[0][1] == free


def test_an_idle_node_of_an_earlier_pod_gets_nobody_retired() -> None:
    world = well(raw_spec(1))
    state = world.heads.state
    assert state
    # The same name, and idle since long before this pod was made.
    ghosts = tuple(replace(n, idle_seconds=7200.0) for n in state.nodes)
    world.heads.state = replace(state, nodes=ghosts)
    world.user(raw_spec(0))
    world.tell()
    world.step()
    assert world.heads.drained == []
    assert [n for n in world.api.names("pods") if "worker" in n]


def test_a_worker_deleted_by_force_is_followed_by_one_of_another_name() -> None:
    world = well(raw_spec(1))
    (name,) = (n for n in world.api.names("pods") if "worker" in n)
    world.api.remove("pods", NAMESPACE, name)
    world.tell()
    world.step()
    assert name not in world.api.names("pods")
    assert [n for n in world.api.names("pods") if "worker" in n]
