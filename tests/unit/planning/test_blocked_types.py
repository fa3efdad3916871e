"""Which pod types are set aside, for how long, and what brings them back."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from autoscaler.model import QUANTUM, Demand, NodeStatus, RayNode, RayState, Shape
from autoscaler.provider import ForbiddenError, InvalidNodeError, ProviderError, QuotaExceededError
from controller.objects.views import PodView
from controller.planning.actions import CreatePod, DeletePod
from controller.planning.blocked_types import LOST, LaunchHistory, Pause, Stuck
from controller.planning.observed import RayView
from controller.planning.plan import Plan, make_plan
from controller.planning.reasons import Label
from controller.raycluster.model import parse_spec
from controller.status.cluster_status import status_of
from tests.support.builders import NOW, cluster, head_pod, raw_spec, raw_type, seen, worker_pod

CPU = Shape.of({"CPU": 1})
RAW = raw_spec(0, podTypes=[raw_type("head-node", "ray-head-"), raw_type("first", maxWorkers=5), raw_type("second")])
SPEC = parse_spec(RAW)
HASHES = SPEC.current_hashes
GRACE, GATED_GRACE = 30.0, 5.0
GRACES = {"Unschedulable": GRACE, "SchedulingGated": GATED_GRACE}


def pending(since: float = NOW - GRACE, stuck: str = "Unschedulable", **fields: Any) -> PodView:
    """A worker of the first type that waits for room, or for its image."""
    pod = worker_pod(SPEC, 0, "first", phase="Pending", ready=False, started_at=since)
    return replace(pod, **{"stuck": stuck, "stuck_since": since, "problem": f"{stuck}: says who", **fields})


def gated(since: float = NOW - 5, **fields: Any) -> PodView:
    """A worker of the first type that is held by a scheduling gate."""
    return pending(since, "SchedulingGated", **fields)


def look(history: LaunchHistory, *pods: PodView, now: float = NOW) -> LaunchHistory:
    return history.seen(pods, HASHES, now, GRACES)


@dataclass(frozen=True)
class Applied:
    """What became of a pass."""

    launched: Collection[str] = ()
    refused: Mapping[str, ProviderError] = field(default_factory=dict)
    removed: Collection[str] = ()


def resumes(history: LaunchHistory, now: float) -> float:
    """When the first type's active block is over."""
    block = history.active(now)["first"]
    assert isinstance(block, Pause)
    return block.until


@pytest.mark.parametrize(
    ("pod", "blocked"),
    [
        pytest.param(pending(), True, id="no room for longer than the grace time"),
        pytest.param(pending(since=NOW - 29), False, id="no room, but not for long"),
        pytest.param(gated(since=NOW - 5), True, id="a gate that stays shut"),
        pytest.param(gated(since=NOW - 4), False, id="a gate, but not for long"),
        pytest.param(pending(stuck="ImageMissing", since=0.0), True, id="no image, at once"),
        pytest.param(pending(stuck="ConfigMissing", since=0.0), True, id="a Secret is missing"),
        pytest.param(pending(stuck=""), False, id="it just starts"),
        pytest.param(pending(deleting=True), False, id="it is on its way out"),
        pytest.param(pending(config_hash="old"), False, id="it is of an earlier configuration"),
    ],
)
def test_a_type_whose_pod_cannot_start_is_set_aside(pod: PodView, blocked: bool) -> None:
    assert ("first" in look(LaunchHistory(), pod).active(NOW)) == blocked


def test_a_block_names_its_cause_and_lasts_as_long_as_the_pod_is_stuck() -> None:
    history = look(LaunchHistory(), pending())
    assert history.active(NOW)["first"].reason == "Unschedulable"
    assert history.active(NOW)["first"].message == "Unschedulable: says who"
    later = look(history, pending(), now=NOW + 3600)
    assert later.active(NOW + 3600)["first"].since == NOW


def test_a_pod_that_starts_after_all_ends_the_block_at_once() -> None:
    history = look(LaunchHistory(), pending())
    assert look(history, pending(stuck="", phase="Running")).active(NOW) == {}


