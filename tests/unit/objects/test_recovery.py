"""What pods of a cluster that outlives its head are given beside the others."""

from __future__ import annotations

from typing import Any

import pytest

from controller.objects.claim import build_claim
from controller.objects.pod import build_pod
from controller.raycluster.head_recovery import Storage
from controller.raycluster.model import parse_spec
from tests.support.builders import UID, cluster, raw_spec

OF = cluster()


def pods(recovery: dict[str, Any] | None) -> list[dict[str, Any]]:
    """The head and a worker."""
    given: dict[str, Any] = {"headRecovery": recovery} if recovery else {}
    spec = parse_spec(raw_spec(**given))
    return [build_pod(OF, spec, t, "a") for t in (spec.head, spec.worker_types[0])]


def env(pod: dict[str, Any]) -> dict[str, Any]:
    return {v["name"]: v.get("value", v.get("valueFrom")) for v in pod["spec"]["containers"][0]["env"]}


def added(recovery: dict[str, Any]) -> list[dict[str, Any]]:
    """The variables that the head and a worker have with recovery alone."""
    plain = pods(None)
    return [
        {k: v for k, v in env(pod).items() if k not in env(old)} for old, pod in zip(plain, pods(recovery), strict=True)
    ]


WAIT = {"RAY_gcs_rpc_server_reconnect_timeout_s": "900"}


def test_with_a_volume_the_head_alone_has_it_and_may_write() -> None:
    head, worker = pods({"storage": {}})
    folder = "/var/lib/ray-operator/head"
    store = {"RAY_gcs_storage": "rocksdb", "RAY_gcs_storage_path": f"{folder}/gcs"}
    assert added({"storage": {}}) == [{**WAIT, **store}, WAIT]
    claims = [v["persistentVolumeClaim"]["claimName"] for v in head["spec"]["volumes"] if "persistentVolumeClaim" in v]
    assert claims == ["example-ray-head"]
    assert folder in [m["mountPath"] for m in head["spec"]["containers"][0]["volumeMounts"]]
    assert head["spec"]["securityContext"] == {"fsGroup": 1000, "fsGroupChangePolicy": "OnRootMismatch"}
    assert not [v for v in worker["spec"]["volumes"] if "persistentVolumeClaim" in v]
    assert "securityContext" not in worker["spec"]


def test_a_claim_and_a_group_of_the_users_are_taken() -> None:
    spec = raw_spec(headRecovery={"storage": {"claimName": "mine"}})
    spec["podTypes"][0]["podConfig"]["spec"]["securityContext"] = {"fsGroup": 7}
    read = parse_spec(spec)
    made = build_pod(OF, read, read.head, "a")["spec"]
    assert made["volumes"][-1]["persistentVolumeClaim"] == {"claimName": "mine"}
    assert made["securityContext"] == {"fsGroup": 7}


@pytest.mark.parametrize("tls", [False, True])
def test_with_redis_the_head_alone_knows_it(tls: bool) -> None:
    secret = {"name": "redis", "key": "password"}
    recovery = {"redis": {"address": "r:1", "username": "it's", "passwordSecret": secret, "tls": tls}}
    store = {
        "RAY_REDIS_ADDRESS": "rediss://r:1" if tls else "r:1",
        "RAY_external_storage_namespace": UID,
        "REDIS_PASSWORD": {"secretKeyRef": secret},
    }
    assert added(recovery) == [{**WAIT, **store}, WAIT]
    head, worker = (p["spec"]["containers"][0]["command"][2] for p in pods(recovery))
    assert "--redis-password" in head and "--redis-username" in head
    assert "redis" not in worker


def test_without_a_password_none_is_told() -> None:
    head, _ = pods({"redis": {"address": "r:1"}})
    assert "--redis-password" not in head["spec"]["containers"][0]["command"][2]


def test_pods_note_what_head_and_workers_agree_on() -> None:
    name = "cluster.ray.io/head-recovery"
    assert [name in p["metadata"]["annotations"] for p in pods(None)] == [False, False]
    same = {p["metadata"]["annotations"][name] for p in pods({"storage": {}})}
    assert len(same) == 1
    # How big the volume is or whether it stays is nothing to a pod.
    assert pods({"storage": {"size": "9Gi", "retain": True}}) == pods({"storage": {}})
    assert pods({"storage": {"claimName": "b"}})[1]["metadata"]["annotations"][name] not in same


def test_a_claim_goes_with_its_cluster_unless_it_is_to_stay() -> None:
    gone, kept = (build_claim(OF, Storage(retain=retain)) for retain in (False, True))
    assert [o["uid"] for o in gone["metadata"]["ownerReferences"]] == [UID]
    assert kept["metadata"]["ownerReferences"] == []
    assert "storageClassName" not in gone["spec"]
    assert build_claim(OF, Storage(storage_class=""))["spec"]["storageClassName"] == ""
