"""A busy worker that has to go, from the first pass to the last: it is noted, has its time, finishes or is ended."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from autoscaler.model import NodeStatus, RayState
from controller.objects.labels import WORKER
from tests.fakes.heads import node
from tests.support.builders import NAMESPACE, NOW, raw_spec
from tests.support.world import well

NODE = bytes([1]) * 28


class Draining:
    """One worker at work, which maxWorkers 0 no longer allows."""

    def __init__(self) -> None:
        self.world = well(raw_spec(1))
        self.world.joins = False
        self.world.now = NOW + 1000
        self.name = self.world.pod(WORKER)["metadata"]["name"]
        self.world.heads.state = RayState("s", 0.0, (node(1, self.name, "worker-node", free=0),))
        self.world.heads.busy = {NODE}
        self.world.user(raw_spec(0, maxWorkers=0))

    def step(self) -> float | None:
        """The watch catches up, and a pass is made. Returns in how many seconds the next is due."""
        self.world.tell()
        return self.world.step().look_again_in

    @property
    def pod(self) -> dict[str, Any]:
        found: dict[str, Any] = self.world.api.objects["pods", NAMESPACE, self.name]
        return found

    @property
    def noted(self) -> str | None:
        """Until when the worker has time, as its pod says."""
        found: str | None = self.pod["metadata"]["annotations"].get("cluster.ray.io/drain-by")
        return found

    def deleted(self) -> bool:
        return "deletionTimestamp" in self.pod["metadata"]


@pytest.fixture
def draining() -> Draining:
    made = Draining()
    made.step()
    return made


def test_ray_and_the_pod_are_told_the_same_deadline_in_ten_minutes(draining: Draining) -> None:
    assert draining.world.heads.deadlines == {NODE: NOW + 1600}
    assert draining.noted == f"{NOW + 1600:.0f}"
    assert draining.world.reasons()["DrainingPods"] == 1
    assert not draining.deleted()
    assert draining.step() == 600
    assert (draining.world.heads.drained, draining.world.reasons()["DrainingPods"]) == ([NODE], 1)


def test_it_goes_as_soon_as_it_has_finished(draining: Draining) -> None:
    draining.world.now += 10
    draining.step()
    assert not draining.deleted()
    draining.world.heads.finish(NODE)
    draining.step()
    assert draining.deleted()
    assert draining.world.reasons()["DeletedPods"] == 1


def test_it_is_ended_when_its_time_is_over_and_not_before(draining: Draining) -> None:
    draining.world.now += 599
    assert draining.step() == 1
    assert not draining.deleted()
    draining.world.now += 1
    draining.step()
    assert draining.deleted()


def test_a_process_that_takes_over_keeps_the_deadline(draining: Draining) -> None:
    draining.world.now += 300
    draining.world.boot()
    assert draining.step() == 300
    draining.world.now += 300
    draining.step()
    assert draining.deleted()


@pytest.mark.parametrize("seconds", [1, 599])
def test_a_head_that_did_not_hear_of_it_is_told_again_with_the_first_deadline(draining: Draining, seconds: int) -> None:
    """Its Ray was restarted, or the operator ended between the note on the pod and the word to Ray."""
    state = draining.world.heads.state
    assert state is not None and state.nodes[0].status is NodeStatus.DRAINING
    draining.world.heads.state = replace(state, nodes=(node(1, draining.name, "worker-node", free=0),))
    draining.world.heads.deadlines.clear()
    draining.world.now += seconds
    draining.step()
    assert draining.world.heads.deadlines == {NODE: NOW + 1600}
    assert draining.noted == f"{NOW + 1600:.0f}"


def evict(draining: Draining) -> None:
    """Kubernetes is about to end it, within the default grace period."""
    pod = draining.pod
    told = {"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler"}
    pod["status"]["conditions"] = [*pod["status"].get("conditions", ()), told]
    draining.world.api.put("pods", pod)


def test_less_time_than_it_was_told_is_told_once_more(draining: Draining) -> None:
    evict(draining)
    draining.step()
    assert draining.world.heads.deadlines == {NODE: NOW + 1030}
    assert draining.noted == f"{NOW + 1030:.0f}"
    draining.world.now += 10
    draining.step()
    assert draining.world.heads.drained == [NODE, NODE]
    assert draining.world.reasons()["DrainingPods"] == 1


def test_less_time_is_noted_only_once_ray_has_heard_of_it(draining: Draining, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else an operator that ends in between would leave Ray with the later deadline."""
    evict(draining)
    with monkeypatch.context() as deaf:
        deaf.setattr(draining.world.heads, "drain", lambda *_, **__: False)
        draining.step()
    assert draining.noted == f"{NOW + 1600:.0f}"
    draining.step()
    assert draining.noted == f"{NOW + 1030:.0f}"


def test_a_worker_that_ray_will_not_drain_is_not_announced_and_goes_at_its_deadline(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    draining = Draining()
    monkeypatch.setattr(draining.world.heads, "drain", lambda *_, **__: False)
    draining.step()
    assert (draining.noted, draining.deleted()) == (f"{NOW + 1600:.0f}", False)
    assert draining.world.reasons()["DrainingPods"] == 0
    draining.world.now += 600
    draining.step()
    assert draining.deleted()