def test_after_its_stuck_pods_were_deleted_a_type_is_tried_again_ever_later() -> None:
    history, now, waits = LaunchHistory(), NOW, []
    for _ in range(6):
        history = look(history, pending(), now=now)
        history = look(history, now=now)
        waits.append(resumes(history, now) - now)
        now += waits[-1]
        assert history.active(now) == {}
    assert waits == [30, 60, 120, 240, 300, 300]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (QuotaExceededError("used up"), "QuotaExceeded"),
        (ForbiddenError("no"), "Forbidden"),
        (InvalidNodeError("bad"), "Invalid"),
    ],
)
def test_a_refused_type_is_tried_again_after_seconds_that_double_to_half_a_minute(
    error: ProviderError, reason: str
) -> None:
    history, now, waits = LaunchHistory(), NOW, []
    for _ in range(7):
        history = look(history, now=now).after(Applied(refused={"first": error}), now)
        block = history.active(now)["first"]
        assert (block.reason, block.message, block.since) == (reason, str(error), NOW)
        waits.append(resumes(history, now) - now)
        now += waits[-1]
        history = look(history, now=now)
        assert history.active(now) == {}
    assert waits == [1, 2, 4, 8, 16, 30, 30]


def test_a_success_forgives_earlier_refusals_and_a_refusal_beside_it_counts() -> None:
    refused = {"first": QuotaExceededError("used up")}
    history = look(LaunchHistory()).after(Applied(refused=refused), NOW)
    assert history.after(Applied(["first"]), NOW).active(NOW) == {}
    assert history.after(Applied(["first"], refused), NOW).active(NOW)["first"].attempts == 1


def test_a_changed_type_does_not_wait_for_the_block_of_the_broken_one() -> None:
    history = look(LaunchHistory(), pending())
    changed = {**HASHES, "first": {"another"}}
    assert history.seen([], changed, NOW, GRACES).active(NOW) == {}


def test_pods_that_others_delete_young_are_made_again_ever_later_and_our_own_deletes_are_no_loss() -> None:
    history, now, waits = LaunchHistory(), NOW, []
    for number in range(5):
        pod = worker_pod(SPEC, number, "first", uid=f"u{number}", started_at=now)
        history = look(look(history, pod, now=now), now=now)
        waits.append(history.losses["first"].until - now)
        now += waits[-1]
    assert waits == [0, 5, 10, 20, 40]
    ours = look(LaunchHistory(), worker_pod(SPEC, 0, "first", uid="u", started_at=NOW)).after(
        Applied(removed={"u"}), NOW
    )
    assert look(ours).losses == {}


def test_a_pod_that_was_up_for_a_minute_was_not_deleted_soon_after_its_start() -> None:
    history = look(LaunchHistory(), worker_pod(SPEC, 0, "first", started_at=NOW - 60))
    assert look(history).losses == {}


def test_pods_that_are_deleted_minutes_apart_are_never_held_back() -> None:
    """Whoever deletes a worker now and then, by hand or to try a failure out, gets the next one at once."""
    history, now = LaunchHistory(), NOW
    for number in range(4):
        pod = worker_pod(SPEC, number, "first", uid=f"u{number}", started_at=now)
        history = look(history, pod, now=now + 1)
        history = look(look(history, pod, now=now + 50), now=now + 50)
        assert history.active(now + 50) == {}
        now += 180


def test_what_empties_a_machine_is_one_event_however_long_it_takes() -> None:
    young = [worker_pod(SPEC, n, "first", uid=f"u{n}", started_at=NOW) for n in range(9)]
    history = look(LaunchHistory(), *young)
    for gone in range(1, 10):
        new = [worker_pod(SPEC, 10 + n, "first", uid=f"n{n}", started_at=NOW + 1 + n) for n in range(gone)]
        history = look(history, *young[gone:], *new, now=NOW + 1 + gone)
        assert history.active(NOW + 1 + gone) == {}
    assert history.losses["first"].attempts == 1
    together = look(look(LaunchHistory(), *young)).losses["first"]
    assert (together.attempts, together.reason) == (1, LOST)
    assert together.message.startswith("9 pods were deleted by another client")


def test_an_eviction_is_no_loss_however_often_it_happens() -> None:
    """kubectl drain evicts pods, young ones as well, and their replacements are made at once."""
    history, now = LaunchHistory(), NOW
    for number in range(5):
        pod = worker_pod(SPEC, number, "first", uid=f"u{number}", started_at=now)
        history = look(history, pod, now=now)
        evicted = replace(pod, deleting=True, disrupted="EvictionByEvictionAPI")
        history = look(look(history, evicted, now=now + 1), now=now + 2)
        assert (history.losses, history.active(now + 2)) == ({}, {})
        now += 3


