"""What counts against maxWorkers, and what each type decides for itself: idle time, priority, start commands."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from autoscaler.model import Demand, RayNode, RayState, Shape
from controller.objects.pod import build_pod
from controller.objects.views import PodView
from controller.planning.actions import CreatePod, RetirePod
from controller.planning.blocked_types import Pause
from controller.planning.observed import Observed, RayView
from controller.planning.plan import Plan, make_plan
from controller.raycluster.model import parse_spec
from controller.status.cluster_status import report_of, status_of
from tests.fakes.heads import node
from tests.support.builders import NOW, cluster, head_pod, raw_spec, raw_type, seen, worker_pod
from tests.support.labelled import labelled

CPU = Shape.of({"CPU": 1})


def spec_of(*types: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return raw_spec(podTypes=[raw_type("head-node", "ray-head-", rayResources={"CPU": 0}), *types], **fields)


def shown(
    spec: dict[str, Any], *pods: PodView, nodes: tuple[RayNode, ...] = (), waiting: int = 0, **more: Any
) -> Observed:
    state = RayState("s", 0.0, nodes, (Demand(CPU, waiting),) if waiting else ())
    head = head_pod(parse_spec(spec))
    return seen([head, *pods], cluster(spec), ray=RayView(state, "head-uid", 0.0), **more)


def created(plan: Plan) -> list[str]:
    return [a.pod_type.name for a in plan.actions if isinstance(a, CreatePod)]


def condition(of: Observed) -> tuple[str, str]:
    (found,) = (c for c in status_of(of, make_plan(of))["conditions"] if c["type"] == "DemandMet")
    return found["reason"], found["message"]


TWO = spec_of(raw_type("worker-node", maxWorkers=2))


@pytest.mark.parametrize(
    ("left", "made"),
    [pytest.param(30, 1, id="within its grace period"), pytest.param(0, 2, id="overdue")],
)
def test_a_pod_that_is_being_deleted_counts_while_it_has_time_to_end(left: float, made: int) -> None:
    """Its machine is still paid for; one that is overdue may be there for ever."""
    going = worker_pod(parse_spec(TWO), 0, deleting=True, delete_by=NOW + left)
    plan = make_plan(shown(TWO, going, waiting=5))
    assert len(created(plan)) == made
    assert (plan.look_again_at == going.delete_by) == (left > 0)


def test_a_pod_that_has_ended_counts_no_more() -> None:
    ended = worker_pod(parse_spec(TWO), 0, deleting=True, delete_by=NOW + 30, phase="Failed")
    assert len(created(make_plan(shown(TWO, ended, waiting=5)))) == 2


def test_min_workers_are_restored_whatever_is_being_deleted() -> None:
    spec = spec_of(raw_type("worker-node", minWorkers=2, maxWorkers=2), maxWorkers=2)
    going = [worker_pod(parse_spec(spec), n, deleting=True, delete_by=NOW + 30) for n in range(2)]
    assert created(make_plan(shown(spec, *going))) == ["worker-node"] * 2


def test_the_status_says_what_of_the_bound_is_being_deleted() -> None:
    going = worker_pod(parse_spec(TWO), 0, deleting=True, delete_by=NOW + 30)
    assert condition(shown(TWO, going, waiting=5)) == (
        "Limited",
        "work waits: maxWorkers of the pod type worker-node is 2; 1 pod that is being deleted still counts",
    )


def test_limited_is_said_only_where_a_bound_binds() -> None:
    assert condition(shown(TWO, waiting=2)) == ("AllPlaced", "")
    assert condition(shown(TWO, waiting=3))[0] == "Limited"
    tight = spec_of(raw_type("worker-node", maxWorkers=5), maxWorkers=2)
    assert condition(shown(tight, waiting=3)) == ("Limited", "work waits: maxWorkers of the cluster is 2")
    slow = spec_of(raw_type("worker-node", maxWorkers=9), maxWorkers=9)
    assert "upscalingSpeed is 1" in condition(shown(slow, waiting=9))[1]
    blocked = {"worker-node": Pause("QuotaExceeded", "no more", NOW, until=NOW + 9)}
    reason, message = condition(shown(TWO, waiting=1, blocks=blocked))
    assert reason == "Blocked" and "worker-node cannot be launched for now (QuotaExceeded)" in message


def test_request_resources_that_no_type_can_hold_are_listed_and_reported() -> None:
    never = Demand(Shape.of({"CPU": 64}), 3)
    view = RayView(RayState("s", 0.0, (), requested=(never,)), "head-uid", 0.0)
    of = replace(shown(TWO), ray=view)
    plan = make_plan(of)
    assert status_of(of, plan)["infeasibleDemand"] == [{"resources": {"CPU": 64.0}, "count": 3}]
    assert condition(of)[0] == "Infeasible"
    assert report_of(view, plan).infeasible_requested == (never,)


def test_each_type_has_its_own_idle_time() -> None:
    """A minute here, the cluster's five there."""
    spec = spec_of(raw_type("short", idleTimeoutMinutes=1), raw_type("long"), raw_type("never", idleTimeoutMinutes=60))
    parsed = parse_spec(spec)
    pods = [worker_pod(parsed, 0, t) for t in ("short", "long", "never")]

    def retired(idle: float) -> list[str]:
        nodes = tuple(node(n, p.name, p.node_type, idle=idle) for n, p in enumerate(pods, start=1))
        plan = make_plan(shown(spec, *pods, nodes=nodes))
        return [f"{a.pod.node_type}: {a.reason.text}" for a in plan.actions if isinstance(a, RetirePod)]

    assert retired(59) == []
    assert retired(61) == ["short: it has been idle for 1 minute"]
    assert {line.split(":")[0] for line in retired(301)} == {"long", "short"}


