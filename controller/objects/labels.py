"""Labels and annotations of the objects of a RayCluster, and what they mean."""

from __future__ import annotations

from controller.raycluster.model import API_VERSION, GROUP, KIND, RayCluster

# What begins so is the operator's, wherever it stands.
OWN_PREFIX = f"{GROUP}/"

HEAD_COMPONENT_SUFFIX = "-ray-head"
HOSTS_COMPONENT_SUFFIX = "-ray-hosts"

# Labels of the legacy operator, which users' selectors rely on.
CLUSTER_LABEL = "ray-cluster-name"
KIND_LABEL = "ray-node-type"
TYPE_LABEL = "ray-user-node-type"
NODE_NAME_LABEL = "ray-node-name"
# Of which incarnation of the cluster something is that has no owner.
CLUSTER_UID_LABEL = "cluster.ray.io/cluster-uid"
COMPONENT_LABEL = "cluster.ray.io/component"
# Of the pods of workers of several hosts: which worker, and which of its hosts.
WORKER_LABEL = "cluster.ray.io/worker"
HOST_LABEL = "cluster.ray.io/host"
HEAD, WORKER = "head", "worker"
# Set in every Ray container, see pod.py; it distinguishes Ray's from the others.
INSTANCE_VARIABLE = "RAY_CLOUD_INSTANCE_ID"


# The container of kubectl logs, exec, attach and cp where none is named.
DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"

# Annotations through which the operator remembers; nothing is remembered in the process alone.
HEAD_IP_ANNOTATION = "cluster.ray.io/head-ip"
HEAD_UID_ANNOTATION = "cluster.ray.io/head-uid"
CLEANUP_ANNOTATION = "cluster.ray.io/cleanup"
# On a claim that somebody else had made: it goes with no cluster.
FOUND_ANNOTATION = "cluster.ray.io/found"
RECOVERY_ANNOTATION = "cluster.ray.io/head-recovery"
CONFIG_ANNOTATION = "cluster.ray.io/config-hash"
ATTEMPT_ANNOTATION = "cluster.ray.io/attempt"
# Which gang a pod belongs to, and how many pods that has.
GANG_ANNOTATION = "cluster.ray.io/gang"
# Of how many hosts the worker is one; and on its first host, that all of them have been there.
HOSTS_ANNOTATION = "cluster.ray.io/hosts"
COMPLETE_ANNOTATION = "cluster.ray.io/complete"
DRAIN_BY_ANNOTATION = "cluster.ray.io/drain-by"
DRAIN_REASON_ANNOTATION = "cluster.ray.io/drain-reason"
DRAIN_LABEL_ANNOTATION = "cluster.ray.io/drain-label"
# The operator has told autoscalers of nodes to leave the pod alone.
PROTECTED_ANNOTATION = "cluster.ray.io/do-not-disrupt"


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
