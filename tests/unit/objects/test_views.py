"""How pods and Services are read as the API server and the kubelet report them."""

from __future__ import annotations

from typing import Any

import pytest

from controller.objects.views import MAX_TEXT, PodView, ServiceView
from controller.raycluster.model import Key
from controller.raycluster.service_ports import ServicePort
from tests.support.builders import NOW, raw_pod

LATER = "2023-11-14T22:14:20Z"


def view(status: dict[str, Any] | None = None, **metadata: Any) -> PodView:
    return PodView.from_object(raw_pod(status, **metadata))


def test_a_pod_just_created_has_no_status_yet() -> None:
    pod = view()
    assert (pod.phase, pod.ip, pod.ready, pod.deleting, pod.problem) == ("Pending", "", False, False, "")
    assert (pod.live, pod.ended, pod.started_at, pod.ended_at) == (True, False, NOW, NOW)
    assert (pod.kind, pod.node_type, pod.owner_uid, pod.attempt) == ("worker", "worker-node", "cluster-uid", 0)
    assert pod.cluster == Key("ray", "example")


def test_a_running_pod_is_ready_when_its_condition_says_so() -> None:
    ready = {"phase": "Running", "podIP": "10.0.0.9", "conditions": [{"type": "Ready", "status": "True"}]}
    unready = {**ready, "conditions": [{"type": "Ready", "status": "False"}, {"type": "X", "status": "True"}]}
    assert (view(ready).ready, view(ready).ip, view(unready).ready) == (True, "10.0.0.9", False)


@pytest.mark.parametrize(
    ("phase", "deleted", "live"),
    [
        ("Pending", False, True),
        ("Running", False, True),
        ("Running", True, False),
        ("Failed", False, False),
        ("Succeeded", False, False),
        ("Unknown", False, False),
    ],
)
def test_a_pod_counts_as_a_node_until_it_ends_goes_or_is_lost(phase: str, deleted: bool, live: bool) -> None:
    assert view({"phase": phase}, **({"deletionTimestamp": LATER} if deleted else {})).live is live


def test_an_announced_end_is_read_with_its_times() -> None:
    """The spec's grace period is what a deletion gets that does not name another."""
    assert (view().deleted_at, view().disrupted, view().disrupted_at, view().grace) == (0.0, "", 0.0, 30.0)
    deleted = view(deletionTimestamp=LATER, deletionGracePeriodSeconds=45)
    assert (deleted.deleted_at, deleted.delete_by) == (NOW + 15, NOW + 60)
    told = {
        "type": "DisruptionTarget",
        "status": "True",
        "reason": "PreemptionByScheduler",
        "lastTransitionTime": LATER,
    }
    assert (view({"conditions": [told]}).disrupted, view({"conditions": [told]}).disrupted_at) == (
        told["reason"],
        NOW + 60,
    )
    assert view({"conditions": [{**told, "status": "False"}]}).disrupted == ""
    kueue = {**told, "type": "TerminationTarget", "reason": "StoppedByKueue"}
    assert view({"conditions": [kueue]}).disrupted == "StoppedByKueue"


def container(**state: Any) -> dict[str, Any]:
    return {"name": "ray-node", "state": state}


@pytest.mark.parametrize(
    ("status", "problem"),
    [
        ({"phase": "Failed", "reason": "Evicted", "message": "disk full"}, "Evicted: disk full"),
        (
            {"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3"}]},
            "Unschedulable: 0/3",
        ),
        (
            {"containerStatuses": [container(waiting={"reason": "ErrImagePull", "message": "not found"})]},
            "ErrImagePull: not found",
        ),
        ({"containerStatuses": [container(waiting={"reason": "ContainerCreating"})]}, ""),
        ({"containerStatuses": [container(waiting={"reason": "PodInitializing"})]}, ""),
        (
            {"phase": "Failed", "containerStatuses": [container(terminated={"reason": "OOMKilled", "exitCode": 137})]},
            "OOMKilled, exit code 137",
        ),
        ({"phase": "Failed", "containerStatuses": [container(terminated={"exitCode": 2})]}, "Error, exit code 2"),
        (
            {"containerStatuses": [container(terminated={"exitCode": 1, "message": "ray-operator: spec.a:\nmend b"})]},
            "Error, exit code 1: spec.a: mend b",
        ),
        # Anyone may write there.
        ({"containerStatuses": [container(terminated={"exitCode": 1, "message": "Traceback"})]}, "Error, exit code 1"),
        ({"phase": "Succeeded", "containerStatuses": [container(terminated={"exitCode": 0})]}, ""),
        (
            {"initContainerStatuses": [container(terminated={"reason": "Error", "exitCode": 3})]},
            "Error, exit code 3",
        ),
        ({"containerStatuses": [{"name": "ray-node"}]}, ""),
        ({"conditions": None, "containerStatuses": None}, ""),
    ],
)
def test_the_problem_is_told_in_the_words_of_who_found_it(status: dict[str, Any], problem: str) -> None:
    assert view(status).problem == problem


