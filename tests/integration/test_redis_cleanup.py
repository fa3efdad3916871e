"""The Job that deletes a deleted cluster's keys from its Redis, on a real API server: nothing waits for it."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.kube import Kube, eventually
from tests.support.operator import OperatorProcess
from tests.support.raycluster import HEAD, NAME, launched

JOBS = "cluster.ray.io/cluster-uid"


@pytest.fixture
def example(example: dict[str, Any]) -> dict[str, Any]:
    """One with a Redis, which nobody runs."""
    made = copy.deepcopy(example)
    secret = {"name": "redis", "key": "password"}
    made["spec"]["headRecovery"] = {"redis": {"address": "redis:6379", "passwordSecret": secret}}
    return made


@pytest.fixture
def process(kube: Kube) -> Iterator[OperatorProcess]:
    """An operator that a test may stop and start."""
    made = OperatorProcess(kube.environment, kube.namespace)
    made.start()
    yield made
    made.stop()
    made.close()


def job(kube: Kube) -> dict[str, Any]:
    """The one Job."""
    (found,) = eventually(lambda: kube.list("jobs", JOBS))
    return found


def resumed(kube: Kube) -> bool:
    return not job(kube)["spec"]["suspend"]


def no_cluster(kube: Kube) -> bool:
    return not kube.run("get", "rayclusters", "-o", "name")


def end_pods(kube: Kube) -> None:
    """What a kubelet does with pods that are deleted."""
    kube.run("delete", "pods", "-l", "ray-cluster-name", "--grace-period=0", "--force", "--wait=false")


def test_the_keys_go_after_the_cluster_and_it_is_deleted_at_once(
    kube: Kube, process: OperatorProcess, example: dict[str, Any]
) -> None:
    """Without a finalizer, and though there is no Redis."""
    kube.apply(example)
    launched(kube, 2)
    made = job(kube)
    assert made["spec"]["suspend"]
    assert made["metadata"]["labels"][JOBS] == kube.get("raycluster", NAME)["metadata"]["uid"]
    assert "finalizers" not in kube.get("raycluster", NAME)["metadata"]
    assert not kube.list("pods", f"job-name={made['metadata']['name']}")
    started = time.monotonic()
    kube.run("delete", "raycluster", NAME, "--wait=false")
    eventually(lambda: no_cluster(kube))
    print(f"the cluster was gone after {time.monotonic() - started:.1f} s")
    end_pods(kube)
    eventually(lambda: resumed(kube))
    (pod,) = eventually(lambda: kube.list("pods", f"job-name={made['metadata']['name']}"))
    env = {v["name"]: v for v in pod["spec"]["containers"][0]["env"]}
    assert env["RAY_REDIS_ADDRESS"]["value"] == "redis:6379"
    assert env["RAY_external_storage_namespace"]["value"] == made["metadata"]["labels"][JOBS]
    assert env["REDIS_PASSWORD"]["valueFrom"]["secretKeyRef"] == {"name": "redis", "key": "password"}
    spec = job(kube)["spec"]
    assert (spec["activeDeadlineSeconds"], spec["backoffLimit"], spec["ttlSecondsAfterFinished"]) == (900, 3, 600)


def test_a_cluster_that_was_deleted_while_no_operator_ran_is_cleaned_up_after(
    kube: Kube, process: OperatorProcess, example: dict[str, Any]
) -> None:
    kube.apply(example)
    launched(kube, 2)
    assert job(kube)["spec"]["suspend"]
    process.stop()
    kube.run("delete", "raycluster", NAME)
    end_pods(kube)
    eventually(lambda: not kube.list("pods", HEAD))
    process.start()
    eventually(lambda: resumed(kube))


def test_a_change_of_the_head_is_the_jobs_too_and_without_a_redis_there_is_none(
    kube: Kube, process: OperatorProcess, example: dict[str, Any]
) -> None:
    kube.apply(example)
    before = job(kube)["metadata"]["uid"]
    example["spec"]["headRecovery"]["redis"]["address"] = "other:6379"
    kube.apply(example)

    def changed() -> bool:
        env = job(kube)["spec"]["template"]["spec"]["containers"][0]["env"]
        return job(kube)["metadata"]["uid"] != before and {"name": "RAY_REDIS_ADDRESS", "value": "other:6379"} in env

    eventually(changed)
    del example["spec"]["headRecovery"]
    kube.run("patch", "raycluster", NAME, "--type=json", "-p", '[{"op": "remove", "path": "/spec/headRecovery"}]')
    eventually(lambda: not kube.list("jobs", JOBS))
