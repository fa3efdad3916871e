"""A head that is lost at each step of a scale-up, against a real API server: the count is right, and nothing twice."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any
from uuid import uuid4

import pytest

from autoscaler.model import Demand, Shape
from tests.support.apiserver import ApiServer
from tests.support.kube import eventually
from tests.support.namespace import Namespace
from tests.support.operator import OperatorProcess

TASKS = 20
# The head itself has room for one more.
WAITING = TASKS + 1
STEPS = range(TASKS + 1)


@pytest.fixture
def space(environment: Mapping[str, str]) -> Iterator[Namespace]:
    """A namespace whose pods run as soon as they are there, and whose workers take the work that waits."""
    made = Namespace(ApiServer(environment["KUBECONFIG"]), f"recovery-{uuid4().hex[:8]}")
    made.create()
    made.kubelet(take_work=True)
    yield made
    made.stop()
    made.empty()


@pytest.fixture
def clusters(space: Namespace, example: dict[str, Any]) -> list[str]:
    """One for each step, with room for more workers than there is work."""
    spec = example["spec"]
    spec |= {"maxWorkers": 2 * TASKS, "headRecovery": {"redis": {"address": "redis:6379"}}}
    spec["podTypes"][1] |= {"minWorkers": 0, "maxWorkers": 2 * TASKS, "rayResources": {"CPU": 1}}
    names = [f"step-{step}" for step in STEPS]
    for name in names:
        made = copy.deepcopy(example)
        made["metadata"]["name"] = name
        space.make(made)
    return names


class Scaling:
    """What became of the clusters so far: their workers ever seen, by uid, and whose head was ended."""

    def __init__(self, space: Namespace, clusters: list[str]) -> None:
        self._space = space
        self.workers: dict[str, set[str]] = {name: set() for name in clusters}
        self.ended: set[str] = set()

    def look(self) -> dict[str, int]:
        """The workers that are there now, per cluster. A head is ended when as many are there as its step says."""
        now = dict.fromkeys(self.workers, 0)
        for pod in self._space.pods("worker"):
            metadata = pod["metadata"]
            name = metadata["labels"]["ray-cluster-name"]
            self.workers[name].add(metadata["uid"])
            now[name] += 1
        for pod in self._space.pods("head"):
            name = pod["metadata"]["labels"]["ray-cluster-name"]
            if name not in self.ended and now[name] >= int(name.removeprefix("step-")):
                self.ended.add(name)
                self._space.delete("pods", pod["metadata"]["name"])
        return now

    def over(self) -> bool:
        """Every head was ended, and every task has its worker, which the next head knows."""
        counts = self.look()
        if len(self.ended) < len(counts) or set(counts.values()) != {TASKS}:
            return False
        heads = self._space.heads()
        left = [sum(demand.count for demand in head.demands) for head in heads]
        return left == [WAITING - TASKS] * len(counts) and all(len(head.nodes) == TASKS + 1 for head in heads)


def test_a_head_that_is_lost_at_any_step_costs_no_worker_and_makes_none_twice(
    space: Namespace, operator_of: OperatorProcess, clusters: list[str]
) -> None:
    """0 to 20 workers, a cluster for each number of workers at which its head is lost."""
    # A head that is lost before its status names it was never there for anybody.
    eventually(lambda: _settled(space, clusters, 0))
    scaling = Scaling(space, clusters)
    for head in space.heads():
        head.demands = (Demand(Shape.of({"CPU": 1}), WAITING),)
    eventually(scaling.over)
    assert {name: len(made) for name, made in scaling.workers.items()} == dict.fromkeys(clusters, TASKS)
    statuses = eventually(lambda: _settled(space, clusters, TASKS))
    assert [s["autoscalerRetries"] for s in statuses] == [1] * len(clusters)


def _settled(space: Namespace, clusters: list[str], workers: int) -> list[dict[str, Any]]:
    """The status of each, once all run with so many workers."""
    found: list[dict[str, Any]] = [space.get("rayclusters", name).get("status", {}) for name in clusters]
    return found if all((s.get("phase"), s.get("readyWorkers")) == ("Running", workers) for s in found) else []


@pytest.fixture
def operator_of(environment: Mapping[str, str], space: Namespace) -> Iterator[OperatorProcess]:
    """The operator of the namespace."""
    process = OperatorProcess(environment, space.name)
    process.start()
    yield process
    process.stop()
    process.close()
