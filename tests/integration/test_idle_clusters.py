"""Clusters that nothing uses, with a real API server: suspended, deleted, kept and woken. The test plays Ray."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from uuid import uuid4

import pytest

from tests.fakes.gcs import FakeGcs
from tests.support.apiserver import MERGE, ApiServer
from tests.support.kube import eventually
from tests.support.namespace import Namespace
from tests.support.operator import OperatorProcess

NAME = "example-cluster"
SECONDS = 6


@pytest.fixture
def space(environment: Mapping[str, str]) -> Iterator[Namespace]:
    """A namespace whose pods run."""
    space = Namespace(ApiServer(environment["KUBECONFIG"]), f"idle-{uuid4().hex[:8]}")
    space.create()
    space.kubelet()
    yield space
    space.stop()
    space.server.ask("DELETE", f"/api/v1/namespaces/{space.name}")


@pytest.fixture
def process(environment: Mapping[str, str], space: Namespace) -> Iterator[OperatorProcess]:
    """An operator that manages it."""
    process = OperatorProcess(environment, space.name)
    process.start()
    yield process
    process.stop()
    process.close()


def make(space: Namespace, example: dict[str, Any], action: str) -> None:
    """A cluster without workers, which goes after six seconds without use."""
    for pod_type in example["spec"]["podTypes"]:
        pod_type["minWorkers"] = 0
    example["spec"]["idleTermination"] = {"minutes": SECONDS / 60, "action": action}
    space.make(example)


def status(space: Namespace) -> dict[str, Any]:
    found: dict[str, Any] = space.get("rayclusters", NAME).get("status", {})
    return found


def head(space: Namespace) -> FakeGcs:
    """What runs in the head's pod."""
    found: FakeGcs = eventually(space.heads)[0]
    return found


def suspended(space: Namespace) -> bool:
    return status(space).get("phase") == "Suspended" and not space.pods()


def test_it_is_suspended_stays_so_over_a_restart_and_wakes_twice(
    space: Namespace, process: OperatorProcess, example: dict[str, Any]
) -> None:
    make(space, example, "Suspend")
    eventually(lambda: suspended(space))
    assert space.condition(NAME, "Suspended")["reason"] == "Idle"
    assert "ray-operator resume example-cluster" in status(space)["idle"]["message"]
    assert [s["metadata"]["name"] for s in space.all("services")] == [f"{NAME}-ray-head"]
    before = space.get("rayclusters", NAME)["metadata"]
    assert before["generation"] == 1
    process.kill()
    process.start()
    eventually(lambda: "leads" in process.log() or process.running())
    annotation = {"metadata": {"annotations": {"cluster.ray.io/resumed-at": "2026-01-01T00:00:00Z"}}}
    space.server.ask("PATCH", space.path("rayclusters", NAME), annotation, MERGE)
    eventually(lambda: len(space.pods("head")) == 1)
    eventually(lambda: suspended(space))
    space.edit(NAME, ("maxWorkers", 5))
    eventually(lambda: len(space.pods("head")) == 1)
    reasons = {e["reason"] for e in space.all("events")}
    assert {"IdleTermination", "Suspending", "Suspended", "Resumed"} <= reasons


def test_it_is_deleted_and_its_event_stays(space: Namespace, process: OperatorProcess, example: dict[str, Any]) -> None:
    make(space, example, "Delete")
    eventually(lambda: not space.all("rayclusters"))
    eventually(lambda: not space.pods())
    (event,) = (e for e in space.all("events") if e["reason"] == "IdleTermination")
    assert "deleted at" in event["message"]


@pytest.mark.parametrize("action", ["Suspend", "Delete"])
def test_who_uses_it_keeps_it(space: Namespace, process: OperatorProcess, example: dict[str, Any], action: str) -> None:
    """A driver, then a detached actor that it left, while the operator restarts."""
    make(space, example, action)
    gcs = head(space)
    driver = gcs.start_job()
    gcs.start_actor(driver, "cache", detached=True)
    # Jobs are asked for before actors: the first answer may hold the actor and not yet its driver.
    eventually(lambda: "the driver of job" in status(space).get("idle", {}).get("message", ""))
    assert status(space)["idle"]["state"] == "InUse"
    gcs.end_job(driver)
    eventually(lambda: "cache" in status(space)["idle"]["message"])
    process.kill()
    process.start()
    asked = len(gcs.calls)
    eventually(lambda: gcs.calls[asked:].count("GetAllActorInfo") > SECONDS)
    assert (status(space)["idle"]["state"], len(space.pods())) == ("InUse", 1)
