"""What becomes of KubeRay's deletion of a RayJob's cluster when the job is done."""

from __future__ import annotations

from typing import Any

import pytest

from .test_convert import converted, group, kuberay, text

OWN: dict[str, Any] = {"entrypoint": "true", "rayClusterSpec": {"headGroupSpec": group()}}


def job_cluster(**fields: Any) -> dict[str, Any]:
    """The spec of the RayCluster of a RayJob with these fields."""
    spec: dict[str, Any] = converted(kuberay("RayJob", **OWN, **fields))[0]["spec"]
    return spec


def rule(policy: str, seconds: int = 0, **condition: str) -> dict[str, Any]:
    """One of the deletion rules."""
    return {"policy": policy, "condition": {**condition, "ttlSeconds": seconds}}


@pytest.mark.parametrize(
    ("fields", "minutes"),
    [
        ({"shutdownAfterJobFinishes": True}, 5),
        ({"shutdownAfterJobFinishes": True, "ttlSecondsAfterFinished": 60}, 5),
        ({"shutdownAfterJobFinishes": True, "ttlSecondsAfterFinished": 3600}, 60),
        ({"shutdownAfterJobFinishes": True, "ttlSecondsAfterFinished": 400}, 6.7),
        ({"shutdownAfterJobFinishes": True, "ttlSecondsAfterFinished": 2**31 - 1}, 525_600),
        ({"deletionStrategy": {"onSuccess": {"policy": "DeleteCluster"}, "onFailure": {"policy": "DeleteSelf"}}}, 5),
        (
            {
                "deletionStrategy": {
                    "deletionRules": [
                        rule("DeleteWorkers", 10, jobStatus="SUCCEEDED"),
                        rule("DeleteCluster", 600, jobStatus="SUCCEEDED"),
                        rule("DeleteCluster", 1200, jobDeploymentStatus="Failed"),
                    ]
                }
            },
            20,
        ),
    ],
)
def test_a_cluster_that_goes_with_its_job_goes_when_nothing_uses_it(fields: dict[str, Any], minutes: float) -> None:
    """Not at once: the pod that submits the program may still fetch its image."""
    assert job_cluster(**fields)["idleTermination"] == {"minutes": minutes, "action": "Delete"}
    assert "idleTermination deletes the RayCluster" in text(kuberay("RayJob", **OWN, **fields))


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"shutdownAfterJobFinishes": False},
        {"shutdownAfterJobFinishes": True, "suspend": True},
        {"deletionStrategy": {"onSuccess": {"policy": "DeleteCluster"}, "onFailure": {"policy": "DeleteNone"}}},
        {"deletionStrategy": {"deletionRules": [rule("DeleteCluster", jobStatus="FAILED")]}},
        {"deletionStrategy": {"deletionRules": [rule("DeleteWorkers", jobStatus=s) for s in ("SUCCEEDED", "FAILED")]}},
    ],
)
def test_a_cluster_that_may_be_wanted_after_its_job_stays(fields: dict[str, Any]) -> None:
    assert "idleTermination" not in job_cluster(**fields)


def test_only_what_kuberay_would_delete_is_said_not_to_be_deleted() -> None:
    said = "nothing is deleted when the job ends"
    assert said not in text(kuberay("RayJob", **OWN, shutdownAfterJobFinishes=False))
    assert said in text(kuberay("RayJob", **OWN, shutdownAfterJobFinishes=True, suspend=True))


def test_a_cluster_that_is_not_the_jobs_own_stays() -> None:
    """Neither one that was there before, nor one that the next run needs, nor one whose user submits programs."""
    on_another: dict[str, Any] = {"entrypoint": "true", "clusterSelector": {"ray.io/cluster": "a"}}
    shared = kuberay("RayJob", **on_another, shutdownAfterJobFinishes=True)
    assert [document["kind"] for document in converted(shared)] == ["Job"]
    cron = kuberay("RayCronJob", schedule="0 3 * * *", jobTemplate={**OWN, "shutdownAfterJobFinishes": True})
    assert "idleTermination" not in converted(cron)[0]["spec"]
    interactive = job_cluster(submissionMode="InteractiveMode", shutdownAfterJobFinishes=True)
    assert "idleTermination" not in interactive
