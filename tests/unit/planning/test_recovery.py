"""A cluster that outlives its head: one head is replaced by the next, and its workers stay."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from autoscaler.model import RayState
from controller.objects.claim import ClaimView, build_claim, claim_patch
from controller.objects.views import PodView
from controller.planning.actions import CreateClaim, CreatePod, CreateService, DeletePod, DrainPod, PatchClaim, TellHead
from controller.planning.observed import Observed, RayView
from controller.planning.plan import Plan, make_plan
from controller.planning.recovery import REJOIN_SECONDS
from controller.raycluster.head_recovery import Storage
from controller.raycluster.model import Key, RayCluster, parse_spec
from tests.fakes.heads import node
from tests.support.builders import NOW, cluster, failed, head_pod, raw_spec, seen, service, worker_pod
from tests.support.plans import created, deleted

ADDRESS = "10.96.0.7"
TOLD = {"head_ip": ADDRESS, "head_uid": f"service-{ADDRESS}"}
STORAGE: dict[str, Any] = {"storage": {"size": "2Gi"}}
OF = cluster(raw_spec(headRecovery=STORAGE))
SPEC = parse_spec(OF.spec)
TOKEN = SPEC.recovery_token
LONG_AGO = NOW - 3600


def storage_of(of: RayCluster) -> Storage:
    recovery = parse_spec(of.spec).recovery
    assert recovery and recovery.storage
    return recovery.storage


def claim_of(of: RayCluster = OF, **fields: Any) -> ClaimView:
    """The claim as the operator made it, with its volume."""
    raw = build_claim(of, storage_of(of))
    raw["metadata"] |= {"uid": "claim-uid", "resourceVersion": "12"}
    raw["spec"].setdefault("storageClassName", "standard")
    raw["status"] = {"phase": "Bound"}
    return replace(ClaimView.from_object(raw), **fields)


def head(of: RayCluster = OF, **fields: Any) -> PodView:
    spec = parse_spec(of.spec)
    return head_pod(spec, **{"recovery": spec.recovery_token, "unready_since": LONG_AGO, **fields})


def worker(ordinal: int = 0, of: RayCluster = OF, **fields: Any) -> PodView:
    spec = parse_spec(of.spec)
    known = {"recovery": spec.recovery_token, "unready_since": LONG_AGO, "running_since": LONG_AGO}
    return worker_pod(spec, ordinal, **{**TOLD, **known, **fields})


WORKERS = [worker(0), worker(1)]


def shown(*pods: PodView, of: RayCluster = OF, **fields: Any) -> Observed:
    storage = (of.spec.get("headRecovery") or {}).get("storage", {})
    claim = claim_of(of) if storage and "claimName" not in storage else None
    return seen(pods, of, **{"head_service": service(of, ip=ADDRESS), "claim": claim, **fields})


def answer(*names: str, head_uid: str = "head-uid", idle: float | None = None) -> RayView:
    nodes = tuple(node(number, name, "worker-node", idle=idle) for number, name in enumerate(names, 1))
    return RayView(RayState("s", 0.0, nodes), head_uid, 0.5)


def touched(plan: Plan) -> tuple[int, dict[str, Any]]:
    return len(created(plan)), deleted(plan)


def test_all_is_well_and_nothing_is_done() -> None:
    assert make_plan(shown(head(), *WORKERS)).actions == ()


def test_the_claim_is_made_before_the_head_and_workers_know_their_address_from_the_start() -> None:
    plan = make_plan(shown(claim=None))
    assert [a for a in plan.actions if isinstance(a, CreateClaim)] == [CreateClaim()]
    assert [a.pod_type.name for a in plan.actions if isinstance(a, CreatePod)] == ["worker-node"] * 2
    assert {a.head.ip for a in plan.actions if isinstance(a, CreatePod) and a.head} == {ADDRESS}
    assert (plan.look_again_at, plan.head_waits) == (NOW, "")
    assert [name for name, _, _ in created(make_plan(shown(*WORKERS)))] == ["head-node"]


@pytest.mark.parametrize(
    ("recovery", "claim", "patched"),
    [
        (STORAGE, {"controller_uid": ""}, True),
        (STORAGE, {"size": "1Gi"}, True),
        (STORAGE, {"size": "3Gi"}, False),
        ({"storage": {"retain": True}}, {"controller_uid": OF.uid}, True),
        ({"storage": {"retain": True}}, {"controller_uid": ""}, False),
        ({"storage": {"storageClassName": "fast"}}, {"storage_class": None, "phase": "Pending"}, True),
        ({"storage": {"storageClassName": "fast"}}, {"storage_class": "slow"}, False),
    ],
)
def test_a_claim_that_is_there_is_taken_over_and_kept_as_the_spec_says(
    recovery: dict[str, Any], claim: dict[str, Any], patched: bool
) -> None:
    of = cluster(raw_spec(headRecovery=recovery))
    plan = make_plan(shown(head(of), worker(0, of), worker(1, of), of=of, claim=claim_of(of, **claim)))
    assert [type(a) for a in plan.actions] == ([PatchClaim] if patched else [])


@pytest.mark.parametrize("recovery", [STORAGE, {"storage": {"retain": True}}])
@pytest.mark.parametrize("label", ["", "another"])
def test_a_claim_that_somebody_else_has_made_is_used_and_never_goes_with_the_cluster(
    recovery: dict[str, Any], label: str
) -> None:
    """Who may write RayClusters may not delete claims, nor have them deleted."""
    of = cluster(raw_spec(headRecovery=recovery))
    storage = storage_of(of)
    there = claim_of(of, cluster=Key(of.namespace, label), controller_uid="")
    marks = {"labels": {"ray-cluster-name": of.name}, "annotations": {"cluster.ray.io/found": "true"}}
    assert claim_patch(there, of, storage) == {"metadata": marks}
    taken = replace(there, cluster=of.key, found=True)
    assert claim_patch(taken, of, storage) == {}
    assert claim_patch(replace(taken, controller_uid=of.uid), of, storage) == {"metadata": {"ownerReferences": []}}


def test_a_named_claim_and_redis_need_no_claim_made() -> None:
    for recovery in ({"storage": {"claimName": "mine"}}, {"redis": {"address": "redis:6379"}}):
        of = cluster(raw_spec(headRecovery=recovery))
        plan = make_plan(shown(of=of))
        assert not [a for a in plan.actions if isinstance(a, CreateClaim | PatchClaim)]
        assert len(created(plan)) == 3


CLAIMS: Mapping[str, tuple[dict[str, Any], str]] = {
    "deleting": ({"deleting": True}, "is being deleted"),
    "an earlier cluster's": ({"controller_uid": "earlier"}, "belongs to something else"),
    "volume gone": ({"phase": "Lost"}, "is gone, with what Ray kept there; delete the claim"),
    "no class": ({"storage_class": None, "phase": "Pending"}, "no default StorageClass"),
}


@pytest.mark.parametrize("name", CLAIMS)
def test_no_head_is_made_for_a_claim_that_cannot_be_used(name: str) -> None:
    fields, words = CLAIMS[name]
    plan = make_plan(shown(*WORKERS, claim=claim_of(**fields)))
    assert touched(plan) == (0, {})
    assert words in plan.head_waits


def test_claims_that_are_not_listed_yet_are_waited_for() -> None:
    plan = make_plan(shown(*WORKERS, claim=None, claims_listed=False))
    assert touched(plan) == (0, {})
    assert "not listed" in plan.head_waits


OLD_HEADS: Mapping[str, dict[str, Any]] = {
    "terminating": {"deleting": True},
    "lost with its node": {"phase": "Unknown"},
    "on a silent node, being deleted": {"deleting": True, "node_lost": True, "ready": False},
}


@pytest.mark.parametrize("name", OLD_HEADS)
def test_a_head_that_may_still_write_keeps_another_from_being_made(name: str) -> None:
    old = head(**OLD_HEADS[name])
    plan = make_plan(shown(old, *WORKERS))
    assert not created(plan)
    assert set(deleted(plan)) <= {old.name}
    assert old.name in plan.head_waits
    assert ("out-of-service" in plan.head_waits) == ("node" in name)


def test_a_head_that_is_over_is_replaced_at_once_and_alone() -> None:
    over = failed(head(), lived=1000)
    plan = make_plan(shown(over, *WORKERS))
    assert [name for name, _, _ in created(plan)] == ["head-node"]
    assert set(deleted(plan)) == {over.name}
    gone = make_plan(shown(*WORKERS))
    assert touched(gone)[1] == {}
    assert [name for name, _, _ in created(gone)] == ["head-node"]


def test_a_worker_that_ends_meanwhile_is_replaced_alone() -> None:
    over = failed(worker(0), lived=1000)
    plan = make_plan(shown(head(deleting=True), over, worker(1)))
    assert [name for name, _, _ in created(plan)] == ["worker-node"]
    assert set(deleted(plan)) == {over.name}


def test_a_worker_that_stays_away_is_replaced_alone() -> None:
    """Not before a minute has passed since both were ready."""
    known = answer(WORKERS[0].name)
    for since, gone in ((NOW - REJOIN_SECONDS + 1, set()), (NOW - REJOIN_SECONDS, {WORKERS[1].name})):
        pods = [head(unready_since=since), *WORKERS]
        assert set(deleted(make_plan(shown(*pods, ray=known)))) == gone
    young = [head(), WORKERS[0], worker(1, unready_since=NOW - 5)]
    assert not deleted(make_plan(shown(*young, ray=known)))
    old_answer = replace(known, age=30.0)
    assert not deleted(make_plan(shown(head(), *WORKERS, ray=old_answer)))


@pytest.mark.parametrize("deadline", [NOW + 500, NOW - 1])
def test_a_drain_in_flight_outlives_the_head(deadline: float) -> None:
    """A new head does not know the worker yet: it has not finished for that. Its deadline counts all the same."""
    leaving = worker(1, drain_by=deadline, drain_reason="because", drain_label="idle")
    pods = [head(unready_since=NOW - 2), worker(0), leaving]
    plan = make_plan(shown(*pods, ray=answer(WORKERS[0].name)))
    assert set(deleted(plan)) == ({leaving.name} if deadline < NOW else set())
    later = make_plan(shown(head(), worker(0), leaving, ray=answer(WORKERS[0].name)))
    assert set(deleted(later)) == {leaving.name}


def test_workers_on_their_way_back_are_not_surplus_that_never_joined() -> None:
    of = cluster(raw_spec(workers=1, maxWorkers=1, headRecovery=STORAGE))
    pods = [worker(0, of), worker(1, of)]
    unsure = make_plan(shown(head(of, unready_since=NOW - 2), *pods, of=of, ray=answer(pods[0].name)))
    assert not deleted(unsure)
    back = make_plan(shown(head(of), *pods, of=of, ray=answer(*(p.name for p in pods))))
    assert [type(a) for a in back.actions] == [DrainPod]


def test_without_a_head_nothing_is_decided_on_what_the_last_one_said() -> None:
    """Workers that have idled for long by its word stay; nor is one launched for what it wanted."""
    of = cluster(raw_spec(workers=0, headRecovery=STORAGE))
    pods = [worker(0, of), worker(1, of)]
    stale = answer(*(p.name for p in pods), idle=4000.0)
    for heads in ([], [head(of, deleting=True)], [head(of, uid="new", ready=False)]):
        plan = make_plan(shown(*heads, *pods, of=of, ray=stale))
        assert not deleted(plan)
        assert not [a for a in plan.actions if isinstance(a, CreatePod) and a.pod_type.name == "worker-node"]


def changed(**head_container: Any) -> RayCluster:
    spec = raw_spec(headRecovery=STORAGE)
    spec["podTypes"][0]["podConfig"]["spec"]["containers"][0].update(head_container)
    return cluster(spec)


def test_a_change_of_the_head_replaces_the_head_alone() -> None:
    of = changed(env=[{"name": "A", "value": "b"}])
    plan = make_plan(shown(head(), *WORKERS, of=of))
    assert set(deleted(plan)) == {head().name}
    assert [a.reason for a in plan.announcements] == ["ReplacingHead"]
    after = make_plan(shown(*WORKERS, of=of))
    assert not deleted(after)
    assert [name for name, _, _ in created(after)] == ["head-node"]


@pytest.mark.parametrize(
    "of",
    [
        changed(image="rayproject/ray:2.61.0"),
        cluster(raw_spec(headRecovery={"storage": {"claimName": "another"}})),
        cluster(raw_spec(headRecovery={"redis": {"address": "redis:6379"}})),
        cluster(raw_spec()),
    ],
    ids=["another Ray", "another claim", "Redis", "no recovery"],
)
def test_another_store_or_version_of_ray_restarts_everything_and_says_so(of: RayCluster) -> None:
    plan = make_plan(shown(head(), *WORKERS, of=of))
    assert set(deleted(plan)) == {head().name, *(w.name for w in WORKERS)}
    (told,) = plan.announcements
    assert (told.reason, "what runs in Ray is lost" in told.message) == ("Restarting", True)


def test_recovery_that_is_switched_on_restarts_everything() -> None:
    before = cluster(raw_spec())
    old = parse_spec(before.spec)
    pods = [head_pod(old), worker_pod(old, 0), worker_pod(old, 1)]
    plan = make_plan(shown(*pods, of=OF))
    assert set(deleted(plan)) == {p.name for p in pods}


def test_a_service_made_again_gets_the_address_that_workers_know() -> None:
    plan = make_plan(shown(head(), *WORKERS, head_service=None, without_service=True))
    assert plan.actions == (CreateService(ADDRESS),)
    moved = make_plan(shown(head(), *WORKERS, head_service=service(OF, ip="10.96.0.8")))
    assert set(deleted(moved)) == {w.name for w in WORKERS}


def test_workers_that_know_no_address_get_the_services() -> None:
    untold = worker(0, head_ip="", head_uid="")
    plan = make_plan(shown(head(), untold, worker(1)))
    (told,) = plan.actions
    assert isinstance(told, TellHead)
    assert (told.pod, told.head.ip, told.head.uid) == (untold, ADDRESS, f"service-{ADDRESS}")


def test_nodes_that_are_lost_take_their_workers_with_them_as_ever() -> None:
    lost = worker(1, phase="Unknown")
    plan = make_plan(shown(head(), worker(0), lost))
    assert [a.pod for a in plan.actions if isinstance(a, DeletePod)] == [lost]
