"""A podConfig that leaves the size of its pods open: what the API server gives them is what Ray is told."""

from __future__ import annotations

import json
from typing import Any

import pytest

from autoscaler.model import Demand, RayState, Shape
from controller.kube.client import ApiError
from controller.objects.labels import HEAD, KIND_LABEL, WORKER
from tests.support.builders import raw_spec
from tests.support.world import World

DEFAULTS = {"limits": {"cpu": "2", "memory": "3Gi"}, "requests": {"cpu": "1", "memory": "2Gi"}}
MEMORY = 3 * 2**30 * 7 // 10


def silent(workers: int = 1, **resources: Any) -> dict[str, Any]:
    """A spec whose podConfigs have these resources alone."""
    spec = raw_spec(workers)
    for pod_type in spec["podTypes"]:
        pod_type["podConfig"]["spec"]["containers"][0]["resources"] = resources
    return spec


def limit_range(given: dict[str, Any] | None = None) -> Any:
    """What a LimitRange does to a pod: defaults for each container that does not name a resource."""

    def admit(pod: dict[str, Any]) -> None:
        for container in pod["spec"]["containers"]:
            own = container.setdefault("resources", {})
            for part, defaults in (given or DEFAULTS).items():
                own[part] = {**defaults, **(own.get(part) or {})}

    return admit


def world_of(spec: dict[str, Any], admit: Any = None) -> World:
    """A cluster that runs."""
    world = World(spec)
    world.api.admit = admit or limit_range()
    world.settle()
    return world


def told(world: World, kind: str = WORKER) -> dict[str, Any]:
    """What Ray is told in the newest pod of a kind."""
    pods = [p for p in world.api.of("pods") if p["metadata"]["labels"][KIND_LABEL] == kind]
    (ray,) = [c for c in pods[-1]["spec"]["containers"] if c["name"] == "ray-node"]
    found: dict[str, Any] = json.loads(next(v["value"] for v in ray["env"] if v["name"] == "RAY_OVERRIDE_RESOURCES"))
    return found


def test_what_a_limit_range_gives_is_what_ray_is_told() -> None:
    world = world_of(silent())
    assert told(world, HEAD) == told(world) == {"CPU": 2, "GPU": 0, "memory": MEMORY}
    assert world.status["phase"] == "Running"


@pytest.mark.parametrize(
    ("resources", "given", "expected"),
    [
        # Ray finds out itself how much memory there is.
        ({"requests": {"cpu": "1"}}, None, {"CPU": 1}),
        ({"limits": {"nvidia.com/gpu": 1}}, None, {"CPU": 2, "GPU": 1, "memory": MEMORY}),
        ({}, {"requests": {"cpu": "500m"}}, {"CPU": 1}),
        ({}, {"limits": {"cpu": 4, "nvidia.com/gpu": 2}}, {"CPU": 4, "GPU": 2}),
        ({"limits": {"cpu": 3, "memory": "1Gi"}}, None, {"CPU": 3, "memory": 2**30 * 7 // 10}),
        # Ray cannot be told of two kinds of GPU, which no check of the spec has seen.
        ({"limits": {"nvidia.com/gpu": 1}}, {"limits": {"cpu": 4, "amd.com/gpu": 2}}, {"CPU": 0, "GPU": 1}),
    ],
)
def test_what_the_pod_config_names_counts_as_it_is(
    resources: dict[str, Any], given: dict[str, Any] | None, expected: dict[str, Any]
) -> None:
    assert told(world_of(silent(**resources), limit_range(given))) == {"GPU": 0, **expected}


def test_ray_resources_win_and_save_the_question() -> None:
    spec = silent()
    for pod_type in spec["podTypes"]:
        pod_type["rayResources"] = {"CPU": 7, "memory": 1000}
    world = world_of(spec)
    assert told(world) == {"CPU": 7, "GPU": 0, "memory": 1000}
    asked = len(world.api.trials)
    world.boot()
    world.settle()
    assert len(world.api.trials) == asked


def test_a_container_that_a_webhook_puts_first_is_not_rays() -> None:
    def admit(pod: dict[str, Any]) -> None:
        limit_range()(pod)
        proxy = {"name": "proxy", "resources": {"limits": {"cpu": "9"}}}
        pod["spec"]["containers"] = [proxy, *(c for c in pod["spec"]["containers"] if c["name"] != "proxy")]

    assert told(world_of(silent(), admit))["CPU"] == 2


def waiting(world: World, cpus: int) -> None:
    """A task waits in Ray."""
    demand = Demand(Shape.of({"CPU": cpus}), 1)
    state = world.heads.state
    world.heads.state = RayState("s", 0.0, state.nodes if state else (), (demand,))


def test_work_that_fits_the_given_size_brings_a_worker_also_after_a_restart() -> None:
    """Of a type without pods, nothing else tells the next process how large its nodes are."""
    world = world_of(silent(workers=0))
    world.boot()
    world.ray()
    waiting(world, 2)
    world.step()
    assert told(world) == {"CPU": 2, "GPU": 0, "memory": MEMORY}


def test_no_pod_is_replaced_when_the_defaults_change_and_the_next_one_follows_them() -> None:
    world = world_of(silent())
    before = world.api.names("pods")
    world.api.admit = limit_range({"limits": {"cpu": "4"}})
    world.now += 3601
    world.settle()
    assert world.api.names("pods") == before
    world.fail(WORKER)
    world.settle()
    assert told(world)["CPU"] == 4


@pytest.mark.parametrize("error", [ApiError(500, "", "failed calling webhook"), ApiError(403, "", "exceeded quota: q")])
def test_an_answer_that_says_nothing_leaves_what_was_known(error: ApiError) -> None:
    world = world_of(silent())
    world.api.refuse = lambda _, what, name: error if (what, name) == ("pods", "trial") else None
    world.now += 3601
    world.fail(WORKER)
    world.settle()
    assert (told(world)["CPU"], world.status["phase"]) == (2, "Running")


def test_named_sizes_cost_no_question_of_a_cluster_that_runs() -> None:
    world = world_of(raw_spec())
    asked = len(world.api.trials)
    world.now += 3600
    world.boot()
    world.settle()
    assert (asked, len(world.api.trials)) == (2, 2)
