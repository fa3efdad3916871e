"""Labels and annotations of the objects of a RayCluster, and what they mean."""

from __future__ import annotations

from controller.raycluster.model import (
    API_VERSION,
    KIND,
    RayCluster,
)

HEAD_COMPONENT_SUFFIX = "-ray-head"

# Labels of the legacy operator, which users' selectors rely on.
CLUSTER_LABEL = "ray-cluster-name"
KIND_LABEL = "ray-node-type"
TYPE_LABEL = "ray-user-node-type"
NODE_NAME_LABEL = "ray-node-name"
COMPONENT_LABEL = "cluster.ray.io/component"
HEAD, WORKER = "head", "worker"
# Set in every Ray container, see pod.py; it distinguishes Ray's from the others.
INSTANCE_VARIABLE = "RAY_CLOUD_INSTANCE_ID"


# The container of kubectl logs, exec, attach and cp where none is named.
DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"

# Annotations through which the operator remembers; nothing is remembered in the process alone.
HEAD_IP_ANNOTATION = "cluster.ray.io/head-ip"
HEAD_UID_ANNOTATION = "cluster.ray.io/head-uid"
RECOVERY_ANNOTATION = "cluster.ray.io/head-recovery"
CONFIG_ANNOTATION = "cluster.ray.io/config-hash"
ATTEMPT_ANNOTATION = "cluster.ray.io/attempt"
DRAIN_BY_ANNOTATION = "cluster.ray.io/drain-by"
DRAIN_REASON_ANNOTATION = "cluster.ray.io/drain-reason"
DRAIN_LABEL_ANNOTATION = "cluster.ray.io/drain-label"


def owner_reference(cluster: RayCluster) -> dict[str, object]:
    """The one owner of everything made for a cluster: deleting the cluster deletes it all."""
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "name": cluster.name,
        "uid": cluster.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }
