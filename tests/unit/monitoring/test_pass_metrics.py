"""What a pass leaves in the metrics: actions by reason, and how long people waited."""

from __future__ import annotations

from typing import Any

import pytest

from autoscaler.model import Demand, RayState, Shape
from autoscaler.provider import ForbiddenError, QuotaExceededError, TransientError
from controller.monitoring.metrics import Metrics
from controller.monitoring.pass_metrics import MAX_DECISIONS, PassMetrics, refusal
from controller.planning.actions import Action, CreatePod, DeletePod, RetirePod
from controller.planning.observed import RayView
from controller.planning.plan import make_plan
from controller.planning.reasons import LAUNCHES, TERMINATIONS, Label, Reason
from controller.raycluster.model import Key
from tests.fakes.heads import node
from tests.support.builders import NAME, NAMESPACE, NOW, cluster, head_pod, seen, worker_pod


class Recorded:
    """The metrics of passes, their clock, and passes over one cluster."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.metrics = Metrics()
        self.passes = PassMetrics(self.metrics, lambda: self.now, lambda: NOW + self.now)

    def look(self, *nodes: str, waiting: int = 0, age: float = 0.0, pods: Any = ()) -> None:
        """A pass in which the head names these nodes and so much waiting work."""
        demands = (Demand(Shape.of({"CPU": 1}), waiting),) if waiting else ()
        state = RayState("s", 0.0, tuple(node(i, n, "worker-node") for i, n in enumerate(nodes)), demands)
        found = seen([head_pod(SPEC), *pods], ray=RayView(state, "head-uid", age))
        self.passes.planned(found, make_plan(found), 0.25)

    def make(self, *names: str, pod_type: int = 1) -> None:
        """Pods are created."""
        self.passes.applied(cluster(), [CreatePod(SPEC.pod_types[pod_type], name, WORKER) for name in names], [])

    def value(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"ray_operator_{name}", labels)


SPEC = seen().spec
WORKER = Reason(Label.WORKER, "")


@pytest.fixture
def recorded() -> Recorded:
    return Recorded()


def test_from_waiting_work_to_a_pod_counts_from_the_answer_that_showed_it_first(recorded: Recorded) -> None:
    recorded.look(waiting=3, age=0.5)
    recorded.now += 2
    recorded.look(waiting=4)
    recorded.make("w1", "w2")
    assert recorded.value("demand_to_pod_seconds_sum") == 2.5
    recorded.now += 10
    recorded.look(waiting=4)
    recorded.make("w3")
    assert recorded.value("demand_to_pod_seconds_count") == 1


def test_work_that_found_room_by_itself_is_no_wait_and_the_next_one_counts_anew(recorded: Recorded) -> None:
    recorded.look(waiting=3)
    recorded.now += 50
    recorded.look()
    recorded.look(waiting=1)
    recorded.now += 1
    recorded.make("w1")
    assert recorded.value("demand_to_pod_seconds_sum") == 1


def test_pods_without_waiting_work_and_heads_are_no_answer_to_demand(recorded: Recorded) -> None:
    recorded.look()
    recorded.make("w1")
    recorded.look(waiting=1)
    recorded.make("head", pod_type=0)
    assert recorded.value("demand_to_pod_seconds_count") == 0


def test_from_a_pod_to_its_ray_node(recorded: Recorded) -> None:
    w1, w2 = worker_pod(SPEC), worker_pod(SPEC, 1)
    recorded.look()
    recorded.make(w1.name, w2.name)
    recorded.now += 4
    recorded.look(w1.name, pods=[w1, w2])
    recorded.now += 3
    recorded.look(w1.name, w2.name, age=1.0, pods=[w1, w2])
    recorded.look(w1.name, w2.name, pods=[w1, w2])
    assert recorded.value("pod_to_ray_node_seconds_count") == 2
    assert recorded.value("pod_to_ray_node_seconds_sum") == 4 + 6


def test_a_pod_that_never_became_a_node_is_forgotten_with_it(recorded: Recorded) -> None:
    recorded.look()
    recorded.make("w1")
    recorded.look()
    recorded.look("w1")
    assert recorded.value("pod_to_ray_node_seconds_count") == 0


def test_actions_are_counted_by_reason_and_refusals_by_kind(recorded: Recorded) -> None:
    pod = worker_pod(SPEC)
    done: list[Action] = [
        CreatePod(SPEC.pod_types[0], "h", Reason(Label.HEAD, "")),
        CreatePod(SPEC.pod_types[1], "w1", WORKER),
        CreatePod(SPEC.pod_types[1], "w2", Reason(Label.REPLACEMENT, ""), attempt=1),
        DeletePod(pod, Reason(Label.ENDED, "it has been idle, and cannot start")),
        RetirePod(pod, b"", Reason(Label.IDLE, "the text may say anything")),
    ]
    recorded.passes.applied(cluster(), done, [QuotaExceededError("exceeded quota: small")])
    assert recorded.value("launches_total", reason="head") == 1
    assert recorded.value("launches_total", reason="worker") == 1
    assert recorded.value("launches_total", reason="replacement") == 1
    assert recorded.value("terminations_total", reason="ended") == 1
    assert recorded.value("terminations_total", reason="idle") == 1
    assert recorded.value("refused_actions_total", reason="quota") == 1


def test_every_reason_is_counted_from_0(recorded: Recorded) -> None:
    assert {recorded.value("launches_total", reason=label.value) for label in LAUNCHES} == {0}
    assert {recorded.value("terminations_total", reason=label.value) for label in TERMINATIONS} == {0}


def test_refusals_have_few_labels() -> None:
    assert [refusal(e) for e in (ForbiddenError("x"), TransientError("y"))] == ["forbidden", "no_answer"]


def test_the_last_decisions_are_kept_the_newest_first_up_to_a_limit(recorded: Recorded) -> None:
    for number in range(MAX_DECISIONS + 5):
        recorded.now = float(number)
        recorded.make("w1")
    decisions = recorded.passes.decisions()
    assert len(decisions) == MAX_DECISIONS
    assert (decisions[0].at, decisions[0].cluster) == (NOW + MAX_DECISIONS + 4, Key(NAMESPACE, NAME))
    assert decisions[0].what == "created 1 pod: 1 worker-node"


def test_nothing_is_kept_of_a_cluster_that_is_gone(recorded: Recorded) -> None:
    recorded.look(waiting=1)
    recorded.passes.forget(cluster().key)
    recorded.now += 5
    recorded.make("w1")
    assert recorded.value("demand_to_pod_seconds_count") == 0


def test_the_last_hour_has_what_statuses_said_and_what_took_time(recorded: Recorded) -> None:
    w1 = worker_pod(SPEC)
    recorded.look(waiting=1)
    recorded.passes.reported(
        cluster(), {"desiredWorkers": 2, "readyWorkers": 1, "pendingDemand": [{"count": 3}, {"count": 4}]}
    )
    recorded.now += 2
    recorded.make(w1.name)
    recorded.now += 40
    recorded.look(w1.name, pods=[w1])
    hours = [recorded.passes.hour_of(cluster().key), recorded.passes.hour()]
    for hour in hours:
        assert hour and [hour.wanted[-1], hour.ready[-1], hour.waiting[-1]] == [2, 1, 7]
        assert [max(hour.to_pod), max(hour.to_node)] == [2, 40]
    recorded.passes.forget(cluster().key)
    assert recorded.passes.hour_of(cluster().key) is None
