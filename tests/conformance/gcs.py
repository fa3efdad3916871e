"""What a Ray head must be, for the autoscaler. Subclass ``RayHeadContract`` and give it a fixture ``head``.

The same tests hold for a real head and for the fake one, so what is tested against the fake holds for Ray.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence

import pytest

from autoscaler.gcs.client import DrainReason, GcsClient
from autoscaler.model import (
    Demand,
    FailedInstance,
    LabelConstraint,
    LabelOperator,
    NodeStatus,
    PendingInstance,
    RayNode,
    RayState,
    ReportedState,
    Selector,
    Shape,
    Strategy,
)

# Two Ray workers start beside other tests.
PATIENCE_SECONDS = 90
UNKNOWN_NODE = b"?" * 28


class RayHead(ABC):
    """A head with one CPU, and a hand on the programs that run there."""

    address: str

    @abstractmethod
    def tasks(self, count: int, resources: Mapping[str, float], labels: Mapping[str, str] | None = None) -> None:
        """Submit equal tasks that find no room. ``labels``: a selector as Ray users write it."""

    @abstractmethod
    def actors(self, count: int, resources: Mapping[str, float]) -> None:
        """Create equal actors that find no room."""

    @abstractmethod
    def gang(self, strategy: Strategy, bundles: Sequence[Mapping[str, float]]) -> None:
        """Create a placement group that finds no room."""

    @abstractmethod
    def request(self, cpus: int) -> None:
        """Call ``request_resources(num_cpus=cpus)``."""

    @abstractmethod
    def clear(self) -> None:
        """Let nothing run and nothing wait."""

    @abstractmethod
    def worker(self, instance_id: str, resources: Mapping[str, float]) -> None:
        """A worker of type ``worker-node`` joins."""

    @abstractmethod
    def occupy(self, resources: Mapping[str, float]) -> None:
        """Start a task that finds room, and does not end."""

    @abstractmethod
    def status(self) -> str:
        """What ``ray status`` prints."""


def eventually(client: GcsClient, holds: Callable[[RayState], bool]) -> RayState:
    """The first state for which something holds."""
    end = time.monotonic() + PATIENCE_SECONDS
    while True:
        state = client.state()
        if holds(state):
            return state
        assert time.monotonic() < end, state
        time.sleep(0.05)


def node(state: RayState, instance_id: str) -> RayNode:
    """The node of that instance."""
    (found,) = (n for n in state.nodes if n.instance_id == instance_id)
    return found


def has(instance_id: str, status: NodeStatus) -> Callable[[RayState], bool]:
    """Whether the instance's node is in that status."""
    return lambda state: any(n.instance_id == instance_id and n.status is status for n in state.nodes)


