"""Waiting work becomes pods and idle pods go away, whatever happens meanwhile: real nodes, real Ray.

One cluster without workers, one operator of its own, one Ray program on the head that does what it is told.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from elastic import apply_cluster, operated, ray_cluster

from tests.support.elastic_cluster import EVERY_WORKER, LONG, Elastic
from tests.support.kube import Kube, eventually

NAMESPACE, NAME = "ray-autoscaling", "elastic"
HEAD, WORKER, GADGET = "ray-node-type=head", "ray-user-node-type=worker", "ray-user-node-type=gadget"
# Three seconds.
IDLE_MINUTES = 0.05


@pytest.fixture(scope="module")
def cluster(environment: Mapping[str, str]) -> Iterator[Elastic]:
    types = [
        {"name": "worker", "minWorkers": 0, "maxWorkers": 3, "rayResources": {"CPU": 2}},
        {"name": "gadget", "minWorkers": 0, "maxWorkers": 3, "rayResources": {"CPU": 1, "gadget": 1}},
    ]
    wanted = ray_cluster(NAME, types, maxWorkers=5, idleTimeoutMinutes=IDLE_MINUTES)
    with operated(environment, NAMESPACE):
        apply_cluster(environment, NAMESPACE, wanted)
        elastic = Elastic(Kube(environment, NAMESPACE), NAME)
        yield elastic
        elastic.hang_up()
        print(elastic.kube.run("logs", "deployment/ray-operator", "--tail=200"))


@pytest.fixture
def elastic(cluster: Elastic) -> Iterator[Elastic]:
    """Each test begins and ends with no worker."""
    assert not cluster.pods()
    yield cluster
    cluster.set_bounds(minWorkers=0, maxWorkers=3)
    cluster.shrinks_to_nothing()


KINDS: dict[str, tuple[Callable[[Elastic], object], int, str]] = {
    "tasks": (lambda e: e.tell("start", 3, {"CPU": 2}, None), 3, WORKER),
    "actors": (lambda e: (e.tell("create", 3, {"CPU": 2}), e.tell("lives")), 3, WORKER),
    "STRICT_SPREAD": (lambda e: e.tell("gang", "STRICT_SPREAD", [{"CPU": 1}] * 3), 3, EVERY_WORKER),
    "SPREAD": (lambda e: e.tell("gang", "SPREAD", [{"CPU": 2}] * 3), 3, WORKER),
    "PACK": (lambda e: e.tell("gang", "PACK", [{"CPU": 1}] * 6), 3, WORKER),
    "STRICT_PACK": (lambda e: e.tell("gang", "STRICT_PACK", [{"CPU": 1}] * 2), 1, WORKER),
    "custom resource": (lambda e: e.tell("start", 3, {"gadget": 1}, None), 3, GADGET),
    "request_resources": (lambda e: e.tell("request", 6), 3, WORKER),
    "label selector": (lambda e: e.tell("start", 3, {"CPU": 1}, {"ray.io/node-group": "gadget"}), 3, GADGET),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_waits_brings_its_workers_and_they_go_with_it(elastic: Elastic, kind: str) -> None:
    """0 → 3 → 0, by whatever a Ray program can wait for, and of the type that it takes."""
    ask, count, selector = KINDS[kind]
    ask(elastic)
    elastic.grows_to(count, selector)
    elastic.tell("placed")
    assert len(elastic.pods()) == count
    elastic.shrinks_to_nothing()


def test_each_type_is_idle_by_itself(elastic: Elastic) -> None:
    """An actor keeps its gadget, while the workers around it go."""
    elastic.tell("create", 1, {"gadget": 1})
    elastic.tell("run", [1.0] * 4, {"CPU": 2})
    life = elastic.tell("lives")
    eventually(lambda: elastic.tell("ended") == [4, [], 0], within=LONG)
    eventually(lambda: not elastic.pods(WORKER), within=LONG)
    assert len(elastic.pods(GADGET)) == 1
    assert elastic.tell("lives") == life
    assert "1 gadget" in elastic.kube.run("exec", *elastic.pods(HEAD), "--", "ray", "status")


def test_bounds_are_edited_while_actors_live(elastic: Elastic) -> None:
    """Below what runs: nobody is killed, and nobody comes. Above it: one more comes. minWorkers: they come unasked."""
    elastic.tell("create", 3, {"CPU": 2})
    lives = elastic.tell("lives")
    before = elastic.pods(WORKER)
    elastic.set_bounds(maxWorkers=1)
    eventually(lambda: len(leaving(elastic)) == 2, within=LONG)
    elastic.tell("create", 1, {"CPU": 2})
    eventually(lambda: condition(elastic, "DemandMet")["reason"] == "Limited", within=LONG)
    assert elastic.pods(WORKER) == before
    elastic.set_bounds(maxWorkers=4)
    eventually(lambda: len(elastic.pods(WORKER)) == 4, within=LONG)
    assert elastic.tell("lives")[:3] == lives
    elastic.tell("clear")
    eventually(lambda: not elastic.pods(WORKER), within=LONG)
    elastic.set_bounds(minWorkers=1)
    elastic.grows_to(1, WORKER)


def test_no_task_and_no_actor_is_killed_by_a_scale_down(elastic: Elastic) -> None:
    """A storm of tasks as long as the idle timeout, more or less, while bounds go up and down: all of them end well."""
    rng = random.Random(7)
    elastic.tell("create", 1, {"CPU": 1})
    lives = elastic.tell("lives")
    submitted, seen = 0, set(elastic.pods())
    end = time.monotonic() + 60
    while time.monotonic() < end:
        tasks = [rng.uniform(0.1, 6.0) for _ in range(rng.choice((1, 2, 6)))]
        elastic.tell("run", tasks, {"CPU": rng.choice((1, 2))})
        submitted += len(tasks)
        elastic.set_bounds(minWorkers=rng.choice((0, 0, 1)), maxWorkers=rng.choice((1, 2, 3)))
        seen |= set(elastic.pods())
        time.sleep(rng.uniform(1.0, 6.0))
    elastic.set_bounds(minWorkers=0, maxWorkers=3)
    eventually(lambda: elastic.tell("ended")[2] == 0, within=LONG)
    well, lost, _ = elastic.tell("ended")
    assert (well, lost) == (submitted, [])
    assert elastic.tell("lives") == lives
    eventually(lambda: len(elastic.pods()) == 1, within=LONG)
    assert "idle" in events(elastic) and len(seen) > 1


def test_the_operator_dies_on_the_way_up_and_on_the_way_down(elastic: Elastic) -> None:
    """Its successor makes nothing twice, and takes everybody away who is idle."""
    elastic.tell("gang", "STRICT_SPREAD", [{"CPU": 2}] * 3)
    eventually(elastic.pods, within=LONG)
    elastic.kill_operator()
    elastic.grows_to(3, WORKER)
    elastic.tell("placed")
    elastic.tell("clear")
    elastic.kill_operator()
    eventually(lambda: not elastic.pods(), within=LONG)


def test_a_worker_dies_on_the_way_up_and_on_the_way_down(elastic: Elastic) -> None:
    """A placement group gets another node for the one it lost; nobody replaces one that is not needed."""
    elastic.tell("gang", "STRICT_SPREAD", [{"CPU": 2}] * 3)
    eventually(lambda: len(elastic.pods()) == 3, within=LONG)
    first = elastic.pods()
    elastic.kill(first[0])
    elastic.tell("placed")
    elastic.grows_to(3, WORKER)
    elastic.tell("clear")
    elastic.kill(elastic.pods()[0])
    eventually(lambda: not elastic.pods(), within=LONG)


@pytest.mark.parametrize("way", ["up", "down"])
def test_the_head_dies_on_the_way(elastic: Elastic, way: str) -> None:
    """A new Ray knows nothing of the old work: no worker is left over, and the next one who asks is served."""
    elastic.tell("start", 2, {"CPU": 2}, None)
    eventually(lambda: len(elastic.pods()) == 2, within=LONG)
    if way == "down":
        elastic.grows_to(2, WORKER)
        elastic.tell("clear")
    retries = elastic.status["autoscalerRetries"]
    old = elastic.pods(HEAD)
    elastic.kill(*old)
    elastic.hang_up()
    eventually(lambda: elastic.status["autoscalerRetries"] == retries + 1, within=LONG)
    eventually(lambda: condition(elastic, "HeadReady")["status"] == "True", within=LONG)
    eventually(lambda: not elastic.pods(), within=LONG)
    assert len(elastic.pods(HEAD)) == 1
    elastic.tell("create", 1, {"CPU": 2})
    elastic.tell("lives")
    assert len(elastic.pods()) == 1


def leaving(elastic: Elastic) -> list[str]:
    """The workers that have been told to finish."""
    pods = elastic.kube.list("pods", EVERY_WORKER)
    return [p["metadata"]["name"] for p in pods if "cluster.ray.io/drain-by" in p["metadata"]["annotations"]]


def condition(elastic: Elastic, kind: str) -> dict[str, Any]:
    """One condition of the RayCluster."""
    found: dict[str, Any] = next(c for c in elastic.status["conditions"] if c["type"] == kind)
    return found


def events(elastic: Elastic) -> str:
    """What was announced of the RayCluster."""
    return elastic.kube.run("get", "events", "-o", "jsonpath={.items[*].message}")
