"""Whole passes against an API server in memory: what is made, what is written, what the user is told."""

from __future__ import annotations

import copy
from collections import Counter
from dataclasses import replace

import pytest

from autoscaler.model import Demand, NodeStatus, RayState, Shape
from controller.kube.client import ApiError
from controller.objects.labels import (
    CLUSTER_LABEL,
    DRAIN_BY_ANNOTATION,
    DRAIN_LABEL_ANNOTATION,
    DRAIN_REASON_ANNOTATION,
    HEAD,
    KIND_LABEL,
    WORKER,
)
from controller.planning.actions import MAX_PER_KIND
from controller.planning.reasons import Label
from controller.planning.scale_down import OVER_MAXIMUM
from controller.reconcile.reconciler import Result
from tests.support.builders import NAME, NAMESPACE, NOW_TEXT, raw_spec
from tests.support.world import KEY, World, well


def waiting(world: World) -> RayState:
    """The answer of a head with tasks, for some of which no node has room."""
    state = world.heads.state or RayState(world.session, 0.0, ())
    return replace(state, demands=(Demand(Shape.of({"CPU": 1}), 9),))


def test_a_new_cluster_comes_up_and_says_so() -> None:
    world = World()
    world.settle()
    assert len(world.api.names("pods")) == 3
    assert world.api.names("services") == [f"{NAME}-ray-head"]
    assert world.status["phase"] == "Running"
    assert (world.status["readyWorkers"], world.status["autoscalerRetries"]) == (2, 0)
    assert world.reasons() == Counter(CreatedPods=1, Running=1)
    assert Counter(world.api.writes)["POST", "pods"] == 3


def test_workers_are_told_of_the_head_that_was_made_with_them() -> None:
    world = well()
    head = world.pod(HEAD)
    told = world.pod(WORKER)["metadata"]["annotations"]
    assert told["cluster.ray.io/head-uid"] == head["metadata"]["uid"]
    assert told["cluster.ray.io/head-ip"] == head["status"]["podIP"]


def test_nothing_is_written_when_nothing_has_changed() -> None:
    world = well()
    assert world.step() == Result(look_again_in=299.0)
    world.joins, world.heads.state = False, None
    world.boot()
    assert world.step() == Result()
    assert world.api.writes == []
    assert world.api.events == []


def test_a_pass_is_followed_by_another_look_while_it_changes_something() -> None:
    """An answer may bring news of which the watch, being no newer, will not tell."""
    world = World()
    assert world.step().look_again_in == 1.0


def test_a_watch_that_lags_behind_does_not_make_pods_twice() -> None:
    world = World()
    world.step()
    world.now += 1
    world.step()
    assert Counter(world.api.writes)["POST", "pods"] == 3


def test_a_big_cluster_is_made_in_portions() -> None:
    spec = raw_spec(workers=150, maxWorkers=150)
    spec["podTypes"][1]["maxWorkers"] = 150
    world = World(spec)
    assert world.step().look_again_in == 0
    assert len(world.api.names("pods")) == MAX_PER_KIND
    world.step()
    assert len(world.api.names("pods")) == 151


def test_quota_reaches_status_and_events_and_is_retried() -> None:
    """The type is set aside for a second, then two; the user is told once; nothing is tried in the meantime."""
    world = World()
    world.api.pod_quota = 2
    assert world.step() == Result(look_again_in=1.0)
    assert "exceeded quota" in world.condition("Ready")["message"]
    assert [(b["name"], b["reason"]) for b in world.status["blockedTypes"]] == [("worker-node", "QuotaExceeded")]
    assert world.reasons()["QuotaExceeded"] == 1
    tries = len(world.api.tries)
    world.step()
    assert len(world.api.tries) == tries
    world.now += 1
    version = world.api.version
    world.step()
    world.now += 1
    world.step()
    assert len(world.api.tries) == tries + 1
    assert (world.reasons()["QuotaExceeded"], world.api.version) == (1, version)
    world.api.pod_quota = None
    world.settle()
    assert (world.status["phase"], "blockedTypes" in world.status) == ("Running", False)


