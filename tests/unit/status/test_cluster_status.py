"""What ``kubectl describe raycluster`` says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from autoscaler.model import Demand, RayState, Shape
from controller.objects.views import PodView
from controller.planning.observed import Observed, RayView
from controller.planning.plan import make_plan
from controller.raycluster.model import RayCluster, parse_spec
from controller.raycluster.problem import Problem
from controller.status.cluster_status import gives_up_head, status_of, status_of_invalid
from tests.support.builders import NOW, NOW_TEXT, cluster, failed, head_pod, raw_spec, raw_type, seen, worker_pod

SPEC = parse_spec(raw_spec())
HEAD, W0, W1 = head_pod(SPEC), worker_pod(SPEC, 0), worker_pod(SPEC, 1)
WELL = (HEAD, W0, W1)


def status(*pods: PodView, of: RayCluster | None = None, refusals: tuple[str, ...] = ()) -> dict[str, Any]:
    observed = seen(pods, of)
    return status_of(observed, make_plan(observed), refusals)


def known(**fields: Any) -> RayCluster:
    """A cluster whose status was written when all was well."""
    return cluster(status={**status(*WELL), **fields})


def condition(found: dict[str, Any], kind: str) -> tuple[str, str, str]:
    of = next(c for c in found["conditions"] if c["type"] == kind)
    return of["status"], of["reason"], of["message"]


def test_a_healthy_cluster_is_running() -> None:
    found = status(*WELL)
    assert (found["phase"], found["autoscalerRetries"], found["observedGeneration"]) == ("Running", 0, 1)
    assert (found["desiredWorkers"], found["readyWorkers"]) == (2, 2)
    assert found["podTypes"] == [{"name": "worker-node", "desired": 2, "pods": 2, "ready": 2}]
    assert found["head"] == {
        "serviceName": "example-ray-head",
        "podName": HEAD.name,
        "uid": "head-uid",
        "podIP": "10.0.0.1",
    }
    assert condition(found, "Ready") == ("True", "ClusterReady", "")


def test_a_status_computed_again_later_is_the_same() -> None:
    """Otherwise every pass would write it."""
    first = status(*WELL)
    later = replace(seen(WELL, cluster(status=first)), now=NOW + 500)
    assert status_of(later, make_plan(later)) == first


def test_a_new_cluster_is_updating() -> None:
    found = status()
    assert found["phase"] == "Updating"
    assert condition(found, "HeadReady") == ("False", "HeadNotReady", "no head is running")
    assert found["head"] == {"serviceName": "example-ray-head"}


def test_an_unready_head_says_what_the_kubelet_says() -> None:
    found = status(replace(HEAD, ready=False, problem="ImagePullBackOff: no such image"), W0, W1)
    assert found["phase"] == "Updating"
    message = f"head pod {HEAD.name} is not ready: ImagePullBackOff: no such image"
    assert condition(found, "Ready") == ("False", "NotReady", message)


def test_a_head_that_an_earlier_cluster_left_behind_is_named() -> None:
    """Clients of the head Service would reach the one or the other."""
    observed = replace(seen(WELL), earlier_heads=["example-ray-head-old"])
    found = status_of(observed, make_plan(observed))
    message = (
        "the head Service leads to the head of an earlier cluster of this name as well; "
        "delete the pod example-ray-head-old"
    )
    assert condition(found, "Ready") == ("False", "NotReady", message)


def with_limit(memory: str) -> RayCluster:
    """A cluster whose head may take so much memory."""
    resources = {"limits": {"memory": memory}}
    head = raw_type("head-node", "ray-head-")
    head["podConfig"]["spec"]["containers"][0]["resources"] = resources
    return cluster(raw_spec(podTypes=[head, raw_type("worker-node")]))


@pytest.mark.parametrize(
    ("memory", "hint"),
    [
        ("512Mi", "; its memory limit is 512Mi, and a head of Ray 2.60 takes 640Mi when idle; give it 1Gi or more"),
        ("640Mi", ""),
        ("1Gi", ""),
    ],
)
def test_the_message_about_a_head_that_ran_out_of_memory_asks_for_more(memory: str, hint: str) -> None:
    """Legacy manifests gave it 512Mi. Ray's own words are in the log, and the pod says exit code 1 or OOMKilled."""
    found = status(failed(HEAD), of=with_limit(memory))
    message = f"no head is running (the last one: Error, exit code 1{hint})"
    assert condition(found, "HeadReady") == ("False", "HeadNotReady", message)


def test_missing_workers_are_counted_with_the_reason_of_one_of_them() -> None:
    found = status(HEAD, W0, replace(W1, ready=False, problem="Unschedulable: 0/1 nodes"))
    message = "1 of 2 workers of type worker-node are ready: Unschedulable: 0/1 nodes"
    assert condition(found, "WorkersReady") == ("False", "TooFew", message)
    assert condition(found, "HeadReady")[0] == "True"
    assert found["phase"] == "Updating"


