"""The block "Autoscaler status" of the operator's log."""

from __future__ import annotations

from dataclasses import replace

from autoscaler.model import QUANTUM, Demand, Gang, NodeStatus, RayState, Shape, Strategy
from controller.planning.blocked_types import Pause
from controller.planning.observed import RayView
from controller.planning.plan import make_plan
from controller.status.autoscaler_log import MAX_LINES, heading, overview
from tests.fakes.heads import node
from tests.support.builders import NOW, failed, head_pod, seen, worker_pod

SPEC = seen().spec
CPU = Shape.of({"CPU": 1})


def test_the_heading_is_the_one_that_people_search_for() -> None:
    assert heading(NOW) == "======== Autoscaler status: 2023-11-14 22:13:20.000000 ========"


def test_before_the_head_has_answered_the_pods_are_reported() -> None:
    head = head_pod(SPEC, ready=False, phase="Pending", problem="ErrImagePull: no such image")
    observed = seen([head, worker_pod(SPEC, head_uid="", phase="Pending", ready=False)])
    lines = overview(observed, make_plan(observed))
    at = lines.index("Pending:")
    assert lines[lines.index("Healthy:") + 1] == " (the head has not answered yet)"
    assert lines[at + 1] == f" {head.name}: head-node, ErrImagePull: no such image"
    assert lines[at + 2].endswith(": worker-node, Pending")


def test_nodes_usage_and_demand_are_logged_as_ray_sees_them() -> None:
    busy, leaving = worker_pod(SPEC), worker_pod(SPEC, 1, drain_by=NOW + 60, drain_reason="it is outdated")
    crashed = failed(worker_pod(SPEC, 2), seconds_ago=1)
    busy_node = node(1, busy.name, "worker-node", free=0)
    nodes = (
        # A placement group asks for this very node.
        replace(busy_node, total={**busy_node.total, "node:10.0.0.3": QUANTUM}),
        replace(node(2, leaving.name, "worker-node"), status=NodeStatus.DRAINING),
        replace(node(3, "gone", "worker-node"), status=NodeStatus.DEAD),
    )
    pair = Gang((Demand(CPU, 2),), Strategy.SPREAD)
    ray = RayView(RayState("s", 0.0, nodes, (Demand(CPU, 7),), (pair,)), "head-uid", 0.0)
    blocks = {"worker-node": Pause("QuotaExceeded", "quota is used up", NOW, until=NOW + 8)}
    observed = seen([head_pod(SPEC), busy, leaving, crashed], ray=ray, blocks=blocks)
    text = "\n".join(overview(observed, make_plan(observed)))
    assert "Healthy:\n 2 worker-node\nPending:\n (no pending nodes)\nLeaving:\n" in text
    assert f"Leaving:\n {leaving.name}: worker-node, it is outdated" in text
    assert f" {crashed.name}: worker-node, Error, exit code 1\n worker-node: quota is used up\nResources" in text
    assert "Usage:\n 1/2 CPU" in text
    assert "10.0.0.3" not in text
    assert "{'CPU': 1.0}: 7+ pending tasks/actors" in text
    assert "{'CPU': 1.0} * 2 (SPREAD): 1+ pending placement groups" in text


def test_a_long_list_is_cut() -> None:
    demands = tuple(Demand(Shape.of({"CPU": n}), 1) for n in range(1, MAX_LINES + 4))
    ray = RayView(RayState("s", 0.0, (), demands), "head-uid", 0.0)
    observed = seen([head_pod(SPEC)], ray=ray)
    lines = overview(observed, make_plan(observed))
    assert lines[-1] == " ... and 3 more"
    assert len(lines) - lines.index("Demands:") == MAX_LINES + 2


def test_the_same_state_a_second_later_is_the_same_block() -> None:
    first = seen([head_pod(SPEC), worker_pod(SPEC), worker_pod(SPEC, 1)])
    later = replace(first, now=NOW + 1)
    assert overview(first, make_plan(first)) == overview(later, make_plan(later))