class RayHeadContract:
    """One test per fact that the autoscaler relies on."""

    @pytest.fixture
    def client(self, head: RayHead) -> Iterator[GcsClient]:
        client = GcsClient(head.address)
        head.clear()
        eventually(client, lambda state: not (state.demands or state.gangs or state.requested))
        yield client
        client.close()

    def test_an_idle_head_is_known_as_such_and_wants_nothing(self, head: RayHead, client: GcsClient) -> None:
        state = eventually(client, has("example-head", NodeStatus.IDLE))
        found = node(state, "example-head")
        assert (found.node_type, found.is_head) == ("head-node", True)
        assert found.ip == head.address.rpartition(":")[0]
        assert found.total["CPU"] == found.available["CPU"] == 10_000
        assert not [name for name in found.total if name.startswith("node:")]
        assert found.labels["ray.io/node-group"] == "head-node"
        assert found.labels["ray.io/node-id"] == found.node_id.hex()
        assert state.session.startswith("session_")
        assert (state.demands, state.gangs, state.requested) == ((), (), ())

    def test_waiting_tasks_are_one_demand_per_shape(self, head: RayHead, client: GcsClient) -> None:
        head.tasks(3, {"CPU": 8})
        head.tasks(2, {"CPU": 0.5, "example": 2})
        expected = {Demand(Shape.of({"CPU": 8}), 3), Demand(Shape.of({"CPU": 0.5, "example": 2}), 2)}
        eventually(client, lambda state: set(state.demands) == expected)

    def test_waiting_actors_are_demand(self, head: RayHead, client: GcsClient) -> None:
        head.actors(2, {"CPU": 16})
        eventually(client, lambda state: state.demands == (Demand(Shape.of({"CPU": 16}), 2),))

    def test_label_selectors_are_canonical(self, head: RayHead, client: GcsClient) -> None:
        head.tasks(1, {"CPU": 1}, {"zone": "in(b,c)"})
        head.tasks(1, {"CPU": 1}, {"zone": "in(c,b)"})
        zone = Selector((LabelConstraint.of("zone", LabelOperator.IN, ("b", "c")),))
        eventually(client, lambda state: state.demands == (Demand(Shape.of({"CPU": 1}, [zone]), 2),))

    @pytest.mark.parametrize("strategy", Strategy)
    def test_placement_groups_are_gangs(self, head: RayHead, client: GcsClient, strategy: Strategy) -> None:
        head.gang(strategy, [{"CPU": 4}, {"CPU": 4}, {"CPU": 2}])
        (gang,) = eventually(client, lambda state: bool(state.gangs)).gangs
        assert gang.strategy is strategy
        assert set(gang.bundles) == {Demand(Shape.of({"CPU": 4}), 2), Demand(Shape.of({"CPU": 2}), 1)}
        assert len(gang.name) == 36

    def test_request_resources_is_kept_apart_and_can_be_withdrawn(self, head: RayHead, client: GcsClient) -> None:
        head.request(6)
        state = eventually(client, lambda state: bool(state.requested))
        assert state.requested == (Demand(Shape.of({"CPU": 1}), 6),)
        assert state.demands == ()
        head.request(0)
        eventually(client, lambda state: not state.requested)

    def test_a_report_is_what_ray_status_shows(self, head: RayHead, client: GcsClient) -> None:
        pending = (
            PendingInstance("pod-a", "worker-node", "no node"),
            PendingInstance("pod-b", "worker-node", "no node"),
        )
        failed = (FailedInstance("gpu-node", "quota", time.time() - 1, time.time()),)
        client.report(ReportedState(pending, ("gpu-node", "gpu-node"), failed))
        shown = head.status()
        assert "pod-a: worker-node, no node" in shown
        assert "pod-b: worker-node, no node" in shown
        assert "gpu-node, 2 launching" in shown
        assert "gpu-node: LaunchFailed" in shown

    def test_a_report_of_an_earlier_time_is_dropped(self, head: RayHead, client: GcsClient) -> None:
        client.report(ReportedState(pending=(PendingInstance("pod-new", "worker-node"),)))
        late = GcsClient(head.address, wall_ns=lambda: 1)
        late.report(ReportedState(pending=(PendingInstance("pod-old", "worker-node"),)))
        late.close()
        shown = head.status()
        assert "pod-new" in shown
        assert "pod-old" not in shown

    def test_draining_an_unknown_node_is_accepted(self, client: GcsClient) -> None:
        assert client.drain(UNKNOWN_NODE, reason=DrainReason.IDLE, message="test").accepted
        assert client.drain(UNKNOWN_NODE, reason=DrainReason.PREEMPTION, message="test", deadline=2e9).accepted
        assert client.state()

    def test_an_idle_worker_is_drained_at_once_and_a_busy_one_only_as_preempted(
        self, head: RayHead, client: GcsClient
    ) -> None:
        for name in ("idle", "busy"):
            head.worker(f"worker-{name}", {"CPU": 1, f"only-{name}": 1})
            state = eventually(client, has(f"worker-{name}", NodeStatus.IDLE))
        idle, busy = node(state, "worker-idle"), node(state, "worker-busy")
        assert (idle.node_type, idle.is_head, idle.total["only-idle"]) == ("worker-node", False, 10_000)
        head.occupy({"only-busy": 1})
        state = eventually(client, has("worker-busy", NodeStatus.RUNNING))
        assert "only-busy" not in node(state, "worker-busy").available
        refused = client.drain(busy.node_id, reason=DrainReason.IDLE, message="idle for long")
        assert not refused.accepted
        assert "no longer idle" in refused.why
        assert client.drain(idle.node_id, reason=DrainReason.IDLE, message="idle for long").accepted
        eventually(client, has("worker-idle", NodeStatus.DEAD))
        assert client.drain(idle.node_id, reason=DrainReason.IDLE, message="again").accepted
        deadline = time.time() + 60
        assert client.drain(busy.node_id, reason=DrainReason.PREEMPTION, message="fewer", deadline=deadline).accepted
        eventually(client, has("worker-busy", NodeStatus.DRAINING))