def test_a_foreign_service_under_our_name_is_left_alone_and_named() -> None:
    world = World()
    name = f"{NAME}-ray-head"
    foreign = {"metadata": {"name": name, "namespace": NAMESPACE, "labels": {CLUSTER_LABEL: NAME}}, "spec": {}}
    world.api.put("services", foreign)
    world.tell()
    assert world.step().retry
    assert f"the Service {name} exists and is not this cluster's" in world.condition("Ready")["message"]
    assert ("PATCH", "services") not in world.api.writes


def test_an_edited_service_is_put_right_completely() -> None:
    world = well()
    found = copy.deepcopy(world.api.objects["services", NAMESPACE, f"{NAME}-ray-head"])
    edited = copy.deepcopy(found)
    edited["spec"]["selector"]["app"] = "mine"
    edited["spec"]["ports"].pop()
    world.api.put("services", edited)
    world.settle()
    assert world.api.objects["services", NAMESPACE, f"{NAME}-ray-head"]["spec"] == found["spec"]
    assert world.api.writes == [("PATCH", "services")]


def test_a_service_that_got_another_owner_in_the_meantime_is_not_edited() -> None:
    world = well()
    name = f"{NAME}-ray-head"
    edited = copy.deepcopy(world.api.objects["services", NAMESPACE, name])
    edited["spec"]["ports"].pop()
    world.api.put("services", edited)
    world.tell()
    world.api.remove("services", NAMESPACE, name)
    foreign = world.api.put("services", {"metadata": {"name": name, "namespace": NAMESPACE}, "spec": {}})
    assert world.step().retry
    assert world.api.objects["services", NAMESPACE, name] == foreign


def test_a_foreign_pod_under_the_name_of_a_slot_is_avoided() -> None:
    world = well()
    name = world.pod(WORKER)["metadata"]["name"]
    world.api.remove("pods", NAMESPACE, name)
    world.api.put("pods", {"metadata": {"name": name, "namespace": NAMESPACE}})
    world.tell()
    # While Ray lists a node under the name, it is not tried at all.
    world.heads.state = None
    assert world.step().retry
    world.settle()
    assert world.status["phase"] == "Running"
    assert name in world.api.names("pods")
    assert ("DELETE", "pods") not in world.api.writes


def test_a_lost_head_is_counted_once_and_the_cluster_recovers() -> None:
    world = well()
    world.api.remove("pods", NAMESPACE, world.pod(HEAD)["metadata"]["name"])
    world.settle()
    assert (world.status["phase"], world.status["autoscalerRetries"]) == ("Running", 1)
    assert world.reasons()["HeadLost"] == 1
    assert len(world.api.names("pods")) == 3


def test_a_head_left_behind_by_an_earlier_cluster_keeps_the_new_one_from_being_ready() -> None:
    """Deleted with --cascade=orphan and made again: the pods of the old one are nobody's."""
    world = well()
    (old,) = (p for p in world.api.of("pods") if p["metadata"]["labels"][KIND_LABEL] == HEAD)
    orphan = copy.deepcopy(old)
    del orphan["metadata"]["ownerReferences"]
    orphan["metadata"] |= {"name": "left-behind", "uid": "left-behind"}
    world.api.put("pods", orphan)
    world.settle()
    assert world.condition("Ready")["status"] == "False"
    assert world.condition("Ready")["message"].endswith("delete the pod left-behind")
    world.api.remove("pods", NAMESPACE, "left-behind")
    world.settle()
    assert world.status["phase"] == "Running"
    assert ("DELETE", "pods") not in world.api.writes