def test_refusals_come_first_and_keep_the_cluster_from_being_ready() -> None:
    found = status(*WELL, refusals=("exceeded quota", "denied"))
    assert condition(found, "Ready") == ("False", "Refused", "exceeded quota; denied")
    assert found["phase"] == "Updating"


@pytest.mark.parametrize(
    "pods", [(), (failed(HEAD),), (replace(HEAD, phase="Unknown"),), (replace(HEAD, deleting=True),)]
)
def test_a_lost_head_is_recovery_and_counted(pods: tuple[PodView, ...]) -> None:
    found = status(*pods, W0, W1, of=known(autoscalerRetries=4))
    assert (found["phase"], found["autoscalerRetries"]) == ("AutoscalingExceptionRecovery", 5)


def test_a_head_replaced_between_two_looks_is_a_loss() -> None:
    assert status(replace(HEAD, uid="second"), of=known())["autoscalerRetries"] == 1


def test_a_loss_is_counted_once_and_recovery_lasts_until_all_is_ready() -> None:
    first = status(of=known())
    second = status(replace(HEAD, uid="second", ready=False), of=cluster(status=first))
    assert (second["phase"], second["autoscalerRetries"]) == ("AutoscalingExceptionRecovery", 1)
    told = [replace(w, head_uid="second") for w in (W0, W1)]
    third = status(replace(HEAD, uid="second"), *told, of=cluster(status=second))
    assert (third["phase"], third["autoscalerRetries"]) == ("Running", 1)


def test_a_head_given_up_for_a_change_of_the_spec_is_no_loss() -> None:
    of = replace(known(), spec=raw_spec(headStartRayCommands=["ray start --head -v"]))
    observed = seen(WELL, of)
    plan = make_plan(observed)
    found = status_of(observed, plan)
    assert (found["phase"], found["autoscalerRetries"]) == ("Updating", 0)
    assert "uid" not in found["head"]
    assert gives_up_head(observed, plan)


def test_a_kept_head_is_not_given_up() -> None:
    def gives_up(observed: Observed) -> bool:
        return gives_up_head(observed, make_plan(observed))

    assert not gives_up(seen(WELL, known()))
    assert not gives_up(seen((), cluster()))
    assert gives_up(seen((), known()))


def test_the_status_of_the_legacy_operator_is_taken_over() -> None:
    found = status(*WELL, of=cluster(status={"phase": "Running", "autoscalerRetries": 3, "kopf": {}}))
    assert (found["phase"], found["autoscalerRetries"]) == ("Running", 3)


def test_a_transition_time_moves_only_with_the_status() -> None:
    old = known()
    old.status["conditions"][3]["lastTransitionTime"] = "2020-01-01T00:00:00Z"
    same = status(*WELL, of=old)["conditions"][3]
    moved = status(HEAD, of=old)["conditions"][3]
    assert (same["status"], same["lastTransitionTime"]) == ("True", "2020-01-01T00:00:00Z")
    assert (moved["status"], moved["lastTransitionTime"]) == ("False", NOW_TEXT)


def test_an_invalid_spec_is_an_error_that_keeps_the_counts() -> None:
    found = status_of_invalid(
        replace(known(autoscalerRetries=2), generation=7), [Problem("spec.a", "is bad"), Problem("b", "too")], NOW
    )
    assert (found["phase"], found["autoscalerRetries"], found["observedGeneration"]) == ("Error", 2, 7)
    assert condition(found, "SpecValid") == ("False", "Invalid", "spec.a: is bad; b: too")
    assert condition(found, "Ready") == ("False", "SpecInvalid", "spec.a: is bad; b: too")
    assert found["head"]["uid"] == "head-uid"


def test_an_invalid_new_cluster_has_no_retries() -> None:
    assert status_of_invalid(cluster(), [Problem("a", "b")], NOW)["autoscalerRetries"] == 0


def test_what_holds_launches_back_is_part_of_the_last_decision() -> None:
    raw = raw_spec(0, maxWorkers=40, podTypes=[raw_type("head-node", "ray-head-"), raw_type("w", maxWorkers=40)])
    ray = RayView(RayState("s", 0.0, (), (Demand(Shape.of({"CPU": 1}), 40),)), "head-uid", 0.0)
    observed = seen([head_pod(parse_spec(raw))], cluster(raw), ray=ray)
    plan = make_plan(observed)
    said = status_of(observed, plan, done=plan.actions)
    told = "created 5 pods: 5 w for waiting work; 35 w more follow as others join: upscalingSpeed is 1"
    assert said["lastDecision"]["message"] == told
    assert condition(said, "DemandMet")[1] == "Limited"
