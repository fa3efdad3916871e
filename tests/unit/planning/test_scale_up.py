"""From waiting work to pods, and from idle workers to none: what a plan does with a head's answer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from autoscaler.model import Demand, NodeStatus, RayNode, RayState, Shape
from controller.planning.actions import CreatePod, DeletePod, RetirePod
from controller.planning.observed import Observed, RayView
from controller.planning.plan import Plan, make_plan
from controller.raycluster.model import parse_spec
from controller.status.cluster_status import report_of, status_of
from tests.fakes.heads import node
from tests.support.builders import NOW, cluster, failed, head_pod, raw_spec, raw_type, seen, worker_pod

CPU = Shape.of({"CPU": 1})
GPU = Shape.of({"GPU": 1})
IDLE_LONG = 301.0


def shown(
    workers: int = 0,
    least: int = 0,
    *nodes: RayNode,
    demand: int = 0,
    shape: Shape = CPU,
    age: float = 0.0,
    session_of: str = "head-uid",
    spec: dict[str, Any] | None = None,
) -> Observed:
    """A head and some workers, and the head's answer in which so many tasks wait."""
    of = cluster(spec or raw_spec(least))
    parsed = parse_spec(of.spec)
    pods = [head_pod(parsed), *(worker_pod(parsed, n) for n in range(workers))]
    demands = (Demand(shape, demand),) if demand else ()
    return seen(pods, of, ray=RayView(RayState("s", 0.0, nodes, demands), session_of, age))


def names(workers: int) -> list[str]:
    parsed = parse_spec(raw_spec())
    return [worker_pod(parsed, n).name for n in range(workers)]


def created(of: Observed) -> list[str]:
    return [a.pod_type.name for a in make_plan(of).actions if isinstance(a, CreatePod)]


def retired(of: Observed) -> list[str]:
    return [a.pod.name for a in make_plan(of).actions if isinstance(a, RetirePod)]


def test_waiting_tasks_become_workers() -> None:
    """Three one-CPU tasks wait, a worker has one CPU: three workers."""
    assert created(shown(demand=3)) == ["worker-node"] * 3


def test_workers_on_their_way_are_not_launched_again() -> None:
    """Three tasks, two pods that are not Ray nodes yet: one more."""
    assert created(shown(2, 0, demand=3)) == ["worker-node"]


def test_a_worker_that_is_busy_is_no_room() -> None:
    """One worker at work, one task waits: one more."""
    at_work = node(1, names(1)[0], "worker-node", free=0)
    assert created(shown(1, 0, at_work, demand=1)) == ["worker-node"]


def test_max_workers_bounds_what_demand_launches() -> None:
    """A thousand tasks and room for ten workers."""
    assert created(shown(demand=1000)) == ["worker-node"] * 5
    assert created(shown(demand=1000, spec=raw_spec(0, upscalingSpeed=100.0))) == ["worker-node"] * 10


def test_an_old_answer_may_launch_but_never_removes() -> None:
    """Ten seconds old: the demand is served, the idle worker stays."""
    idle = node(1, names(1)[0], "worker-node", idle=IDLE_LONG)
    assert retired(shown(1, 0, idle)) == names(1)
    assert retired(shown(1, 0, idle, age=10.0)) == []


def test_an_answer_of_an_earlier_head_counts_for_nothing() -> None:
    """Neither demand nor idleness of a head that has been replaced."""
    idle = node(1, names(1)[0], "worker-node", idle=IDLE_LONG)
    of = shown(1, 0, idle, demand=5, session_of="earlier-head")
    assert created(of) == [] and retired(of) == []


def test_a_worker_is_retired_when_its_idle_time_is_over_and_looked_at_then() -> None:
    """Idle timeout five minutes: at 301 s it goes, at 290 s the plan is to look again in ten."""
    of = shown(1, 0, node(1, names(1)[0], "worker-node", idle=290.0))
    assert retired(of) == []
    assert make_plan(of).look_again_at == pytest.approx(of.now + 10.0)


