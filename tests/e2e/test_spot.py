"""Spot machines first, on-demand machines when there are none, each idle in its own time: real nodes, real Ray.

What has no machine here is a quota for the pods of spot machines, which are known by their PriorityClass.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from elastic import apply_cluster, operated, ray_cluster

from tests.support.elastic_cluster import EVERY_WORKER, LONG, Elastic
from tests.support.kube import Kube, eventually

NAMESPACE, NAME = "ray-spot", "market"
MARKET = "ray.io/market-type"
SPOT, ON_DEMAND = "ray-user-node-type=spot", "ray-user-node-type=on-demand"
CLASS, QUOTA = "ray-spot-machine", "spot-machines"
# Six seconds and thirty.
SPOT_IDLE, ON_DEMAND_IDLE = 0.1, 0.5


def wanted() -> dict[str, Any]:
    """Two types that differ in their market only."""
    types = [
        {"name": "on-demand", "maxWorkers": 2, "rayResources": {"CPU": 1}, "idleTimeoutMinutes": ON_DEMAND_IDLE},
        {"name": "spot", "maxWorkers": 2, "rayResources": {"CPU": 1}, "idleTimeoutMinutes": SPOT_IDLE, "priority": 10},
    ]
    cluster = ray_cluster(NAME, types, maxWorkers=4)
    for pod_type in cluster["spec"]["podTypes"][1:]:
        pod = pod_type["podConfig"]["spec"]
        pod["containers"][0]["env"] = [{"name": "RAY_NODE_MARKET_TYPE", "value": pod_type["name"]}]
        if pod_type["name"] == "spot":
            pod["priorityClassName"] = CLASS
    return cluster


def quota(pods: int) -> dict[str, Any]:
    """So many pods of spot machines may be there."""
    scope = {"matchExpressions": [{"scopeName": "PriorityClass", "operator": "In", "values": [CLASS]}]}
    spec = {"hard": {"pods": str(pods)}, "scopeSelector": scope}
    return {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": QUOTA}, "spec": spec}


@pytest.fixture(scope="module")
def cluster(environment: Mapping[str, str]) -> Iterator[Elastic]:
    kube = Kube(environment, NAMESPACE)
    spot = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": CLASS}, "value": 0}
    try:
        with operated(environment, NAMESPACE):
            kube.apply(spot, quota(2))
            apply_cluster(environment, NAMESPACE, wanted())
            elastic = Elastic(kube, NAME)
            yield elastic
            elastic.hang_up()
            print(kube.run("logs", "deployment/ray-operator", "--tail=200"))
    finally:
        kube.run("delete", "priorityclass", CLASS, "--ignore-not-found")


@pytest.fixture
def elastic(cluster: Elastic) -> Iterator[Elastic]:
    """Each test begins and ends with no worker, and with room for spot machines."""
    assert not cluster.pods()
    yield cluster
    cluster.kube.apply(quota(2))
    cluster.shrinks_to_nothing()


@pytest.mark.parametrize(
    ("asked", "served"),
    [("spot", SPOT), ("!spot", ON_DEMAND), ("in(on-demand, reserved)", ON_DEMAND), ("!in(on-demand, reserved)", SPOT)],
)
def test_a_task_brings_the_machine_of_its_market(elastic: Elastic, asked: str, served: str) -> None:
    elastic.tell("start", 1, {"CPU": 1}, {MARKET: asked})
    elastic.grows_to(1, served)
    assert len(elastic.pods()) == 1


def test_work_for_any_market_goes_to_spot_machines(elastic: Elastic) -> None:
    elastic.tell("start", 2, {"CPU": 1}, None)
    elastic.grows_to(2, SPOT)
    assert not elastic.pods(ON_DEMAND)


@pytest.mark.parametrize("fallback", [None, [{"label_selector": {MARKET: "on-demand"}}]])
def test_without_spot_machines_work_goes_on_demand_and_later_work_goes_back(elastic: Elastic, fallback: Any) -> None:
    """By the types' order for work that runs anywhere, and by the work's own order."""
    labels = {MARKET: "spot"} if fallback else None
    elastic.kube.apply(quota(0))
    eventually(lambda: elastic.kube.get("resourcequota", QUOTA)["status"]["hard"]["pods"] == "0", within=LONG)
    asked_at = time.monotonic()
    elastic.tell("start", 1, {"CPU": 1}, labels, fallback)
    eventually(lambda: elastic.pods(ON_DEMAND), within=10, promised=True)
    print(f"on demand {time.monotonic() - asked_at:.1f} s after the task was submitted")
    (blocked,) = elastic.status["blockedTypes"]
    assert blocked["name"] == "spot" and QUOTA in str(blocked), blocked
    elastic.grows_to(1, ON_DEMAND)

    elastic.kube.apply(quota(2))
    elastic.tell("start", 2, {"CPU": 1}, labels, fallback)
    # One of them may have gone on demand before the type was tried again.
    eventually(lambda: elastic.pods(SPOT), within=LONG)
    print(f"spot again {time.monotonic() - asked_at:.1f} s after the first task was submitted")


def test_spot_machines_go_after_six_seconds_and_others_after_thirty(elastic: Elastic) -> None:
    for market in ("spot", "on-demand"):
        elastic.tell("start", 1, {"CPU": 1}, {MARKET: market})
    eventually(lambda: elastic.status["readyWorkers"] == 2, within=LONG)
    elastic.tell("clear")
    idle_at = time.monotonic()
    eventually(lambda: not elastic.pods(SPOT), within=LONG)
    assert time.monotonic() - idle_at > 5
    assert len(elastic.pods(EVERY_WORKER)) == len(elastic.pods(ON_DEMAND)) == 1
    eventually(lambda: not elastic.pods(), within=LONG)
    assert time.monotonic() - idle_at > 28
