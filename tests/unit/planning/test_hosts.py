"""Workers of several hosts: their pods come, are counted, replaced and removed together."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any, NamedTuple

import pytest

from autoscaler.model import Demand, NodeStatus, RayNode, RayState, Shape
from controller.objects.views import PodView
from controller.planning.actions import CreatePod, CreateService, DeletePod, DrainPod, NoteComplete, RetirePod
from controller.planning.blocked_types import Pause, Stuck
from controller.planning.observed import Observed, RayView
from controller.planning.plan import Plan, make_plan
from controller.raycluster.model import parse_spec
from controller.status.cluster_status import status_of
from tests.fakes.heads import node
from tests.support.builders import NOW, cluster, failed, head_pod, seen
from tests.support.slices import SPEC, TYPE, slice_pods, slice_service, slice_spec

HEAD = head_pod(SPEC)
A0, A1 = slice_pods(SPEC, 0)
B0, B1 = slice_pods(SPEC, 1)
CPU = Shape.of({"CPU": 1})
GONE_BY = NOW + 20


class Outcome(NamedTuple):
    """What is done, in numbers of pods."""

    created: int = 0
    deleted: int = 0
    retired: int = 0
    drained: int = 0
    noted: int = 0


def busy(pod: PodView) -> RayNode:
    return replace(node(1 + pod.host, pod.name, TYPE, free=0), node_id=pod.uid[-28:].encode().rjust(28, b"."))


def idle(pod: PodView, seconds: float = 1.0) -> RayNode:
    return replace(busy(pod), status=NodeStatus.IDLE, available={"CPU": 10_000}, idle_seconds=seconds)


def shown(*pods: PodView, nodes: tuple[RayNode, ...] = (), waiting: int = 0, **more: Any) -> Observed:
    of = {
        name: more.pop(name) for name in list(more) if name in ("workers", "hosts", "maxWorkers", "idleTimeoutMinutes")
    }
    state = RayState("s", 0.0, nodes, (Demand(CPU, waiting),) if waiting else ())
    fields = {"ray": RayView(state, HEAD.uid, more.pop("age", 0.0)), "hosts_service": slice_service(), **more}
    return seen([HEAD, *pods], cluster(slice_spec(**of)), **fields)


def outcome(plan: Plan) -> Outcome:
    kinds = Counter(type(action) for action in plan.actions)
    return Outcome(kinds[CreatePod], kinds[DeletePod], kinds[RetirePod], kinds[DrainPod], kinds[NoteComplete])


def created(plan: Plan) -> list[str]:
    return [a.name for a in plan.actions if isinstance(a, CreatePod)]


def test_a_plan_makes_all_hosts_of_a_worker_and_the_service_by_which_they_find_each_other() -> None:
    plan = make_plan(shown(workers=2, hosts_service=None))
    assert created(plan) == [A0.name, A1.name, B0.name, B1.name]
    assert [a.for_hosts for a in plan.actions if isinstance(a, CreateService)] == [True]
    assert plan.targets == {TYPE: 2}


def test_a_cluster_without_such_types_has_no_such_service() -> None:
    assert not any(isinstance(a, CreateService) for a in make_plan(seen([], hosts_service=None)).actions)


def test_each_task_of_a_host_is_placed_and_workers_are_launched_whole() -> None:
    """Of two hosts with a CPU each, three tasks need two workers."""
    assert len(created(make_plan(shown(waiting=2)))) == 2
    assert len(created(make_plan(shown(waiting=3)))) == 4


def test_bounds_count_workers() -> None:
    assert len(created(make_plan(shown(waiting=20, maxWorkers=3)))) == 6
    several = parse_spec(slice_spec(hosts=4))
    assert len(slice_pods(several)) == 4 and len(created(make_plan(shown(workers=2, hosts=4)))) == 8


@pytest.mark.parametrize(
    ("what", "pods", "nodes", "expected"),
    [
        ("well, at work", [A0, A1], [busy(A0), busy(A1)], Outcome()),
        ("not noted to be complete", [replace(A0, complete=False), A1], [idle(A0), idle(A1)], Outcome(noted=1)),
        ("begun", [replace(A0, complete=False)], [], Outcome(created=1)),
        ("begun, and already in Ray", [replace(A0, complete=False)], [idle(A0)], Outcome(created=1)),
        ("one has vanished, the other is at work", [A0], [busy(A0)], Outcome(created=2, drained=1)),
        ("one has vanished, the other is idle", [A0], [idle(A0)], Outcome(created=2, drained=1)),
        ("the first has vanished", [A1], [busy(A1)], Outcome(created=2, drained=1)),
        (
            "the first has vanished, the other is not in Ray",
            [replace(A1, ready=False)],
            [],
            Outcome(created=2, deleted=1),
        ),
        (
            "one is being deleted",
            [A0, replace(A1, deleting=True, deleted_at=NOW - 10, delete_by=GONE_BY)],
            [busy(A0), replace(busy(A1), status=NodeStatus.DRAINING)],
            Outcome(created=2, drained=2),
        ),
        (
            "one is about to be evicted",
            [replace(A0, disrupted="EvictionByEvictionAPI", disrupted_at=NOW), A1],
            [busy(A0), busy(A1)],
            Outcome(created=2, drained=2),
        ),
        ("one crashed", [A0, failed(A1)], [busy(A0)], Outcome(drained=1)),
        ("one crashed, the other was never ready", [replace(A0, ready=False), failed(A1)], [], Outcome(deleted=1)),
        ("both crashed", [failed(A0), failed(A1)], [], Outcome(created=2, deleted=2)),
        (
            "one's node is lost",
            [A0, replace(A1, phase="Unknown")],
            [busy(A0)],
            Outcome(created=2, deleted=1, drained=1),
        ),
        (
            "one drains",
            [replace(A0, drain_by=GONE_BY, drain_reason="x"), A1],
            [busy(A0), busy(A1)],
            Outcome(2, 0, 0, 2),
        ),
    ],
)
def test_what_becomes_of_a_worker(what: str, pods: list[PodView], nodes: list[RayNode], expected: Outcome) -> None:
    """One worker has to run. A part of one is completed; one that has lost a host goes, and another one comes."""
    plan = make_plan(shown(*pods, nodes=tuple(nodes), workers=1))
    assert outcome(plan) == expected, what


def test_the_rest_of_a_worker_has_until_the_end_of_the_host_that_is_deleted() -> None:
    going = replace(A1, deleting=True, deleted_at=NOW - 10, delete_by=GONE_BY)
    plan = make_plan(shown(A0, going, nodes=(busy(A0), replace(busy(A1), status=NodeStatus.DRAINING)), workers=1))
    assert {a.pod.name: a.deadline for a in plan.actions if isinstance(a, DrainPod)} == {
        A0.name: GONE_BY,
        A1.name: GONE_BY,
    }
    (reason,) = [a.reason for a in plan.actions if isinstance(a, DrainPod) and a.pod.name == A0.name]
    assert reason.text == "host 1 of its worker goes: its pod is being deleted"


def test_the_rest_of_a_worker_goes_though_the_head_is_silent() -> None:
    plan = make_plan(shown(A0, nodes=(busy(A0),), workers=1, ray=None, silence=31.0))
    assert [a.pod.name for a in plan.actions if isinstance(a, DeletePod)] == [A0.name]


def test_a_worker_whose_place_is_not_free_yet_is_replaced_under_another_name() -> None:
    plan = make_plan(shown(A0, nodes=(busy(A0),), workers=1))
    assert created(plan) == [B0.name, B1.name]


def test_a_crash_is_remembered_until_all_hosts_are_gone() -> None:
    """So that a worker that crashes again and again is made less and less often."""
    crashed = failed(A1, 1.0, attempt=1)
    assert outcome(make_plan(shown(A0, crashed, nodes=(busy(A0),), workers=1))) == Outcome(drained=1)
    alone = make_plan(shown(crashed, workers=1))
    assert not alone.actions and alone.look_again_at == crashed.ended_at + 5
    due = make_plan(replace(shown(crashed, workers=1), now=NOW + 6))
    assert [a.attempt for a in due.actions if isinstance(a, CreatePod)] == [2, 2]


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ((idle(A0, 301), idle(A1, 301)), Outcome(retired=2)),
        ((idle(A0, 301), idle(A1, 299)), Outcome()),
        ((idle(A0, 301), busy(A1)), Outcome()),
    ],
)
def test_a_worker_is_idle_when_all_of_its_hosts_are(nodes: tuple[RayNode, ...], expected: Outcome) -> None:
    assert outcome(make_plan(shown(A0, A1, nodes=nodes))) == expected


def test_the_minimum_is_kept_in_workers() -> None:
    nodes = tuple(idle(p, 301 + p.host) for p in (A0, A1, B0, B1))
    plan = make_plan(shown(A0, A1, B0, B1, nodes=nodes, workers=1))
    assert outcome(plan) == Outcome(retired=2)
    assert len({a.pod.group for a in plan.actions if isinstance(a, RetirePod)}) == 1


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ((idle(A0), idle(A1), busy(B0), busy(B1)), Outcome(retired=2)),
        ((busy(A0), idle(A1), busy(B0), busy(B1)), Outcome(drained=2)),
    ],
)
def test_a_worker_too_many_goes_as_its_busiest_host_asks_for(nodes: tuple[RayNode, ...], expected: Outcome) -> None:
    assert outcome(make_plan(shown(A0, A1, B0, B1, nodes=nodes, maxWorkers=1))) == expected


def test_a_change_replaces_workers_whole() -> None:
    """Of two workers, a replacement comes for each; none is made out of old and new hosts."""
    old = [replace(p, config_hash="old") for p in (A0, A1, B0, B1)]
    nodes = tuple(map(busy, old))
    assert outcome(make_plan(shown(*old, nodes=nodes, workers=2))) == Outcome(created=4)
    begun = [replace(A0, config_hash="old", complete=False)]
    assert A1.name not in created(make_plan(shown(*begun, nodes=(), workers=1)))


def test_another_number_of_hosts_is_another_worker() -> None:
    plan = make_plan(shown(A0, A1, nodes=(busy(A0), busy(A1)), workers=1, hosts=3))
    assert len(created(plan)) == 3 and list(plan.outdated) == [A0.uid, A1.uid]
    alone = parse_spec(slice_spec(hosts=1))
    assert alone.hash_of(alone.worker_types[0]) != SPEC.hash_of(SPEC.worker_types[0])


REFUSED = {TYPE: Pause("QuotaExceeded", "no more", NOW, until=NOW + 9)}


def test_a_worker_that_is_refused_in_part_waits_and_is_no_capacity() -> None:
    """What waits is still to be served once the quota allows; meanwhile no second worker is begun."""
    begun = replace(A0, complete=False)
    plan = make_plan(shown(begun, nodes=(busy(A0),), workers=1, blocks=REFUSED))
    assert not plan.actions and plan.look_again_at == NOW + 9
    assert outcome(make_plan(shown(begun, nodes=(busy(A0),), workers=1))) == Outcome(created=1)


def test_of_two_workers_that_are_refused_in_part_one_gives_way() -> None:
    begun = [replace(A0, complete=False), replace(B0, complete=False, started_at=A0.started_at + 1, ready=False)]
    plan = make_plan(shown(*begun, nodes=(busy(A0),), workers=2, blocks=REFUSED))
    assert [a.pod.name for a in plan.actions if isinstance(a, DeletePod)] == [B0.name]
    # Nothing else of the type is begun before the first one is whole.
    assert created(make_plan(shown(begun[0], nodes=(busy(A0),), workers=2))) == [A1.name]


def test_a_host_that_finds_no_room_keeps_its_worker() -> None:
    stuck = replace(A1, ready=False, phase="Pending", stuck="Unschedulable", stuck_since=NOW - 31)
    plan = make_plan(shown(A0, stuck, nodes=(idle(A0),)))
    assert outcome(plan) == Outcome(deleted=1, retired=1)
    blocks = {TYPE: Stuck("Unschedulable", "no room", NOW)}
    assert outcome(make_plan(shown(A0, stuck, nodes=(idle(A0),), workers=1, blocks=blocks))) == Outcome()


def test_a_foreign_pod_under_the_name_of_a_host_makes_the_worker_go_elsewhere() -> None:
    begun = replace(A0, complete=False, ready=False)
    plan = make_plan(shown(begun, workers=1, taken={A1.name}))
    assert [a.pod.name for a in plan.actions if isinstance(a, DeletePod)] == [A0.name]
    assert created(plan) == [B0.name, B1.name]


def test_the_status_counts_workers_and_shows_their_pods() -> None:
    seen_now = shown(A0, A1, B0, replace(B1, ready=False), nodes=(busy(A0), busy(A1)), workers=2)
    status = status_of(seen_now, make_plan(seen_now))
    assert (status["desiredWorkers"], status["readyWorkers"]) == (2, 1)
    assert status["podTypes"] == [{"name": TYPE, "desired": 2, "hosts": 2, "pods": 4, "ready": 1}]
    (short,) = [c["message"] for c in status["conditions"] if c["type"] == "WorkersReady"]
    assert short == "1 of 2 workers of type slice are ready"
