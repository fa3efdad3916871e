"""What pods of a cluster that outlives its head have beside the others: the head's store, and how to reach it."""

from __future__ import annotations

from typing import Any

from controller.raycluster.head_recovery import Redis
from controller.raycluster.model import ClusterSpec, Json, RayCluster

from .claim import claim_name

STORE_VOLUME = "ray-operator-head-store"
STORE_DIR = "/var/lib/ray-operator/head"
# A folder of its own: the root of a volume may have a lost+found.
STORE_PATH = f"{STORE_DIR}/gcs"
# For so long a worker waits for a head to come back. A volume may need six minutes to leave a node that is lost.
RECONNECT_SECONDS = 900
# Names the place in a Redis in which Ray keeps its keys.
REDIS_NAMESPACE = "RAY_external_storage_namespace"
# Any group will do: Kubernetes gives the volume to it, and it to the pod's processes.
STORE_GROUP = 1000


def recovery_env(cluster: RayCluster, spec: ClusterSpec, is_head: bool) -> list[Json]:
    """The variables that Ray reads; none without recovery."""
    recovery = spec.recovery
    if recovery is None:
        return []
    wait = {"name": "RAY_gcs_rpc_server_reconnect_timeout_s", "value": str(RECONNECT_SECONDS)}
    if not is_head:
        return [wait]
    if recovery.redis:
        return [wait, *_redis_env(cluster, recovery.redis)]
    return [
        wait,
        {"name": "RAY_gcs_storage", "value": "rocksdb"},
        {"name": "RAY_gcs_storage_path", "value": STORE_PATH},
    ]


def _redis_env(cluster: RayCluster, redis: Redis) -> list[Json]:
    scheme = "rediss://" if redis.tls else ""
    variables: list[Json] = [
        {"name": "RAY_REDIS_ADDRESS", "value": f"{scheme}{redis.address}"},
        # Several clusters may share a server; a later one of the same name is another one.
        {"name": REDIS_NAMESPACE, "value": cluster.uid},
    ]
    if redis.secret:
        source = {"secretKeyRef": {"name": redis.secret, "key": redis.key}}
        variables.append({"name": "REDIS_PASSWORD", "valueFrom": source})
    return variables


def mount_store(pod_spec: dict[str, Any], container: dict[str, Any], cluster: RayCluster, spec: ClusterSpec) -> None:
    """Give the head its volume, writable for whichever user the image has."""
    storage = spec.recovery.storage if spec.recovery else None
    if storage is None:
        return
    claim = {"claimName": claim_name(cluster, storage)}
    pod_spec.setdefault("volumes", []).append({"name": STORE_VOLUME, "persistentVolumeClaim": claim})
    container.setdefault("volumeMounts", []).append({"name": STORE_VOLUME, "mountPath": STORE_DIR})
    security = pod_spec.setdefault("securityContext", {})
    if "fsGroup" not in security:
        security |= {"fsGroup": STORE_GROUP, "fsGroupChangePolicy": "OnRootMismatch"}