def test_a_pod_ended_when_its_last_container_did() -> None:
    ends = [container(terminated={"finishedAt": t, "exitCode": 1}) for t in ("2023-11-14T22:13:50Z", LATER)]
    assert view({"phase": "Failed", "containerStatuses": ends}).ended_at == NOW + 60
    assert view({"phase": "Failed", "containerStatuses": [container(terminated={"finishedAt": None})]}).ended_at == NOW


@pytest.mark.parametrize(
    ("text", "attempt"), [("3", 3), ("", 0), ("-1", 0), ("x", 0), ("9" * 5000, 0), ("²", 0), ("1e9", 0)]
)
def test_an_attempt_that_is_no_number_is_no_attempt(text: str, attempt: int) -> None:
    assert view(annotations={"cluster.ray.io/attempt": text}).attempt == attempt


@pytest.mark.parametrize(
    "owner",
    [
        {"kind": "ReplicaSet", "uid": "x", "controller": True},
        {"kind": "RayCluster", "uid": "x"},
        {"kind": "RayCluster", "uid": "x", "controller": False},
    ],
)
def test_only_a_controlling_ray_cluster_owns_a_pod(owner: dict[str, Any]) -> None:
    assert view(ownerReferences=[owner]).owner_uid == ""
    assert view(ownerReferences=None).owner_uid == ""


def test_a_foreign_pod_without_any_labels_can_be_read() -> None:
    assert view(labels=None, annotations=None, ownerReferences=[]).cluster == Key("ray", "")


def test_a_service_is_read_with_what_the_api_server_fills_in() -> None:
    metadata = {"name": "s", "namespace": "ray", "uid": "u", "resourceVersion": "9"}
    spec = {"ports": [{"port": 80}, {"name": "a", "port": 1, "targetPort": "http"}], "selector": {"b": "2", "a": "1"}}
    found = ServiceView.from_object({"metadata": metadata, "spec": spec})
    assert found.ports == (ServicePort("", 80, 80), ServicePort("a", 1, "http"))
    assert found.selector == (("a", "1"), ("b", "2"))
    bare = ServiceView.from_object({"metadata": {**metadata, "deletionTimestamp": LATER}})
    assert (bare.ports, bare.selector, bare.owner_uid, bare.deleting) == ((), (), "", True)


def test_a_pod_whose_ray_container_is_over_has_ended_whatever_a_sidecar_does() -> None:
    """The kubelet keeps such a pod Running."""
    over = {"name": "ray-node", "state": {"terminated": {"exitCode": 1, "reason": "Error"}}}
    sidecar = {"name": "proxy", "state": {"running": {}}}
    assert PodView.from_object(raw_pod({"phase": "Running", "containerStatuses": [over, sidecar]})).ended
    ours = {"name": "ray-node", "state": {"running": {}}}
    gone = {"name": "proxy", "state": {"terminated": {"exitCode": 0}}}
    assert PodView.from_object(raw_pod({"phase": "Running", "containerStatuses": [ours, gone]})).live


def waits_since(reason: str = "Unschedulable") -> list[dict[str, str]]:
    return [
        {"type": "PodScheduled", "status": "False", "reason": reason, "message": "0/3", "lastTransitionTime": LATER}
    ]