def answer(waiting: int) -> RayView:
    return RayView(RayState("s", 0.0, (), (Demand(CPU, waiting),)), "head-uid", 0.0)


STUCK = Stuck("Unschedulable", "no room", NOW)


def test_demand_goes_to_the_next_type_and_the_stuck_pod_that_is_not_needed_goes() -> None:
    of = cluster(RAW)
    plan = make_plan(seen([head_pod(SPEC), pending()], of, ray=answer(1), blocks={"first": STUCK}))
    assert [a.pod_type.name for a in plan.actions if isinstance(a, CreatePod)] == ["second"]
    assert [a.reason.label for a in plan.actions if isinstance(a, DeletePod)] == [Label.STUCK]


GATED = Stuck("SchedulingGated", "a gate", NOW)


def made(plan: Plan) -> list[str]:
    return [a.pod_type.name for a in plan.actions if isinstance(a, CreatePod)]


def deleted(plan: Plan) -> list[str]:
    return [a.pod.node_type for a in plan.actions if isinstance(a, DeletePod)]


def ray_node(pod: PodView, status: NodeStatus = NodeStatus.RUNNING) -> RayNode:
    return RayNode(b"w" * 28, pod.name, pod.node_type, status, {"CPU": QUANTUM}, {})


def test_a_gated_pod_keeps_its_place_in_the_queue_until_another_type_has_started_in_its_stead() -> None:
    of, head, waits = cluster(RAW), head_pod(SPEC), gated()
    plan = make_plan(seen([head, waits], of, ray=answer(1), blocks={"first": GATED}))
    assert (made(plan), deleted(plan)) == (["second"], [])
    other = worker_pod(SPEC, 0, "second", ready=False, phase="Pending", ip="")
    plan = make_plan(seen([head, waits, other], of, ray=answer(1), blocks={"first": GATED}))
    assert plan.actions == ()
    joined = replace(other, ready=True, phase="Running", unready_since=NOW - 11)
    done = RayView(RayState("s", 0.0, (ray_node(joined),)), "head-uid", 0.0)
    plan = make_plan(seen([head, waits, joined], of, ray=done, blocks={"first": GATED}))
    assert (made(plan), deleted(plan)) == ([], ["first"])


def test_a_pod_whose_gate_opens_first_serves_and_nothing_more_is_made() -> None:
    of, head, free = cluster(RAW), head_pod(SPEC), replace(gated(), stuck="", problem="")
    plan = make_plan(seen([head, free], of, ray=answer(1)))
    assert plan.actions == ()
    # Another type has been asked already: both are on their way.
    other = worker_pod(SPEC, 0, "second", ready=False, phase="Pending", ip="")
    plan = make_plan(seen([head, free, other], of, ray=answer(1)))
    assert plan.actions == ()


def test_types_that_are_all_gated_wait_side_by_side() -> None:
    other = replace(gated(), key=worker_pod(SPEC, 0, "second").key, uid="other", node_type="second")
    other = replace(other, config_hash=worker_pod(SPEC, 0, "second").config_hash)
    blocks = {"first": GATED, "second": GATED}
    plan = make_plan(seen([head_pod(SPEC), gated(), other], cluster(RAW), ray=answer(1), blocks=blocks))
    assert plan.actions == ()


def test_all_work_that_only_a_gated_type_could_serve_is_shown_to_its_queue() -> None:
    raw = raw_spec(0, podTypes=[raw_type("head-node", "ray-head-"), raw_type("first", maxWorkers=5)])
    plan = make_plan(seen([head_pod(parse_spec(raw)), gated()], cluster(raw), ray=answer(3), blocks={"first": GATED}))
    assert (made(plan), deleted(plan)) == (["first", "first"], [])


def test_where_the_maximum_leaves_room_for_one_the_gated_pod_gives_way() -> None:
    raw = {**RAW, "maxWorkers": 1}
    plan = make_plan(seen([head_pod(SPEC), gated()], cluster(raw), ray=answer(1), blocks={"first": GATED}))
    assert (made(plan), deleted(plan)) == (["second"], ["first"])


def test_a_gated_pod_is_looked_at_again_when_its_grace_is_over() -> None:
    plan = make_plan(seen([head_pod(SPEC), gated(since=NOW - 2)], cluster(RAW), ray=answer(1)))
    assert (plan.actions, plan.look_again_at) == ((), NOW + 3)