def test_a_blocked_type_yields_at_once_and_is_taken_back() -> None:
    spec = spec_of(raw_type("steady"), raw_type("spot", priority=10))
    assert created(make_plan(shown(spec, waiting=1))) == ["spot"]
    blocks = {"spot": Pause("QuotaExceeded", "no more", NOW, until=NOW + 9)}
    plan = make_plan(shown(spec, waiting=1, blocks=blocks))
    assert created(plan) == ["steady"] and plan.look_again_at == NOW + 9


def test_the_order_of_the_list_decides_between_types_that_are_alike() -> None:
    assert created(make_plan(shown(spec_of(raw_type("z"), raw_type("a")), waiting=1))) == ["z"]
    assert created(make_plan(shown(spec_of(raw_type("a"), raw_type("z")), waiting=1))) == ["a"]


def test_running_nodes_show_what_the_pod_leaves_open() -> None:
    """Labels on which all of them agree, and what their accelerator is."""
    spec = spec_of(raw_type("worker-node", maxWorkers=9, startRayCommands=["python start.py"]))
    pods = [worker_pod(parse_spec(spec), n) for n in range(2)]

    def wanted(*labels: dict[str, str]) -> list[str]:
        nodes = tuple(
            replace(node(n, p.name, p.node_type, free=0), labels=labels[n]) for n, p in enumerate(pods[: len(labels)])
        )
        state = RayState("s", 0.0, nodes, (Demand(labelled(CPU, zone="a"), 1),))
        return created(make_plan(replace(shown(spec, *pods[: len(labels)]), ray=RayView(state, "head-uid", 0.0))))

    assert wanted() == []
    assert wanted({"zone": "a"}) == ["worker-node"]
    assert wanted({"zone": "a"}, {"zone": "a", "x": "y"}) == ["worker-node"]
    assert wanted({"zone": "a"}, {"zone": "b"}) == []


def test_the_pod_of_a_type_has_its_labels_and_its_start_commands() -> None:
    start = "ray start --address=$RAY_HEAD_IP:6379 --num-cpus=2"
    spec = parse_spec(spec_of(raw_type("worker-node", labels={"tier": "gold"}, startRayCommands=[start])))
    made = build_pod(cluster(), spec, spec.worker_types[0], "x")["spec"]["containers"][0]
    assert {"name": "RAY_OVERRIDE_LABELS", "value": '{"tier": "gold"}'} in made["env"]
    assert "--num-cpus=2" in made["command"][2]
    plain = parse_spec(spec_of(raw_type("worker-node")))
    without = build_pod(cluster(), plain, plain.worker_types[0], "x")["spec"]["containers"][0]
    assert "RAY_OVERRIDE_LABELS" not in {v["name"] for v in without["env"]}
