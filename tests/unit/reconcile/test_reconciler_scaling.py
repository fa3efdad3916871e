"""Whole passes in which the head has something to say."""

from __future__ import annotations

from collections import Counter

from autoscaler.model import Demand, RayState, Shape
from controller.objects.labels import KIND_LABEL, WORKER
from tests.fakes.heads import node
from tests.support.builders import raw_spec
from tests.support.world import World


def test_counts_of_waiting_work_are_written_every_few_seconds_only() -> None:
    """They change with every answer of the head."""
    world = World(raw_spec(0, maxWorkers=0))
    world.joins = False
    world.settle()

    def wait(count: int) -> int:
        demands = (Demand(Shape.of({"CPU": 1}), count),) if count else ()
        world.heads.state = RayState("s", 0.0, (), demands)
        writes = len(world.api.writes)
        world.step()
        return len(world.api.writes) - writes

    world.now += 60
    assert [wait(1), wait(2), wait(3)] == [1, 0, 0]
    world.now += 5
    assert [wait(4), wait(0)] == [1, 0]


def test_workers_that_become_ready_one_by_one_are_counted_once_a_second_and_the_last_one_at_once() -> None:
    """All minimum workers are there, and the cluster runs: that is not put off."""
    world = World(raw_spec(5, maxWorkers=5))
    world.turns(2)
    ready = [p for p in world.api.of("pods") if p["metadata"]["labels"][KIND_LABEL] == WORKER]
    for pod in ready:
        world.api.put("pods", {**pod, "status": {"phase": "Pending"}})
    world.tell()
    world.now += 60
    world.step()
    world.tell()
    seen = []
    for pod in ready:
        world.api.put("pods", pod)
        world.tell()
        world.now += 0.3
        due = world.step().look_again_in
        seen.append((world.status["readyWorkers"], world.status["phase"], due is not None and due <= 1))
    assert seen == [
        (0, "Updating", True),
        (0, "Updating", True),
        (0, "Updating", True),
        (4, "Updating", False),
        (5, "Running", False),
    ]


def test_a_head_that_falls_silent_is_reported_after_a_minute_and_its_last_demand_launches_nothing() -> None:
    """Nothing else need happen: the pass before says when the next one is due."""
    world = World(raw_spec(0))
    world.joins = False
    world.settle()
    world.heads.state = RayState("s", 0.0, (), (Demand(Shape.of({"CPU": 1}), 3),))
    world.heads.age, world.heads.silent_for = 61.0, 61.0
    world.step()
    assert len(world.api.names("pods")) == 1
    autoscaling = world.condition("Autoscaling")
    assert (autoscaling["status"], autoscaling["reason"]) == ("False", "NoAnswer")
    assert "pendingDemand" not in world.status
    world.heads.age, world.heads.silent_for = 40.0, 40.0
    world.step()
    assert len(world.api.names("pods")) == 4
    world.tell()
    world.kubelet()
    world.tell()
    world.now += 1
    world.step()
    due = world.step().look_again_in
    assert due is not None and 20.0 < due < 21.0


def test_an_idle_worker_is_drained_first_and_its_pod_deleted_only_if_ray_agrees() -> None:
    """A refused drain leaves the pod, and says nothing in Events."""
    spec = raw_spec(1)
    world = World(spec)
    world.joins = False
    world.settle()
    (pod,) = (p for p in world.api.of("pods") if p["metadata"]["labels"][KIND_LABEL] == "worker")
    name = pod["metadata"]["name"]
    spec["podTypes"][1]["minWorkers"] = 0
    world.user(spec)
    world.tell()
    world.now += 600
    world.heads.state = RayState("s", 0.0, (node(1, name, "worker-node", idle=600.0),))
    world.heads.busy = {bytes([1]) * 28}
    before = world.reasons()
    world.step()
    assert world.heads.drained == [] and "deletionTimestamp" not in pod["metadata"]
    assert world.reasons() == before
    world.heads.busy = set()
    world.step()
    assert world.heads.drained == [bytes([1]) * 28]
    assert world.reasons() - before == Counter(RetiredPods=1)
    world.settle()
    assert not [p for p in world.api.of("pods") if p["metadata"]["labels"][KIND_LABEL] == "worker"]