def test_a_worker_at_work_stays_however_long_nobody_waits() -> None:
    """Not idle: not retired."""
    assert retired(shown(1, 0, node(1, names(1)[0], "worker-node", free=0))) == []


def test_min_workers_stay_though_idle() -> None:
    """Three idle workers and minWorkers 2: one goes, the one that was idle longest."""
    idle = [node(n, name, "worker-node", idle=IDLE_LONG + n) for n, name in enumerate(names(3))]
    assert retired(shown(3, 2, *idle)) == [names(3)[2]]


def test_idle_workers_that_waiting_work_will_use_stay() -> None:
    """Two idle workers, two tasks that wait."""
    idle = [node(n, name, "worker-node", idle=IDLE_LONG) for n, name in enumerate(names(2))]
    assert retired(shown(2, 0, *idle, demand=2)) == []


def test_lowered_max_workers_retires_idle_workers_at_once_and_none_at_work() -> None:
    """Three workers, maxWorkers 1, one of them at work: both idle ones go without waiting out their timeout."""
    spec = raw_spec(0, maxWorkers=1)
    spec["podTypes"][1]["maxWorkers"] = 1
    first, second, third = names(3)
    at_work = node(1, first, "worker-node", free=0)
    idle = (node(2, second, "worker-node", idle=1.0), node(3, third, "worker-node", idle=2.0))
    assert sorted(retired(shown(3, 0, at_work, *idle, spec=spec))) == sorted([second, third])


def test_a_type_that_crashes_leaves_demand_to_another() -> None:
    """The first type's pod waits out its crash: the second type serves."""
    spec = raw_spec(0)
    spec["podTypes"].append(raw_type("other-node", "ray-other-", maxWorkers=3))
    of = cluster(spec)
    parsed = parse_spec(of.spec)
    crashed = failed(worker_pod(parsed, 0, attempt=3))
    answer = RayView(RayState("s", 0.0, (), (Demand(CPU, 1),)), "head-uid", 0.0)
    assert created(seen([head_pod(parsed), crashed], of, ray=answer)) == ["other-node"]


def test_a_dead_node_is_no_room_but_its_pod_is_on_its_way() -> None:
    """Ray lists dead nodes for long: they are neither capacity nor idle."""
    dead = replace(node(1, names(1)[0], "worker-node", idle=IDLE_LONG), status=NodeStatus.DEAD)
    assert retired(shown(1, 0, dead)) == []


def test_a_draining_node_takes_no_work_and_is_not_drained_twice() -> None:
    """One task waits, the only worker drains: another is launched."""
    draining = replace(node(1, names(1)[0], "worker-node"), status=NodeStatus.DRAINING)
    of = shown(1, 0, draining, demand=1)
    assert created(of) == ["worker-node"] and retired(of) == []


def test_infeasible_work_is_reported_in_the_status_and_to_ray() -> None:
    """A GPU task on a cluster without GPUs: nothing is launched, both say so."""
    of = shown(demand=2, shape=GPU)
    plan = make_plan(of)
    assert created(of) == []
    assert status_of(of, plan)["infeasibleDemand"] == [{"resources": {"GPU": 1.0}, "count": 2}]
    assert of.ray is not None
    assert report_of(of.ray, plan).infeasible == (GPU,)


def test_pods_that_are_no_ray_nodes_yet_are_reported_to_ray_as_pending() -> None:
    """One entry for each."""
    of = shown(2, 0, node(1, names(1)[0], "worker-node"))
    assert of.ray is not None
    assert [p.instance_id for p in report_of(of.ray, make_plan(of)).pending] == [names(2)[1]]


def test_the_status_shows_what_waits() -> None:
    """Grouped by shape; absent when nothing waits."""
    of = shown(demand=7)
    assert status_of(of, make_plan(of))["pendingDemand"] == [{"resources": {"CPU": 1.0}, "count": 7}]
    assert "pendingDemand" not in status_of(shown(), make_plan(shown()))


