"""RayClusters and pods of any shape: whole passes over them, as the operator makes them."""

from __future__ import annotations

import copy
from random import Random
from typing import Any

from hypothesis import given

from controller.kube.well_formed import well_formed
from controller.objects.views import PodView, ServiceView
from controller.raycluster.model import RayCluster
from tests.support.builders import NOW_TEXT, raw_spec, raw_type
from tests.support.world import World
from tests.unit.fuzz.engine import as_sent, assert_no_exception_in, bounded, few, mutated, seeds

START = "ulimit -n 65536; ray start --head --port=6379 --num-cpus=2 --labels=zone=a --resources='{\"fast\": 1}'"
SPECS = (
    raw_spec(),
    raw_spec(1, headStartRayCommands=["ray stop", START], idleTimeoutMinutes=1, upscalingSpeed=2),
    raw_spec(
        podTypes=[
            raw_type("head-node", "ray-head-", rayResources={"CPU": 0}),
            raw_type("a", minWorkers=1, maxWorkers=3, labels={"zone": "a"}, priority=5),
            raw_type("b", maxWorkers=1, workerSetupCommands=["echo $HOME"], workerStartRayCommands=["ray start"]),
        ]
    ),
)


@few
@given(seeds)
def test_a_raycluster_of_any_shape_is_run_or_says_what_is_wrong(seed: int) -> None:
    random = Random(seed)
    spec = as_sent(mutated(random.choice(SPECS), random, random.choice((1, 1, 2, 5))))
    world = World()
    if not isinstance(spec, dict):
        # No RayCluster of any CRD.
        return
    with bounded("RayClusters"):
        world.user(spec)
        world.turns(3)
    assert_no_exception_in([world.status, world.api.events])


@few
@given(seeds)
def test_a_status_that_anyone_has_written_keeps_nothing_from_working(seed: int) -> None:
    random = Random(seed)
    world = World()
    world.turns(4)
    found = copy.deepcopy(next(iter(world.api.of("rayclusters"))))
    found["status"] = as_sent(mutated(found["status"], random, random.choice((1, 3, 8))))
    if not isinstance(found["status"], dict):
        return
    with bounded("statuses"):
        world.api.put("rayclusters", found)
        world.turns(3)
    assert_no_exception_in([world.status, world.api.events])


def pod_status(pod: dict[str, Any]) -> dict[str, Any]:
    """What a kubelet says of a pod, with most of the fields that it fills in."""
    name = pod["spec"]["containers"][0]["name"]
    states = {"running": {"startedAt": NOW_TEXT}, "waiting": {"reason": "ErrImagePull", "message": "no such image"}}
    ended = {
        "terminated": {"exitCode": 1, "reason": "Error", "message": "m", "startedAt": NOW_TEXT, "finishedAt": NOW_TEXT}
    }
    kinds = ("Ready", "ContainersReady", "PodScheduled")
    conditions = [
        {
            "type": kind,
            "status": "True",
            "reason": "Unschedulable",
            "message": "0/3 nodes",
            "lastTransitionTime": NOW_TEXT,
        }
        for kind in kinds
    ]
    return {
        "phase": "Running",
        "podIP": "10.0.0.1",
        "conditions": conditions,
        "containerStatuses": [{"name": name, "ready": True, "state": {**states}, "lastState": ended}],
        "initContainerStatuses": [{"name": "i", "ready": True, "state": ended}],
    }


@few
@given(seeds)
def test_pods_and_services_of_any_shape_are_set_aside_or_served(seed: int) -> None:
    random = Random(seed)
    world = World()
    world.turns(4)
    with bounded("pods"):
        for number, resource in enumerate(("pods", "pods", "services")):
            obj = copy.deepcopy(random.choice(list(world.api.of(resource))))
            if resource == "pods":
                obj["status"] = pod_status(obj)
            part = random.choice(("metadata", "spec", "status"))
            obj[part] = as_sent(mutated(obj.get(part), random, random.choice((1, 2, 6))))
            if isinstance(obj["metadata"], dict):
                obj["metadata"]["resourceVersion"] = str(world.api.version + 1_000 + number)
            _watched(world, resource, obj)
        for _ in range(3):
            world.step()
            world.now += 1
    assert_no_exception_in([world.status, world.api.events])


def _watched(world: World, resource: str, obj: dict[str, Any]) -> None:
    """As the watch does it: what cannot be read is set aside."""
    read = PodView.from_object if resource == "pods" else ServiceView.from_object
    try:
        view: Any = well_formed(read(obj))
    except Exception:
        return
    (world.stores.pods if resource == "pods" else world.stores.services).watched(view, "")


@few
@given(seeds)
def test_a_raycluster_with_any_metadata_is_set_aside_or_served(seed: int) -> None:
    random = Random(seed)
    world = World()
    obj = copy.deepcopy(next(iter(world.api.of("rayclusters"))))
    obj["metadata"] = as_sent(mutated(obj["metadata"], random, random.choice((1, 2, 4))))
    with bounded("metadata"):
        try:
            view = well_formed(RayCluster.from_object(obj))
        except Exception:
            return
        if not (view.key.name and view.key.namespace):
            # No API server has such an object.
            return
        world.stores.clusters.watched(view, "")
        world.reconciler.reconcile(view.key)
