"""Pods with scheduling gates on a real API server: the test is the queue that opens them, and plays the kubelet."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any
from uuid import uuid4

import pytest

from autoscaler.model import Demand, Shape
from tests.support.apiserver import JSON_PATCH, ApiServer
from tests.support.kube import at_this_load, eventually
from tests.support.namespace import Namespace
from tests.support.operator import OperatorProcess
from tests.support.raycluster import NAME

GATE = "example.com/queue"
TYPE = "ray-user-node-type"
# One of them has room on the head.
TASKS = Demand(Shape.of({"CPU": 1}), 2)


@pytest.fixture
def space(environment: Mapping[str, str]) -> Iterator[Namespace]:
    """A namespace whose kubelet runs what has no gate, and Ray takes work in it."""
    space = Namespace(ApiServer(environment["KUBECONFIG"]), f"gates-{uuid4().hex[:8]}")
    space.create()
    space.kubelet(take_work=True)
    yield space
    space.stop()
    space.server.ask("DELETE", f"/api/v1/namespaces/{space.name}")


@pytest.fixture
def operator(environment: Mapping[str, str], space: Namespace) -> Iterator[OperatorProcess]:
    process = OperatorProcess(environment, space.name)
    yield process
    assert process.stop() == 0
    process.close()


def with_queue(example: dict[str, Any]) -> dict[str, Any]:
    """A type whose pods wait for a gate, and one whose pods do not."""
    head, worker = example["spec"]["podTypes"]
    config = worker["podConfig"]
    held = {**config, "spec": {**config["spec"], "schedulingGates": [{"name": GATE}]}}
    queued = {**worker, "name": "queued", "minWorkers": 0, "maxWorkers": 3, "podConfig": held}
    other = {**worker, "name": "other", "minWorkers": 0, "maxWorkers": 3}
    return {**example, "spec": {**example["spec"], "podTypes": [head, queued, other], "idleTimeoutMinutes": 60}}


def wait_for_work(space: Namespace, operator: OperatorProcess, example: dict[str, Any], *flags: str) -> dict[str, Any]:
    """The first pod that is made for a task, which waits for its gate."""
    operator.start(None, *flags)
    space.make(with_queue(example))
    eventually(lambda: space.settled(NAME, 0) and space.heads())
    space.heads()[0].demands = (TASKS,)
    (pod,) = eventually(lambda: space.pods("worker"))
    assert pod["spec"]["schedulingGates"] == [{"name": GATE}]
    assert pod["metadata"]["labels"][TYPE] == "queued"
    return pod


def types(space: Namespace) -> list[str]:
    return sorted(p["metadata"]["labels"][TYPE] for p in space.pods("worker"))


def test_a_gated_pod_gives_way_within_ten_seconds_and_is_not_made_again(
    space: Namespace, operator: OperatorProcess, example: dict[str, Any]
) -> None:
    """The status names the gate. The gated pod stays until the other one has joined."""
    wait_for_work(space, operator, example)
    began = time.monotonic()
    assert eventually(lambda: types(space) == ["other", "queued"])
    assert time.monotonic() - began < at_this_load(10)
    (block,) = eventually(lambda: space.get("rayclusters", NAME)["status"].get("blockedTypes"))
    assert (block["name"], block["reason"]) == ("queued", "SchedulingGated")
    assert GATE in block["message"]
    eventually(lambda: types(space) == ["other"])
    eventually(lambda: space.events()["SchedulingGated"] == 1)
    created = [e["message"] for e in space.all("events") if e["reason"] == "CreatedPods"]
    assert sum("queued" in message for message in created) == 1


def test_a_pod_whose_gate_opens_first_serves(
    space: Namespace, operator: OperatorProcess, example: dict[str, Any]
) -> None:
    pod = wait_for_work(space, operator, example, "--gated-grace-seconds", "3600")
    (scheduled,) = pod["status"]["conditions"]
    assert scheduled["reason"] == "SchedulingGated"
    opened = [{"op": "replace", "path": "/spec/schedulingGates", "value": []}]
    space.server.ask("PATCH", space.path("pods", pod["metadata"]["name"]), opened, JSON_PATCH)
    eventually(lambda: space.settled(NAME, 1))
    assert [p["metadata"]["uid"] for p in space.pods("worker")] == [pod["metadata"]["uid"]]
    assert "blockedTypes" not in space.get("rayclusters", NAME)["status"]
