"""The legacy operator's scaling runs in their full size: thirty workers and fifteen actors, on nodes without a kubelet.

The heads are not on those nodes: they are played, and answer the operator.
"""

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
from tests.support.raycluster import NAME, on_fake_nodes


def cluster(example: dict[str, Any], workers: int) -> dict[str, Any]:
    """The example with room for a hundred workers. Only they are for the nodes that are there.

    No worker can have been idle for longer than its pod runs: one that says so is the node of an earlier pod. So the
    idle timeout is short, in place of a long idle time.
    """
    made = copy.deepcopy(example)
    made["spec"] |= {"maxWorkers": 100, "idleTimeoutMinutes": 3 / 60}
    on_fake_nodes(made, "worker-node")
    made["spec"]["podTypes"][1] |= {"minWorkers": workers, "maxWorkers": 100}
    return made


@pytest.fixture
def places(environment: Mapping[str, str]) -> Iterator[tuple[Namespace, Namespace]]:
    """Two namespaces, and one operator for both."""
    server = ApiServer(environment["KUBECONFIG"])
    spaces = [Namespace(server, f"legacy-{uuid4().hex[:8]}") for _ in range(2)]
    operator = OperatorProcess(environment, ",".join(space.name for space in spaces))
    for space in spaces:
        space.create()
        space.kubelet(heads_only=True, take_work=True)
    operator.start()
    yield spaces[0], spaces[1]
    operator.stop()
    operator.close()
    for space in spaces:
        space.stop()


def test_thirty_workers_come_and_go_and_fifteen_actors_bring_fifteen_pods(
    places: tuple[Namespace, Namespace], example: dict[str, Any]
) -> None:
    """31 pods, beside 2 of a cluster of the same name in another namespace; then the head alone; 15 pods; and back."""
    first, second = places
    first.make(cluster(example, 30))
    second.make(cluster(example, 1))
    for space, workers in ((first, 30), (second, 1)):
        eventually(lambda space=space, workers=workers: space.settled(NAME, workers))  # type: ignore[misc]
    assert (len(first.pods()), len(second.pods())) == (31, 2)

    first.edit(NAME, ("podTypes/1/minWorkers", 0))
    first.finish_work(idle_seconds=4)
    # What plays the kubelet deletes by name: a later pod of that name must not be there yet.
    eventually(lambda: len(first.server.ask("GET", first.path("pods"))["items"]) == 1)

    (head,) = first.heads()
    # The head takes one of them.
    head.demands = (Demand(Shape.of({"CPU": 1}), 15),)
    eventually(lambda: first.settled(NAME, 14))
    eventually(lambda: sum(demand.count for demand in head.demands) == 1)
    assert (len(first.pods()), len(second.pods())) == (15, 2)

    first.finish_work(idle_seconds=4)
    eventually(lambda: len(first.pods()) == 1)
    assert len(second.pods()) == 2