def test_custom_resources_are_launched_from_zero() -> None:
    """A type whose rayResources name what a task wants, though no such worker exists."""
    spec = raw_spec(0)
    spec["podTypes"].append(raw_type("special", "ray-special-", maxWorkers=2, rayResources={"special": 2}))
    of = shown(demand=3, shape=Shape.of({"special": 1}), spec=spec)
    assert created(of) == ["special", "special"]


def test_a_worker_that_has_just_started_may_be_at_work_already_and_is_not_deleted_as_surplus() -> None:
    """It joins, and is asked; or it does not within a minute. One whose container does not run has no work."""
    parsed = parse_spec(raw_spec(0, maxWorkers=0))

    def plan(**fields: Any) -> Plan:
        worker = worker_pod(parsed, **{"ready": False, "started_at": NOW - 20, **fields})
        of = cluster(raw_spec(0, maxWorkers=0))
        return make_plan(seen([head_pod(parsed), worker], of, ray=RayView(RayState("s", 0.0, ()), "head-uid", 0.0)))

    starting = plan(running_since=NOW - 5)
    assert (starting.actions, starting.look_again_at) == ((), NOW + 40)
    late = plan(started_at=NOW - 600, running_since=NOW - 5)
    assert (late.actions, late.look_again_at) == ((), NOW + 55)
    assert [type(a) for a in plan(running_since=NOW - 60).actions] == [DeletePod]
    assert [type(a) for a in plan(phase="Pending").actions] == [DeletePod]


def test_a_worker_that_does_not_join_is_looked_at_though_nothing_happens() -> None:
    """Idle timeout five minutes, age ten seconds."""
    parsed = parse_spec(raw_spec(0))
    worker = worker_pod(parsed, ready=False, started_at=NOW - 10)
    of = seen([head_pod(parsed), worker], cluster(raw_spec(0)), ray=RayView(RayState("s", 0.0, ()), "head-uid", 0.0))
    assert make_plan(of).look_again_at == NOW + 50


def test_a_crash_beyond_the_minimum_costs_no_worker_of_the_minimum_its_place() -> None:
    """Two idle ones are the minimum; a third waits for its next try."""
    idle = [node(n, name, "worker-node", idle=IDLE_LONG) for n, name in enumerate(names(2))]
    of = shown(2, 2, *idle)
    crashed = failed(worker_pod(of.spec, 2), attempt=3)
    assert retired(replace(of, pods=[*of.pods, crashed])) == []


def test_edited_ray_resources_count_though_older_workers_run() -> None:
    """A resource added to a type of which one worker runs: demand for it launches another, and is not infeasible."""
    spec = raw_spec(0)
    spec["podTypes"][1]["rayResources"] = {"special": 1}
    at_work = node(1, names(1)[0], "worker-node", free=0)
    of = shown(1, 0, at_work, demand=1, shape=Shape.of({"special": 1}), spec=spec)
    assert created(of) == ["worker-node"]


def test_few_workers_are_retired_at_a_time() -> None:
    """Forty idle workers do not hold up other clusters with forty drains."""
    spec = raw_spec(0, maxWorkers=40)
    spec["podTypes"][1]["maxWorkers"] = 40
    idle = [node(n, name, "worker-node", idle=IDLE_LONG) for n, name in enumerate(names(40))]
    assert len(retired(shown(40, 0, *idle, spec=spec))) == 16


def test_a_head_that_does_not_answer_is_named_with_what_that_means() -> None:
    """The cluster is Ready, and says that nothing but minWorkers is kept; an answer takes it back."""
    silent = replace(shown(), ray=None)
    told = {c["type"]: c for c in status_of(silent, make_plan(silent))["conditions"]}
    assert told["Ready"]["status"] == "True"
    assert (told["Autoscaling"]["status"], told["Autoscaling"]["reason"]) == ("False", "NoAnswer")
    assert "10.0.0.1:6379" in told["Autoscaling"]["message"]
    told = {c["type"]: c for c in status_of(shown(), make_plan(shown()))["conditions"]}
    assert told["Autoscaling"]["status"] == "True"
