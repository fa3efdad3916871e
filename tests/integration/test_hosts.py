"""Workers of several hosts against a real API server and its controllers; the tests play the kubelet."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.kube import Kube, eventually, names
from tests.support.operator import OperatorProcess
from tests.support.raycluster import NAME, WORKER, condition, launched
from tests.support.sampled import one_of_each

PAIR = "cluster.ray.io/worker"
SERVICE = f"{NAME}-ray-hosts"


@pytest.fixture
def pairs(example: dict[str, Any]) -> dict[str, Any]:
    """The example, whose one worker is two pods."""
    example["spec"]["podTypes"][1] |= {"hosts": 2, "minWorkers": 1, "maxWorkers": 2}
    return example


def uids(pods: list[dict[str, Any]]) -> set[str]:
    return {p["metadata"]["uid"] for p in pods}


def workers(kube: Kube) -> list[dict[str, Any]]:
    return kube.list("pods", WORKER)


def ready(kube: Kube) -> dict[str, Any]:
    """The status of the type, once all pods run."""

    def look() -> dict[str, Any]:
        kube.run_pods()
        status = kube.get("raycluster", NAME)["status"]
        return dict(status["podTypes"][0]) if status["phase"] == "Running" else {}

    return eventually(look)


def test_hosts_are_made_together_and_know_each_other(
    kube: Kube, operator: OperatorProcess, pairs: dict[str, Any]
) -> None:
    """Two pods, one worker; the Service's controller makes their names known before they are ready."""
    kube.apply(pairs)
    _, *made = launched(kube, 2)
    (slot,) = {n.rpartition("-")[0] for n in names(made)}
    assert names(made) == [f"{slot}-0", f"{slot}-1"]
    assert {p["metadata"]["labels"][PAIR] for p in made} == {slot}
    for number, name in enumerate(names(made)):
        unready = {"type": "Ready", "status": "False"}
        ip = f"10.9.7.{number + 1}"
        kube.set_pod_status(name, {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}], "conditions": [unready]})

    def published() -> dict[str, str]:
        slices = kube.list("endpointslices", f"kubernetes.io/service-name={SERVICE}")
        endpoints = [e for s in slices for e in s["endpoints"] or () if e["conditions"]["ready"]]
        return {e["hostname"]: e["addresses"][0] for e in endpoints}

    eventually(lambda: published() == {f"{slot}-0": "10.9.7.1", f"{slot}-1": "10.9.7.2"})
    told = {v["name"]: v.get("value") for v in made[1]["spec"]["containers"][0]["env"]}
    assert told["RAY_WORKER_HOST_NAMES"] == ",".join(f"{slot}-{n}.{SERVICE}" for n in range(2))
    assert told["RAY_WORKER_HOST_INDEX"] == "1"


def test_the_status_counts_workers_and_a_restart_of_the_operator_disturbs_none(
    kube: Kube, operator: OperatorProcess, pairs: dict[str, Any]
) -> None:
    kube.apply(pairs)
    launched(kube, 2)
    assert ready(kube) == {"name": "worker-node", "desired": 1, "hosts": 2, "pods": 2, "ready": 1}
    assert kube.run("get", "rayclusters").splitlines()[1].split()[:4] == [NAME, "Running", "1", "1"]
    first = workers(kube)[0]["metadata"]
    eventually(lambda: "cluster.ray.io/complete" in kube.get("pod", first["name"])["metadata"]["annotations"])
    before = uids(workers(kube))
    operator.kill()
    operator.start()
    patch = '[{"op": "replace", "path": "/spec/podTypes/1/minWorkers", "value": 2}]'
    kube.run("patch", "raycluster", NAME, "--type=json", "-p", patch)
    launched(kube, 4)
    assert before < uids(workers(kube))


@pytest.mark.parametrize("host", one_of_each([[0, 1]]))
def test_one_lost_host_replaces_its_worker(
    kube: Kube, operator: OperatorProcess, pairs: dict[str, Any], host: int
) -> None:
    """The head of this test never answers: after half a minute it is not asked before the other host goes."""
    kube.apply(pairs)
    launched(kube, 2)
    ready(kube)
    before = workers(kube)
    eventually(lambda: "cluster.ray.io/complete" in kube.get("pod", names(before)[0])["metadata"]["annotations"])
    kube.run("delete", "pod", names(before)[host], "--now")
    eventually(lambda: len(workers(kube)) == 2 and not uids(before) & uids(workers(kube)), within=120)
    assert len({p["metadata"]["labels"][PAIR] for p in workers(kube)}) == 1
    assert ready(kube)["ready"] == 1


def test_a_worker_that_a_quota_cuts_is_completed_when_it_is_raised(
    kube: Kube, operator: OperatorProcess, pairs: dict[str, Any]
) -> None:
    """The head and one host fit. Nothing else is begun, and the host that is there stays."""
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"}, "spec": {"hard": {"pods": "2"}}}
    kube.apply(quota)
    eventually(lambda: kube.get("resourcequota", "q")["status"]["hard"])
    kube.apply(pairs)
    eventually(lambda: "exceeded quota" in condition(kube, "WorkersReady").get("message", ""))
    (first,) = launched(kube, 1)[1:]
    assert first["metadata"]["labels"]["cluster.ray.io/host"] == "0"
    status = kube.get("raycluster", NAME)["status"]
    assert [b["name"] for b in status["blockedTypes"]] == ["worker-node"]
    assert status["podTypes"][0]["ready"] == 0
    kube.apply({**quota, "spec": {"hard": {"pods": "9"}}})
    after = launched(kube, 2)[1:]
    assert first["metadata"]["uid"] in uids(after)
    assert {p["metadata"]["labels"]["cluster.ray.io/host"] for p in after} == {"0", "1"}


def test_a_service_of_hosts_that_was_edited_or_deleted_is_put_right(
    kube: Kube, operator: OperatorProcess, pairs: dict[str, Any]
) -> None:
    kube.apply(pairs)
    launched(kube, 2)
    wanted = kube.get("service", SERVICE)["spec"]
    assert wanted["clusterIP"] == "None"
    patch = '[{"op": "replace", "path": "/spec/publishNotReadyAddresses", "value": false}]'
    kube.run("patch", "service", SERVICE, "--type=json", "-p", patch)
    eventually(lambda: kube.get("service", SERVICE)["spec"] == wanted)
    kube.run("delete", "service", SERVICE)
    eventually(lambda: kube.get("service", SERVICE)["spec"]["selector"] == wanted["selector"])