def test_each_loss_of_a_head_is_reported_with_what_it_ended_with() -> None:
    """Also of one that never became ready again."""
    world = well()
    for restart in (1, 2):
        world.fail(HEAD)
        world.tell()
        world.step()
        world.now += 30
        for _ in range(3):
            leaving = [p["metadata"] for p in world.api.of("pods") if "deletionTimestamp" in p["metadata"]]
            for pod in leaving:
                world.api.remove("pods", NAMESPACE, pod["name"])
            world.tell()
            world.step()
        told = [e["message"] for e in world.api.events if e.get("reason") == "HeadLost"]
        assert len(told) == restart and world.status["autoscalerRetries"] == restart
        assert told[-1].startswith(f"the head is lost; restarting the cluster (restart {restart}): ")
        assert told[-1].endswith("(the last one: Evicted: disk full)")


def test_what_passes_by_itself_is_no_refusal_and_keeps_a_cluster_that_runs_ready() -> None:
    """The API server is busy for a moment while work asks for one more worker."""
    world = well()
    world.user(raw_spec(workers=2, maxWorkers=3))
    world.settle()
    busy = ApiError(429, "TooManyRequests", "slow down")
    world.api.refuse = lambda method, what, name: busy if (method, what) == ("POST", "pods") else None
    assert world.heads.state
    world.heads.state = replace(world.heads.state, demands=(Demand(Shape.of({"CPU": 1}), 3),))
    world.api.events.clear()
    assert world.step().retry
    assert (world.status["phase"], world.condition("Ready")["status"]) == ("Running", "True")
    assert world.reasons() == Counter()


def test_a_drain_that_may_not_be_noted_on_the_pod_is_a_refusal() -> None:
    """And nothing is told of as done."""
    world = well()
    forbidden = ApiError(403, "Forbidden", "no patch of pods")
    world.api.refuse = lambda method, what, name: forbidden if (method, what) == ("PATCH", "pods") else None
    world.heads.busy = {bytes([1]) * 28, bytes([2]) * 28}
    world.joins = False
    assert world.heads.state
    nodes = tuple(replace(n, status=NodeStatus.RUNNING) for n in world.heads.state.nodes)
    world.heads.state = replace(world.heads.state, nodes=nodes)
    world.user(raw_spec(workers=0, maxWorkers=0))
    world.tell()
    assert world.step() == Result(retry=True)
    assert "no patch of pods" in world.condition("Ready")["message"]
    assert (world.heads.drained, world.reasons()["DrainingPods"]) == ([], 0)


def test_why_a_pod_is_drained_is_noted_on_it_for_people_and_for_metrics() -> None:
    """What survives this process: the text as it was told, and the label under which its end is counted."""
    world = well()
    world.joins = False
    assert world.heads.state
    nodes = tuple(replace(n, status=NodeStatus.RUNNING) for n in world.heads.state.nodes)
    world.heads.state = replace(world.heads.state, nodes=nodes)
    world.user(raw_spec(workers=0, maxWorkers=0))
    world.tell()
    world.step()
    noted = [p["metadata"]["annotations"] for p in world.api.of("pods")]
    drained = [n for n in noted if DRAIN_BY_ANNOTATION in n]
    assert len(drained) == 2
    assert {n[DRAIN_LABEL_ANNOTATION] for n in drained} == {Label.ABOVE_MAXIMUM.value}
    assert {n[DRAIN_REASON_ANNOTATION] for n in drained} == {OVER_MAXIMUM.text}


def test_a_head_replaced_for_a_change_of_the_spec_is_not_counted_as_lost() -> None:
    world = well()
    world.user(raw_spec(headStartRayCommands=["ray start --head -v"]))
    world.settle()
    assert (world.status["phase"], world.status["autoscalerRetries"]) == ("Running", 0)
    assert world.status["head"]["uid"] == world.pod(HEAD)["metadata"]["uid"]


