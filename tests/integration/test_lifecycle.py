"""One RayCluster's life against a real API server; the tests play the kubelet."""

from __future__ import annotations

import copy
import re
from typing import Any

from tests.support.kube import Kube, eventually, names
from tests.support.operator import OperatorProcess
from tests.support.raycluster import HEAD, WORKER, launched, running


def test_a_new_cluster_gets_head_service_and_workers(
    kube: Kube, operator: OperatorProcess, example: dict[str, Any]
) -> None:
    """Apply the example: one head, two workers, one Service; Updating until they are ready, then Running."""
    kube.apply(example)
    launched(kube, 2)
    eventually(lambda: kube.get("raycluster", "example-cluster")["status"]["phase"] == "Updating")
    pods = running(kube)
    assert [re.sub("[a-z0-9]{5}$", "", n) for n in names(pods)] == [
        "example-cluster-ray-head-",
        "example-cluster-ray-worker-",
        "example-cluster-ray-worker-",
    ]
    table = kube.run("get", "rayclusters").splitlines()
    assert table[0].split() == ["NAME", "STATUS", "DESIRED", "READY", "RESTARTS", "AGE"]
    assert table[1].split()[:5] == ["example-cluster", "Running", "2", "2", "0"]
    ports = [p["port"] for p in kube.get("service", "example-cluster-ray-head")["spec"]["ports"]]
    assert ports == [10001, 8265, 8000]


def test_workers_learn_the_address_of_their_head(
    kube: Kube, operator: OperatorProcess, example: dict[str, Any]
) -> None:
    """Once the head has an address, every worker's annotation holds it."""
    kube.apply(example)
    running(kube)
    head = kube.list("pods", HEAD)[0]["status"]["podIP"]
    eventually(
        lambda: (
            [p["metadata"]["annotations"].get("cluster.ray.io/head-ip") for p in kube.list("pods", WORKER)]
            == [head, head]
        )
    )


def test_a_deleted_worker_is_replaced_and_nothing_else_happens(
    kube: Kube, operator: OperatorProcess, example: dict[str, Any]
) -> None:
    """Delete one worker: another comes, the head and the other worker stay, no restart is counted."""
    kube.apply(example)
    before = {p["metadata"]["uid"] for p in running(kube)}
    victim = kube.list("pods", WORKER)[0]
    kube.run("delete", "pod", victim["metadata"]["name"], "--now")
    after = {p["metadata"]["uid"] for p in running(kube)}
    assert before - after == {victim["metadata"]["uid"]}
    assert kube.get("raycluster", "example-cluster")["status"]["autoscalerRetries"] == 0


def test_a_lost_head_restarts_the_cluster_and_is_counted(
    kube: Kube, operator: OperatorProcess, example: dict[str, Any]
) -> None:
    """Delete the head: head and workers are replaced, RESTARTS says 1."""
    kube.apply(example)
    before = {p["metadata"]["uid"] for p in running(kube)}
    kube.run("delete", "pod", kube.list("pods", HEAD)[0]["metadata"]["name"], "--now")
    eventually(lambda: kube.get("raycluster", "example-cluster")["status"]["phase"] == "AutoscalingExceptionRecovery")
    eventually(lambda: not before & {p["metadata"]["uid"] for p in running(kube)})
    assert kube.run("get", "rayclusters").splitlines()[1].split()[1:5] == ["Running", "2", "2", "1"]


def test_raising_min_workers_adds_pods_and_restarts_nothing(
    kube: Kube, operator: OperatorProcess, example: dict[str, Any]
) -> None:
    """Edit minWorkers from 2 to 3: one more worker, the others stay."""
    kube.apply(example)
    before = {p["metadata"]["uid"] for p in running(kube)}
    patch = '[{"op": "replace", "path": "/spec/podTypes/1/minWorkers", "value": 3}]'
    kube.run("patch", "raycluster", "example-cluster", "--type=json", "-p", patch)
    after = {p["metadata"]["uid"] for p in running(kube, 3)}
    assert before < after


def test_restarting_the_operator_disturbs_nothing(
    kube: Kube, operator: OperatorProcess, example: dict[str, Any]
) -> None:
    """Kill the operator and start it again: the same pods, and the status keeps its version."""
    kube.apply(example)
    before = running(kube)
    version = kube.get("raycluster", "example-cluster")["metadata"]["resourceVersion"]
    operator.kill()
    operator.start()
    # A second cluster shows that the new process is at work.
    other = copy.deepcopy(example)
    other["metadata"]["name"] = "second"
    kube.apply(other)
    eventually(lambda: len(kube.list("pods", "ray-cluster-name=second")) == 3)
    assert names(kube.list("pods", "ray-cluster-name=example-cluster")) == names(before)
    assert kube.get("raycluster", "example-cluster")["metadata"]["resourceVersion"] == version


def test_deleting_the_cluster_removes_all_that_was_made_for_it(
    kube: Kube, operator: OperatorProcess, example: dict[str, Any]
) -> None:
    """kubectl delete returns at once, and ownership removes pods and Service."""
    kube.apply(example)
    running(kube)
    kube.run("delete", "raycluster", "example-cluster", "--timeout=10s")
    eventually(lambda: not kube.list("pods") and not kube.list("services"))


def test_a_cluster_made_anew_under_the_same_name_starts_from_nothing(
    kube: Kube, operator: OperatorProcess, example: dict[str, Any]
) -> None:
    """Delete and apply again at once: new pods, RESTARTS 0, whatever of the old one is still ending."""
    kube.apply(example)
    before = {p["metadata"]["uid"] for p in running(kube)}
    kube.run("delete", "raycluster", "example-cluster", "--timeout=10s")
    kube.apply(example)
    eventually(lambda: len([p for p in running(kube) if p["metadata"]["uid"] not in before]) == 3)
    eventually(lambda: kube.get("raycluster", "example-cluster")["status"]["autoscalerRetries"] == 0)


def test_a_service_that_was_edited_or_deleted_is_put_right(
    kube: Kube, operator: OperatorProcess, example: dict[str, Any]
) -> None:
    """Ports changed in the Service or in the RayCluster, or no Service: the RayCluster wins."""
    kube.apply(example)
    running(kube)

    def ports() -> list[int]:
        return [p["port"] for p in kube.get("service", "example-cluster-ray-head")["spec"]["ports"]]

    kube.run(
        "patch", "service", "example-cluster-ray-head", "--type=json", "-p", '[{"op":"remove","path":"/spec/ports/0"}]'
    )
    eventually(lambda: ports() == [10001, 8265, 8000])
    kube.run("delete", "service", "example-cluster-ray-head")
    eventually(lambda: ports() == [10001, 8265, 8000])
    changed = copy.deepcopy(example)
    changed["spec"]["headServicePorts"] = [{"name": "client", "port": 10002, "targetPort": 10001}]
    kube.apply(changed)
    eventually(lambda: ports() == [10002, 8265, 8000])
