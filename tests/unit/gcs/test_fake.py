"""The fake head keeps the contract that the real one keeps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest

from autoscaler.model import Demand, Gang, LabelConstraint, LabelOperator, NodeStatus, Selector, Shape, Strategy
from tests.conformance.gcs import RayHead, RayHeadContract
from tests.conformance.gcs_usage import RayUsers, RayUsersContract
from tests.fakes.gcs import DEAD_ACTOR, FakeGcs


class FakeHead(RayHead):
    def __init__(self) -> None:
        self.gcs = FakeGcs()
        self.address = self.gcs.address

    def tasks(self, count: int, resources: Mapping[str, float], labels: Mapping[str, str] | None = None) -> None:
        self.gcs.demands += (Demand(Shape.of(resources, [selector(labels or {})]), count),)

    def actors(self, count: int, resources: Mapping[str, float]) -> None:
        self.tasks(count, resources)

    def gang(self, strategy: Strategy, bundles: Sequence[Mapping[str, float]]) -> None:
        demands = tuple(Demand(Shape.of(bundle), 1) for bundle in bundles)
        self.gcs.gangs += (Gang(demands, strategy, "0123456789abcdef" * 2 + "0123"),)

    def request(self, cpus: int) -> None:
        self.gcs.requested = (Demand(Shape.of({"CPU": 1}), cpus),) if cpus else ()

    def clear(self) -> None:
        self.gcs.demands = self.gcs.gangs = self.gcs.requested = ()

    def worker(self, instance_id: str, resources: Mapping[str, float]) -> None:
        self.gcs.add_node(instance_id, "worker-node", dict(resources))

    def occupy(self, resources: Mapping[str, float]) -> None:
        (instance,) = (i for i, n in self.gcs.nodes.items() if resources.keys() <= n.available_resources.keys())
        self.gcs.set_status(instance, NodeStatus.RUNNING)

    def status(self) -> str:
        shown = self.gcs.reported
        launching = [entry.ray_node_type_name for entry in shown.pending_instance_requests]
        return "\n".join(
            [f"{node_type}, {launching.count(node_type)} launching" for node_type in set(launching)]
            + [f"{entry.instance_id}: {entry.ray_node_type_name}, {entry.details}" for entry in shown.pending_instances]
            + [f"{entry.ray_node_type_name}: LaunchFailed" for entry in shown.failed_instance_requests]
        )


def selector(labels: Mapping[str, str]) -> Selector:
    """From ``in(a,b)``, as Ray users write it."""
    return Selector(
        tuple(
            LabelConstraint(key, LabelOperator.IN.value, tuple(value.removeprefix("in(").removesuffix(")").split(",")))
            for key, value in labels.items()
        )
    )


@pytest.fixture
def head() -> Iterator[FakeHead]:
    head = FakeHead()
    yield head
    head.gcs.close()


class TestFakeHead(RayHeadContract):
    """See ``RayHeadContract``."""


class FakeUsers(RayUsers):
    def __init__(self) -> None:
        self.gcs = FakeGcs()
        self.address = self.gcs.address
        self.user: Any = None

    def connect(self, *, client: bool = False) -> None:
        self.user = self.gcs.start_job()

    def make_actor(self) -> None:
        self.gcs.start_actor(self.user)

    def disconnect(self) -> None:
        self.gcs.end_job(self.user)

    def vanish(self) -> None:
        self.disconnect()

    def keep(self, name: str, namespace: str) -> None:
        job = self.gcs.start_job()
        self.gcs.start_actor(job, name, namespace, detached=True)
        self.gcs.end_job(job)

    def drop(self, name: str, namespace: str) -> None:
        for actor in self.gcs.actors:
            if (actor.name, actor.ray_namespace) == (name, namespace):
                actor.state = DEAD_ACTOR

    def submit(self) -> str:
        job = self.gcs.start_job("_ray_internal_dashboard")
        supervisor = "_ray_internal_job_actor_raysubmit_1"
        self.gcs.start_actor(job, supervisor, "SUPERVISOR_ACTOR_RAY_NAMESPACE", detached=True)
        return "raysubmit_1"

    def stop(self, job: str) -> None:
        self.drop(f"_ray_internal_job_actor_{job}", "SUPERVISOR_ACTOR_RAY_NAMESPACE")


class TestFakeUsers(RayUsersContract):
    """See ``RayUsersContract``."""

    @pytest.fixture
    def users(self) -> Iterator[RayUsers]:
        users = FakeUsers()
        yield users
        users.gcs.close()