def test_a_head_whose_deletion_is_refused_gets_no_second_one_beside_it() -> None:
    world = well()
    world.api.refuse = lambda method, *_: ApiError(403, "Forbidden", "no delete") if method == "DELETE" else None
    world.user(raw_spec(headStartRayCommands=["ray start --head -v"]))
    world.tell()
    for _ in range(3):
        assert world.step().retry
    assert sum(p["metadata"]["labels"][KIND_LABEL] == HEAD for p in world.api.of("pods")) == 1


def test_an_invalid_spec_leaves_the_pods_alone_and_says_what_is_wrong_once() -> None:
    world = well()
    before = world.api.names("pods")
    world.user(raw_spec(headPodType="nobody"))
    world.settle()
    world.step()
    assert world.status["phase"] == "Error"
    assert "headPodType" in world.condition("SpecValid")["message"]
    assert world.reasons() == Counter(SpecInvalid=1)
    assert world.api.names("pods") == before
    world.user(raw_spec())
    world.settle()
    assert (world.status["phase"], world.status["autoscalerRetries"]) == ("Running", 0)


def test_a_deleted_cluster_is_not_touched() -> None:
    world = well()
    obj = copy.deepcopy(world.api.objects["rayclusters", NAMESPACE, NAME])
    obj["metadata"]["deletionTimestamp"] = "2023-11-14T22:13:20Z"
    world.api.put("rayclusters", obj)
    for pod in world.api.names("pods"):
        world.api.remove("pods", NAMESPACE, pod)
    world.tell()
    assert world.step() == Result()
    world.api.remove("rayclusters", NAMESPACE, NAME)
    world.tell()
    assert world.step() == Result()
    assert world.api.writes == []


def test_a_cluster_made_again_under_its_name_starts_with_a_clean_status_and_its_own_pods() -> None:
    world = well()
    world.fail(WORKER)
    world.tell()
    world.api.remove("rayclusters", NAMESPACE, NAME)
    world.user(raw_spec())
    world.step()
    old = world.api.names("pods")
    assert world.status == {}, "the status of the old one was written onto the new one"
    world.settle()
    assert len(set(world.api.names("pods")) - set(old)) == 3
    service = f"{NAME}-ray-head"
    ready = world.condition("Ready")
    assert (ready["status"], ready["reason"]) == ("False", "Waiting")
    assert world.reasons()["Refused"] == 0, "it passes by itself"
    assert ready["message"] == f"the Service {service} belongs to an earlier cluster of this name and goes with it"
    leaving = copy.deepcopy(world.api.objects["services", NAMESPACE, service])
    leaving["metadata"]["deletionTimestamp"] = NOW_TEXT
    world.api.put("services", leaving)
    world.tell()
    assert world.step().retry
    assert world.condition("Ready")["message"].endswith("is still being deleted")
    for pod in old:
        world.api.remove("pods", NAMESPACE, pod)
    world.notified.clear()
    world.api.remove("services", NAMESPACE, service)
    world.tell()
    assert KEY in world.notified, "nobody looks again when the name is free"
    world.settle()
    assert (world.status["phase"], world.status["autoscalerRetries"]) == ("Running", 0)
    assert len(world.api.names("pods")) == 3


def test_an_edit_made_during_a_pass_is_not_lost() -> None:
    """The answer to the status write must not hide the edit that the watch has yet to tell."""
    world = well()
    world.fail(WORKER)
    world.tell()
    world.user(raw_spec(workers=4))
    world.notified.clear()
    world.step()
    world.tell()
    assert KEY in world.notified, "nothing brings the next pass"
    world.settle()
    assert len(world.api.names("pods")) == 5


def test_a_status_that_was_edited_is_put_right() -> None:
    world = well()
    obj = copy.deepcopy(world.api.objects["rayclusters", NAMESPACE, NAME])
    obj["status"] = {"phase": "Running", "conditions": [{}, {"type": "Ready", "status": "True"}]}
    world.api.put("rayclusters", obj)
    world.settle()
    conditions = ["SpecValid", "HeadReady", "WorkersReady", "Ready", "Autoscaling", "DemandMet"]
    assert [c["type"] for c in world.status["conditions"]] == conditions