@pytest.mark.parametrize(
    ("status", "stuck", "since"),
    [
        ({"phase": "Pending", "conditions": waits_since()}, "Unschedulable", NOW + 60),
        ({"conditions": waits_since()}, "Unschedulable", NOW + 60),
        ({"phase": "Pending", "conditions": waits_since("SchedulingGated")}, "", 0.0),
        # A pod that was bound by hand runs, whatever the scheduler thought of it.
        ({"phase": "Running", "conditions": waits_since()}, "", 0.0),
        ({"phase": "Pending", "containerStatuses": [container(waiting={"reason": "ErrImagePull"})]}, "ImageMissing", 0),
        (
            {"phase": "Pending", "initContainerStatuses": [container(waiting={"reason": "ImagePullBackOff"})]},
            "ImageMissing",
            0,
        ),
        (
            {"phase": "Pending", "containerStatuses": [container(waiting={"reason": "CreateContainerConfigError"})]},
            "ConfigMissing",
            0,
        ),
        ({"phase": "Pending", "containerStatuses": [container(waiting={"reason": "ContainerCreating"})]}, "", 0.0),
    ],
)
def test_a_pod_is_stuck_when_waiting_alone_will_not_start_it(status: dict[str, Any], stuck: str, since: float) -> None:
    assert (view(status).stuck, view(status).stuck_since) == (stuck, since)


GATED = {"phase": "Pending", "conditions": waits_since("SchedulingGated")}
KUEUE, OTHER = "kueue.x-k8s.io/admission", "example.com/quota"


@pytest.mark.parametrize(
    ("gates", "status", "stuck", "problem"),
    [
        ([KUEUE], GATED, "SchedulingGated", f"scheduling gate {KUEUE}"),
        ([KUEUE, OTHER], GATED, "SchedulingGated", f"scheduling gate {KUEUE}, {OTHER}"),
        ([KUEUE, OTHER, "c", "d", "e"], GATED, "SchedulingGated", f"{KUEUE}, {OTHER}, c and 2 more"),
        # The condition stays until the scheduler has looked at the pod.
        ([], GATED, "", ""),
        ([], {"phase": "Pending", "conditions": waits_since()}, "Unschedulable", "Unschedulable: 0/3"),
        (None, {"phase": "Pending"}, "", ""),
    ],
)
def test_a_pod_waits_for_its_scheduling_gates_as_long_as_it_has_any(
    gates: list[str] | None, status: dict[str, Any], stuck: str, problem: str
) -> None:
    raw = raw_pod(status)
    raw["spec"]["schedulingGates"] = gates if gates is None else [{"name": name} for name in gates]
    found = PodView.from_object(raw)
    assert found.stuck == stuck
    assert found.problem.endswith(problem) and bool(found.problem) == bool(stuck)
    if stuck == "SchedulingGated":
        assert found.stuck_since == NOW


@pytest.mark.parametrize(
    ("ready", "containers", "gates", "lost"),
    [
        ("False", "True", [], True),
        ("True", "True", [], False),
        ("False", "False", [], False),
        # Its containers are ready and a gate is not: nothing is wrong with its node.
        ("False", "True", [{"conditionType": "example.com/gate"}], False),
    ],
)
def test_a_silent_kubelet_shows_in_the_ready_condition_alone(
    ready: str, containers: str, gates: list[dict[str, str]], lost: bool
) -> None:
    conditions = [{"type": "Ready", "status": ready, "lastTransitionTime": LATER}]
    pod = raw_pod({"phase": "Running", "conditions": [*conditions, {"type": "ContainersReady", "status": containers}]})
    pod["spec"]["readinessGates"] = gates
    assert (PodView.from_object(pod).node_lost, PodView.from_object(pod).unready_since) == (lost, NOW + 60)


@pytest.mark.parametrize(("text", "by"), [("1700000600", NOW + 600), ("soon", 0.0), ("9" * 11, 0.0), ("-5", 0.0)])
def test_until_when_a_pod_may_finish_is_read_from_its_annotation(text: str, by: float) -> None:
    noted = {"cluster.ray.io/drain-reason": "it is outdated", "cluster.ray.io/drain-label": "spec_changed"}
    pod = view(annotations={"cluster.ray.io/drain-by": text, **noted})
    assert (pod.drain_by, pod.drain_reason, pod.drain_label) == (by, "it is outdated", "spec_changed")


@pytest.mark.parametrize("name", ["drain-reason", "drain-label", "head-ip", "head-uid", "config-hash", "head-recovery"])
def test_little_is_kept_of_what_somebody_has_written_on_a_pod(name: str) -> None:
    pod = view(annotations={f"cluster.ray.io/{name}": "x" * 200_000})
    assert max(len(value) for value in vars_of(pod) if isinstance(value, str)) == MAX_TEXT


def vars_of(pod: PodView) -> list[Any]:
    return [getattr(pod, name) for name in PodView.__slots__]
