"""Every way in which a pod can die, and what the operator does about it: one table for heads, one for workers."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import pytest

from autoscaler.model import NodeStatus, RayNode, RayState
from controller.objects.labels import HEAD as HEAD_KIND
from controller.objects.views import PodView
from controller.planning.actions import CreatePod, DeletePod, DrainPod, RetirePod
from controller.planning.observed import Observed, RayView
from controller.planning.plan import Plan, make_plan
from controller.planning.reasons import Label
from controller.status.cluster_status import status_of
from tests.fakes.heads import node
from tests.support.builders import NOW, cluster, failed, raw_spec, seen
from tests.support.plans import HEAD, W0, W1, WELL

AT_WORK, IDLE = node(1, W0.name, "worker-node", free=0), node(2, W1.name, "worker-node", idle=1.0)


def shown(
    *pods: PodView, nodes: tuple[RayNode, ...] = (AT_WORK, IDLE), age: float = 0.0, silence: float = 0.0
) -> Observed:
    """The pods, and what the head last said, so long ago."""
    return seen(pods, ray=RayView(RayState("s", 0.0, nodes), "head-uid", age), silence=silence)


class Outcome(NamedTuple):
    """Is there a head to keep; is a new one made now; how many workers are deleted and made."""

    kept: bool
    head_made: bool
    deleted: int
    made: int


def outcome(plan: Plan) -> Outcome:
    created = [a.pod_type.name for a in plan.actions if isinstance(a, CreatePod)]
    gone = [a.pod.name for a in plan.actions if isinstance(a, DeletePod) and a.pod.kind != HEAD_KIND]
    return Outcome(plan.head is not None, "head-node" in created, len(gone), created.count("worker-node"))


def lost(pod: PodView, seconds: float = 60.0) -> PodView:
    """Its kubelet is silent since so many seconds."""
    return replace(pod, ready=False, node_lost=True, unready_since=NOW - seconds)


RESTART = Outcome(kept=False, head_made=True, deleted=2, made=2)
# The deletion of the old head has to be accepted first.
GIVE_UP = Outcome(kept=False, head_made=False, deleted=2, made=2)
WELL_KEPT = Outcome(kept=True, head_made=False, deleted=0, made=0)

HEADS = [
    ("deleted", [], 0.0, RESTART),
    ("on its way out", [replace(HEAD, deleting=True)], 0.0, RESTART),
    ("its deletion hangs", [replace(HEAD, deleting=True, phase="Unknown")], 0.0, RESTART),
    ("evicted", [replace(failed(HEAD), problem="Evicted: disk full")], 0.0, RESTART),
    ("out of memory", [replace(failed(HEAD), problem="OOMKilled, exit code 137")], 0.0, RESTART),
    ("crashed", [failed(HEAD)], 0.0, RESTART),
    ("ended in good order", [replace(failed(HEAD), phase="Succeeded", problem="")], 0.0, RESTART),
    ("crashed again and again", [failed(HEAD, attempt=3)], 0.0, Outcome(False, False, 2, 2)),
    ("its node has gone", [replace(HEAD, phase="Unknown")], 0.0, RESTART),
    ("its node is silent, and so is it", [lost(HEAD)], 60.0, GIVE_UP),
    ("its node is silent, but it answers", [lost(HEAD)], 0.0, WELL_KEPT),
    ("its node has just fallen silent", [lost(HEAD, 5.0)], 60.0, WELL_KEPT),
    ("it does not answer, but its node is well", [HEAD], 600.0, WELL_KEPT),
    ("its image is wrong", [replace(HEAD, ready=False, phase="Pending", stuck="ImageMissing")], 0.0, WELL_KEPT),
    ("it finds no room", [replace(HEAD, ready=False, phase="Pending", stuck="Unschedulable")], 0.0, WELL_KEPT),
]


@pytest.mark.parametrize(("heads", "silence", "expected"), [r[1:] for r in HEADS], ids=[r[0] for r in HEADS])
def test_a_head(heads: list[PodView], silence: float, expected: Outcome) -> None:
    """With two workers that know it."""
    assert outcome(make_plan(shown(*heads, W0, W1, silence=silence))) == expected


REPLACED = Outcome(kept=True, head_made=False, deleted=1, made=1)
MADE = Outcome(kept=True, head_made=False, deleted=0, made=1)
DEAD = replace(AT_WORK, status=NodeStatus.DEAD)

WORKERS = [
    ("deleted", [], (IDLE,), MADE),
    ("on its way out", [replace(W0, deleting=True)], (AT_WORK, IDLE), MADE),
    ("its deletion hangs", [replace(W0, deleting=True, phase="Unknown")], (DEAD, IDLE), MADE),
    ("evicted", [replace(failed(W0), problem="Evicted: disk full")], (DEAD, IDLE), REPLACED),
    ("out of memory", [replace(failed(W0), problem="OOMKilled, exit code 137")], (DEAD, IDLE), REPLACED),
    ("crashed", [failed(W0)], (DEAD, IDLE), REPLACED),
    ("crashed again and again", [failed(W0, attempt=3)], (IDLE,), WELL_KEPT),
    ("its node has gone", [replace(W0, phase="Unknown")], (AT_WORK, IDLE), REPLACED),
    ("its node is silent, and Ray calls it dead", [lost(W0)], (DEAD, IDLE), REPLACED),
    ("its node is silent, but Ray works with it", [lost(W0)], (AT_WORK, IDLE), WELL_KEPT),
    ("Ray calls it dead, but its kubelet does not", [W0], (DEAD, IDLE), WELL_KEPT),
    (
        "it finds no room yet",
        [replace(W0, ready=False, phase="Pending", stuck="Unschedulable", stuck_since=NOW)],
        (IDLE,),
        WELL_KEPT,
    ),
    ("it has not joined Ray yet", [replace(W0, ready=False)], (IDLE,), WELL_KEPT),
]


@pytest.mark.parametrize(("workers", "nodes", "expected"), [r[1:] for r in WORKERS], ids=[r[0] for r in WORKERS])
def test_a_worker(workers: list[PodView], nodes: tuple[RayNode, ...], expected: Outcome) -> None:
    """Beside a head and a second worker that are well, and two workers being wanted."""
    assert outcome(make_plan(shown(HEAD, *workers, W1, nodes=nodes))) == expected


def test_a_head_whose_node_falls_silent_is_looked_at_again_though_nothing_happens() -> None:
    assert make_plan(shown(lost(HEAD, 5.0), silence=60.0)).look_again_at == NOW + 15
    assert make_plan(shown(lost(HEAD), silence=12.0)).look_again_at == NOW + 8


def test_an_old_answer_calls_no_node_dead() -> None:
    assert outcome(make_plan(shown(HEAD, lost(W0), W1, nodes=(DEAD, IDLE), age=10.0))) == WELL_KEPT


def test_a_silent_kubelet_of_the_head_is_named() -> None:
    observed = shown(lost(HEAD), W0, W1)
    (ready,) = (c for c in status_of(observed, make_plan(observed))["conditions"] if c["type"] == "HeadReady")
    assert ready["message"] == f"head pod {HEAD.name} is not ready: the kubelet of its node is silent"


LEAVING = replace(W0, drain_by=NOW + 60, drain_reason="there are too many", drain_label="above_maximum")
DRAINING = replace(AT_WORK, status=NodeStatus.DRAINING)


@pytest.mark.parametrize(
    ("pod", "nodes", "age", "expected"),
    [
        pytest.param(LEAVING, (DRAINING,), 0.0, None, id="it still works"),
        pytest.param(LEAVING, (), 0.0, DeletePod, id="Ray has let it go"),
        pytest.param(LEAVING, (DEAD,), 0.0, DeletePod, id="Ray calls it dead"),
        pytest.param(LEAVING, (), 10.0, None, id="what Ray says is old"),
        pytest.param(LEAVING, (AT_WORK,), 0.0, DrainPod, id="Ray has not heard of it"),
        pytest.param(replace(LEAVING, drain_by=NOW), (DRAINING,), 10.0, DeletePod, id="its time is over"),
        pytest.param(failed(LEAVING, attempt=9), (), 0.0, DeletePod, id="it has ended"),
    ],
)
def test_a_worker_that_is_draining(pod: PodView, nodes: tuple[RayNode, ...], age: float, expected: type | None) -> None:
    """It is drained again if need be, and goes when it has finished or its time is over. No minimum asks for it."""
    observed = replace(shown(HEAD, pod, nodes=nodes, age=age), spec=seen(of=cluster(raw_spec(0))).spec)
    plan = make_plan(observed)
    assert [type(a) for a in plan.actions] == ([expected] if expected else [])
    assert all(a.reason.label is Label.ABOVE_MAXIMUM for a in plan.actions if isinstance(a, DeletePod | DrainPod))
    if expected is None:
        assert plan.look_again_at is not None and plan.look_again_at <= NOW + 60


@pytest.mark.parametrize("label", ["", "made up"])
def test_a_drain_noted_without_a_label_keeps_its_text(label: str) -> None:
    """An operator without labels began it, or somebody edited the pod."""
    pod = replace(LEAVING, drain_by=NOW, drain_label=label)
    observed = replace(shown(HEAD, pod), spec=seen(of=cluster(raw_spec(0))).spec)
    (gone,) = make_plan(observed).actions
    assert isinstance(gone, DeletePod)
    assert gone.reason.label is Label.OTHER
    assert gone.reason.text.startswith("there are too many")


def test_no_worker_is_drained_twice_at_a_time_nor_all_at_once() -> None:
    """The deadline that was set first stays."""
    observed = replace(shown(HEAD, LEAVING, nodes=(AT_WORK,)), spec=seen(of=cluster(raw_spec(0))).spec)
    (again,) = make_plan(observed).actions
    assert isinstance(again, DrainPod)
    assert again.deadline == LEAVING.drain_by


def test_pods_of_a_cluster_at_rest_are_left_alone() -> None:
    """No drain, no retirement, no creation."""
    assert not [a for a in make_plan(shown(*WELL)).actions if isinstance(a, DrainPod | RetirePod | CreatePod)]