def test_a_stuck_pod_is_not_deleted_while_work_moves_to_workers_that_have_just_joined() -> None:
    """Ray shows for a moment less work than there is: the pod would be made again with the next answer."""
    other = replace(worker_pod(SPEC, 0, "second"), ready=True, unready_since=NOW - 2)
    node = RayNode(b"w" * 28, other.name, "second", NodeStatus.RUNNING, {"CPU": QUANTUM}, {})
    moving = RayView(RayState("s", 0.0, (node,)), "head-uid", 0.0)
    observed = seen([head_pod(SPEC), pending(), other], cluster(RAW), ray=moving, blocks={"first": STUCK})
    plan = make_plan(observed)
    assert (plan.actions, plan.look_again_at) == ((), NOW + 8)
    settled = make_plan(replace(observed, now=NOW + 8))
    assert [a.reason.label for a in settled.actions if isinstance(a, DeletePod)] == [Label.STUCK]


def test_a_stuck_pod_that_alone_could_serve_is_kept_and_the_status_says_what_it_waits_for() -> None:
    """Whoever adds machines for pods that find no room has to see one."""
    raw = raw_spec(0, podTypes=[raw_type("head-node", "ray-head-"), raw_type("first", maxWorkers=5)])
    of = cluster(raw)
    observed = seen([head_pod(parse_spec(raw)), pending()], of, ray=answer(1), blocks={"first": STUCK})
    plan = make_plan(observed)
    assert plan.actions == ()
    status = status_of(observed, plan)
    assert status["blockedTypes"] == [
        {"name": "first", "reason": "Unschedulable", "message": "no room", "since": "2023-11-14T22:13:20Z"}
    ]
    (met,) = (c for c in status["conditions"] if c["type"] == "DemandMet")
    assert (met["status"], met["reason"]) == ("False", "Blocked")
    assert "first" in met["message"]


@pytest.mark.parametrize(("reason", "made"), [("Unschedulable", 2), ("ImageMissing", 0)])
def test_all_that_only_a_stuck_type_could_serve_is_shown_to_who_adds_machines(reason: str, made: int) -> None:
    """More pods make a cluster grow; they do not make an image appear."""
    raw = raw_spec(0, podTypes=[raw_type("head-node", "ray-head-"), raw_type("first", maxWorkers=5)])
    block = Stuck(reason, "why", NOW)
    plan = make_plan(seen([head_pod(parse_spec(raw)), pending()], cluster(raw), ray=answer(3), blocks={"first": block}))
    assert [type(a) for a in plan.actions] == [CreatePod] * made


def test_the_minimum_of_a_blocked_type_waits_and_counts_against_the_clusters_maximum() -> None:
    types = [raw_type("head-node", "ray-head-"), raw_type("first", minWorkers=1, maxWorkers=5), raw_type("second")]
    of = cluster(raw_spec(0, maxWorkers=2, podTypes=types))
    observed = seen([head_pod(parse_spec(of.spec)), pending()], of, ray=answer(9), blocks={"first": STUCK})
    assert [a.pod_type.name for a in make_plan(observed).actions if isinstance(a, CreatePod)] == ["second"]
    assert not [a for a in make_plan(observed).actions if isinstance(a, DeletePod)]


def test_a_refused_type_is_not_asked_for_until_its_time_and_then_it_is() -> None:
    of = cluster(raw_spec(0, podTypes=[raw_type("head-node", "ray-head-"), raw_type("first", minWorkers=2)]))
    head = head_pod(parse_spec(of.spec))
    block = {"first": Pause("QuotaExceeded", "used up", NOW, until=NOW + 8)}
    plan = make_plan(seen([head], of, blocks=block))
    assert (plan.actions, plan.look_again_at) == ((), NOW + 8)
    assert len(make_plan(seen([head], of)).actions) == 2


@pytest.mark.parametrize(("reason", "made"), [("QuotaExceeded", 0), (LOST, 0), ("ImageMissing", 1)])
def test_a_head_is_held_back_by_refusals_and_losses_alone(reason: str, made: int) -> None:
    """A head that was stuck and is gone: somebody has mended something."""
    of = cluster(raw_spec(0))
    plan = make_plan(seen([], of, blocks={"head-node": Pause(reason, "why", NOW, until=NOW + 8)}))
    assert len([a for a in plan.actions if isinstance(a, CreatePod)]) == made
