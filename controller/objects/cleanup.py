"""The Job that deletes a cluster's keys from its Redis: how it is built, and read back.

It is made with the cluster, suspended, and resumed once the cluster is gone: what it takes is known then, to whichever
process runs, and no finalizer holds the cluster up. It has no owner, which would take it along.
"""

from __future__ import annotations

import hashlib
import json
import shlex
from dataclasses import dataclass
from typing import Any

from controller.raycluster.model import ClusterSpec, Json, Key, RayCluster

from .entrypoint import cleanup_script, command_of, says_more_of_redis
from .labels import CLEANUP_ANNOTATION, CLUSTER_LABEL, CLUSTER_UID_LABEL, DEFAULT_CONTAINER
from .pod import build_pod
from .recovery import REDIS_NAMESPACE, recovery_env

SELECTOR = f"{CLUSTER_LABEL},{CLUSTER_UID_LABEL}"
# The Job's name is a label of its pod, which has 63 characters; a cluster's name may have more than are left.
_MAX_CLUSTER_NAME = 40
DEADLINE_SECONDS = 900
KEPT_SECONDS = 600
RETRIES = 3
_RESOURCES = {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"memory": "512Mi"}}
# What the Job's pod has of the head's: what it takes to run the image where the head may, and to reach the Redis.
_OF_POD = (
    "affinity",
    "automountServiceAccountToken",
    "dnsConfig",
    "dnsPolicy",
    "enableServiceLinks",
    "hostAliases",
    "imagePullSecrets",
    "nodeSelector",
    "runtimeClassName",
    "schedulerName",
    "securityContext",
    "serviceAccountName",
    "tolerations",
    "volumes",
)
_OF_CONTAINER = (
    "env",
    "envFrom",
    "image",
    "imagePullPolicy",
    "name",
    "securityContext",
    "terminationMessagePath",
    "volumeMounts",
)
# The function is Ray's own, for this very purpose.
_PROGRAM = """
import os, sys
from ray._private.gcs_utils import cleanup_redis_storage
scheme, _, address = os.environ["RAY_REDIS_ADDRESS"].split(",")[0].rpartition("://")
host, _, port = address.rpartition(":")
user = {"username": sys.argv[1]} if sys.argv[1] else {}
sys.exit(not cleanup_redis_storage(
    host.strip("[]"), int(port), os.environ.get("REDIS_PASSWORD", ""), scheme == "rediss",
    os.environ["RAY_external_storage_namespace"], **user))
""".strip()


@dataclass(frozen=True)
class CleanupView:
    """A Job as it is. ``cluster_uid``: of the cluster whose keys it deletes. ``token``: what it was made from."""

    key: Key
    uid: str
    resource_version: int
    cluster: Key
    cluster_uid: str
    token: str
    suspended: bool
    deleting: bool

    @property
    def waits(self) -> bool:
        """It has not been resumed yet."""
        return self.suspended and not self.deleting

    @classmethod
    def from_object(cls, obj: Json) -> CleanupView:
        """Read a Job as the API server answers it."""
        metadata = obj["metadata"]
        labels = metadata.get("labels") or {}
        return cls(
            key=Key(metadata["namespace"], metadata["name"]),
            uid=metadata["uid"],
            resource_version=int(metadata["resourceVersion"]),
            cluster=Key(metadata["namespace"], labels.get(CLUSTER_LABEL, "")),
            cluster_uid=labels.get(CLUSTER_UID_LABEL, ""),
            token=(metadata.get("annotations") or {}).get(CLEANUP_ANNOTATION, ""),
            suspended=bool((obj.get("spec") or {}).get("suspend")),
            deleting="deletionTimestamp" in metadata,
        )


def cleanup_name(cluster: RayCluster) -> str:
    """The name of a cluster's Job. A later cluster of the same name has another one."""
    suffix = hashlib.sha256(cluster.uid.encode()).hexdigest()[:8]
    return f"{cluster.name[:_MAX_CLUSTER_NAME]}-redis-cleanup-{suffix}"


def build_cleanup(cluster: RayCluster, spec: ClusterSpec) -> dict[str, Any] | None:
    """The Job to create; None where the cluster has no keys, or where they are the user's own.

    They are where the user has named the place in which Ray keeps them.
    """
    redis = spec.recovery.redis if spec.recovery else None
    if redis is None or says_more_of_redis(spec):
        return None
    head = build_pod(cluster, spec, spec.head, "")["spec"]
    container = head["containers"][0]
    if {"name": REDIS_NAMESPACE, "value": cluster.uid} not in container["env"]:
        return None
    env = [v for v in container["env"] if v["name"] in _told(cluster, spec)]
    script = cleanup_script(spec, shlex.join(["python3", "-c", _PROGRAM, redis.username]))
    container = {name: container[name] for name in _OF_CONTAINER if name in container}
    container |= {"command": command_of(script), "env": env, "resources": _RESOURCES}
    pod = {name: head[name] for name in _OF_POD if name in head}
    pod |= {"containers": [container], "restartPolicy": "Never"}
    annotations = {DEFAULT_CONTAINER: container["name"]} if "name" in container else {}
    job: dict[str, Any] = {
        "suspend": True,
        "backoffLimit": RETRIES,
        "activeDeadlineSeconds": DEADLINE_SECONDS,
        "ttlSecondsAfterFinished": KEPT_SECONDS,
        "template": {"metadata": {"annotations": annotations}, "spec": pod},
    }
    token = hashlib.sha256(json.dumps(job, sort_keys=True).encode()).hexdigest()[:16]
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": cleanup_name(cluster),
            "namespace": cluster.namespace,
            "labels": {CLUSTER_LABEL: cluster.name, CLUSTER_UID_LABEL: cluster.uid},
            "annotations": {CLEANUP_ANNOTATION: token},
        },
        "spec": job,
    }


def _told(cluster: RayCluster, spec: ClusterSpec) -> set[str]:
    """The variables that the user has set, and those about the store: others change with what the head is given."""
    given = spec.head.pod_config["spec"]["containers"][0].get("env") or []
    return {variable["name"] for variable in (*given, *recovery_env(cluster, spec, is_head=True))}
