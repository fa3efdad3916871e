"""What a user sees when something is wrong: which field, which value, what to do."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tests.support.kube import Kube, KubectlError, eventually
from tests.support.operator import OperatorProcess
from tests.support.raycluster import HEAD, WORKER, condition, launched, running


def test_a_spec_that_cannot_run_touches_nothing_and_says_why(
    kube: Kube, operator: OperatorProcess, example: dict[str, Any]
) -> None:
    """A quantity that is none, on a running cluster: Error, a message with field, value and remedy, same pods."""
    kube.apply(example)
    before = {p["metadata"]["uid"] for p in running(kube)}
    wrong = copy.deepcopy(example)
    wrong["spec"]["podTypes"][1]["podConfig"]["spec"]["containers"][0]["resources"]["requests"]["cpu"] = "lots"
    kube.apply(wrong)
    eventually(lambda: kube.get("raycluster", "example-cluster")["status"]["phase"] == "Error")
    message = condition(kube, "SpecValid")["message"]
    field = "spec.podTypes[1].podConfig.spec.containers[0].resources.requests.cpu"
    assert f"{field}: 'lots' is not a quantity; write" in message
    assert "SpecInvalid" in kube.run("describe", "raycluster", "example-cluster")
    assert {p["metadata"]["uid"] for p in kube.list("pods")} == before
    kube.apply(example)
    eventually(lambda: kube.get("raycluster", "example-cluster")["status"]["phase"] == "Running")
    assert {p["metadata"]["uid"] for p in kube.list("pods")} == before


@pytest.mark.parametrize(
    ("path", "value", "complaint"),
    [
        (("maxWorkers",), "three", "spec.maxWorkers"),
        (("podTypes",), [], "spec.podTypes"),
        (("podTypes", 0, "podConfig", "spec", "containers"), [], "containers"),
        (("headServicePorts",), [{"name": "x", "port": 70000, "targetPort": 1}], "port"),
        (("idleTimeoutMinutes",), -1, "spec.idleTimeoutMinutes"),
    ],
)
def test_kubectl_apply_refuses_what_the_schema_excludes(
    kube: Kube, example: dict[str, Any], path: tuple[Any, ...], value: Any, complaint: str
) -> None:
    """The API server itself names the field."""
    place: Any = example["spec"]
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = value
    with pytest.raises(KubectlError, match=complaint):
        kube.apply(example)


def test_quota_shows_in_the_status_and_the_rest_comes_when_it_is_lifted(
    kube: Kube, operator: OperatorProcess, example: dict[str, Any]
) -> None:
    """Room for two pods: the third is missing, the condition repeats the API server's words."""
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"}, "spec": {"hard": {"pods": "2"}}}
    kube.apply(quota)
    eventually(lambda: kube.get("resourcequota", "q")["status"]["hard"])
    kube.apply(example)
    eventually(lambda: "exceeded quota: q" in condition(kube, "Ready").get("message", ""))
    assert len(kube.list("pods")) == 2
    kube.run("delete", "resourcequota", "q")
    running(kube)


def test_a_crash_looping_worker_is_held_back(kube: Kube, operator: OperatorProcess, example: dict[str, Any]) -> None:
    """A worker that ends at once is replaced once; when that ends too, its pod is kept to be looked at."""
    kube.apply(example)
    running(kube)
    failed = {
        "phase": "Failed",
        "containerStatuses": [
            {
                "name": "ray-node",
                "image": "i",
                "imageID": "i",
                "ready": False,
                "restartCount": 0,
                "state": {"terminated": {"exitCode": 3, "reason": "Error"}},
            }
        ],
    }
    first = {p["metadata"]["uid"] for p in kube.list("pods", WORKER)}
    kube.set_pod_status(kube.list("pods", WORKER)[0]["metadata"]["name"], failed)
    replacement = eventually(lambda: [p for p in kube.list("pods", WORKER) if p["metadata"]["uid"] not in first])[0]
    assert replacement["metadata"]["annotations"]["cluster.ray.io/attempt"] == "1"
    kube.set_pod_status(replacement["metadata"]["name"], failed)
    eventually(lambda: "1 of 2 workers" in condition(kube, "WorkersReady").get("message", ""))
    assert kube.get("pod", replacement["metadata"]["name"])["status"]["phase"] == "Failed"
    assert len(kube.list("pods", WORKER)) == 2


def test_what_keeps_a_pod_pending_is_in_the_status(
    kube: Kube, operator: OperatorProcess, example: dict[str, Any]
) -> None:
    """The scheduler's words about the head are in the Ready condition."""
    kube.apply(example)
    launched(kube, 2)
    head = kube.list("pods", HEAD)[0]["metadata"]["name"]
    said = "0/0 nodes are available: no nodes"
    state = [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": said}]
    kube.set_pod_status(head, {"conditions": state})
    eventually(lambda: "Unschedulable" in condition(kube, "Ready").get("message", ""))


def test_foreign_pods_with_our_labels_are_left_alone(
    kube: Kube, operator: OperatorProcess, example: dict[str, Any]
) -> None:
    """A pod that only looks like a worker is neither counted nor deleted."""
    stranger = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "stranger",
            "labels": {"ray-cluster-name": "example-cluster", "ray-node-type": "worker"},
        },
        "spec": {"containers": [{"name": "c", "image": "i"}]},
    }
    kube.apply(stranger)
    kube.apply(example)
    eventually(lambda: len(kube.list("pods", WORKER)) == 3)
    assert kube.get("pod", "stranger")["metadata"]["name"] == "stranger"