def test_a_status_that_cannot_be_written_is_an_error_to_be_retried() -> None:
    world = World()
    world.api.refuse = lambda method, what, _: ApiError(503, "", "down") if what == "rayclusters" else None
    with pytest.raises(ApiError):
        world.step()


def test_events_that_cannot_be_posted_hold_nothing_up() -> None:
    world = World()
    world.api.refuse = lambda method, what, _: ApiError(403, "Forbidden", "no") if what == "events" else None
    world.settle()
    assert world.status["phase"] == "Running"


@pytest.mark.parametrize("how", ["gone", "there again", "going", "new process"])
def test_nothing_is_made_for_a_cluster_that_has_gone_before_the_watch_reports_it(how: str) -> None:
    """The garbage collector's deletes are told by other watches than the cluster's, in any order."""
    world = well()
    if how == "new process":
        world.boot()
    world.api.remove("rayclusters", NAMESPACE, NAME)
    if how == "there again":
        world.user(raw_spec())
    untold = len(world.api.log)
    worker = world.pod(WORKER)
    if how == "going":
        metadata = {**worker["metadata"], "deletionTimestamp": NOW_TEXT}
        world.api.put("pods", {**worker, "metadata": metadata})
    else:
        world.api.remove("pods", NAMESPACE, worker["metadata"]["name"])
    world.api.deliver(world.stores, untold)
    assert world.step() == Result(retry=True)
    assert world.api.writes == []


def test_no_service_is_made_for_a_cluster_that_has_gone_before_the_watch_reports_it() -> None:
    world = well()
    world.api.remove("rayclusters", NAMESPACE, NAME)
    untold = len(world.api.log)
    world.api.remove("services", NAMESPACE, f"{NAME}-ray-head")
    world.api.deliver(world.stores, untold)
    assert world.step() == Result(retry=True)
    assert world.api.writes == []


def test_that_pods_have_gone_is_not_forgotten_by_a_pass_that_makes_none() -> None:
    """Work that comes later is that of a cluster that may have gone in the meantime."""
    world = World(raw_spec(0))
    world.settle()
    world.heads.state = waiting(world)
    world.step()
    assert world.pod(WORKER)
    world.settle()
    world.api.remove("rayclusters", NAMESPACE, NAME)
    world.api.writes.clear()
    untold = len(world.api.log)
    world.api.remove("pods", NAMESPACE, world.pod(WORKER)["metadata"]["name"])
    world.api.deliver(world.stores, untold)
    assert world.heads.state
    world.heads.state = replace(world.heads.state, nodes=(), demands=())
    assert not world.step().retry
    world.heads.state = waiting(world)
    assert world.step() == Result(retry=True)
    assert ("POST", "pods") not in world.api.writes


def test_notes_about_a_valid_spec_are_posted_once_for_each_change_of_it() -> None:
    """As ray-operator validate tells it beforehand."""
    spec = raw_spec(0)
    spec["podTypes"][1]["rayResources"] = {"CPU": 2}
    spec["workerStartRayCommands"] = ["ray start --address=$RAY_HEAD_IP:6379 --num-cpus=4"]
    world = World(spec)
    world.settle()
    (note,) = [e for e in world.api.events if e["reason"] == "SpecNote"]
    said = "spec.podTypes[1].rayResources.CPU: 2 counts, and not the 4 of --num-cpus in the start commands"
    assert (note["type"], note["message"]) == ("Normal", said)
    world.settle()
    assert world.reasons()["SpecNote"] == 1


def test_work_becomes_a_pod_by_one_request() -> None:
    """Whether the cluster is still there is asked where pods have gone without the operator's doing."""
    world = well()
    asked: list[tuple[str, str]] = []
    world.api.refuse = lambda method, resource, _: asked.append((method, resource))
    world.heads.state = waiting(world)
    world.step()
    assert asked[0] == ("POST", "pods")
