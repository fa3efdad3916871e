"""What becomes of the fields that have no counterpart: the text of the comment that names each.

Fields that do have one are read by the modules beside this one. Of ``WRITES`` those are written that the CRD of this
version has; for another, the comment of ``INSTEAD`` stands in its place.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import yaml

WRITES = (
    "podTypes.labels",
    "podTypes.priority",
    "podTypes.idleTimeoutMinutes",
    "podTypes.startRayCommands",
    "podTypes.hosts",
)


@cache
def writes(name: str) -> bool:
    """Whether a field of WRITES is one of this version's RayCluster."""
    return name in WRITES and name.rpartition(".")[2] in _pod_type_fields()


@cache
def _pod_type_fields() -> frozenset[str]:
    (version,) = yaml.safe_load(files("controller.raycluster").joinpath("raycluster.yaml").read_text())["spec"][
        "versions"
    ]
    spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    return frozenset(spec["podTypes"]["items"]["properties"])


INSTEAD = {
    "podTypes.labels": (
        "given to Ray as --labels; the autoscaler does not know them before a node of the type runs, so work that "
        "selects by them launches no node of a type that has none yet."
    ),
    "podTypes.priority": "not carried over; among pod types that can hold the work, the best fitting one is launched.",
    "podTypes.idleTimeoutMinutes": (
        "not carried over; spec.idleTimeoutMinutes holds for every pod type. Raise it if this group has to stay longer."
    ),
    "podTypes.hosts": (
        "one replica there is this many pods here, each launched and removed on its own; the bounds below count pods. "
        "A placement group with STRICT_SPREAD asks for all of them at once."
    ),
    "headRecovery": (
        "not carried over; when the head is lost, the whole cluster is restarted with a new head and new workers, and "
        "Ray's state is lost."
    ),
    "headServiceAnnotations": (
        "not carried over, the head Service takes no annotations; put them on a Service of your own before the head."
    ),
    "idleTermination": "not carried over; delete the RayCluster when its work is done.",
}

FRACTION = "not carried over; rayResources takes whole numbers only."
NO_AUTOSCALER_CONTAINER = "not used; there is no autoscaler container, the operator scales the cluster itself."

CLUSTER = {
    "rayVersion": "not used; the image decides the version.",
    "managedBy": ("not carried over; this operator runs the RayCluster. Kueue does not dispatch it to other clusters."),
}

UPGRADE = {
    "type": (
        "not carried over. Here a change of a worker type replaces its workers, busy ones after they have finished; a "
        "change of the head restarts the cluster; None and Recreate are not distinguished."
    ),
}

AUTOSCALER = {
    "version": "not used; there is one autoscaler, which answers to the same requests as version v2.",
    "image": NO_AUTOSCALER_CONTAINER,
    "imagePullPolicy": NO_AUTOSCALER_CONTAINER,
    "resources": NO_AUTOSCALER_CONTAINER,
    "securityContext": NO_AUTOSCALER_CONTAINER,
    "env": NO_AUTOSCALER_CONTAINER,
    "envFrom": NO_AUTOSCALER_CONTAINER,
    "volumeMounts": NO_AUTOSCALER_CONTAINER,
    "command": NO_AUTOSCALER_CONTAINER,
    "args": NO_AUTOSCALER_CONTAINER,
}

NO_HISTORY = "not carried over; there is no history server here. Add the collector to the podConfigs as a container."
COLLECTOR = {"image": NO_HISTORY, "imagePullPolicy": NO_HISTORY, "resources": NO_HISTORY, "env": NO_HISTORY}

TLS = {
    "enabled": (
        "not carried over; no certificates are made. Mount certificates and set RAY_USE_TLS, RAY_TLS_SERVER_CERT, "
        "RAY_TLS_SERVER_KEY and RAY_TLS_CA_CERT in the podConfigs, and give the operator its own by --ray-credentials."
    ),
}

FAULT_TOLERANCE = ("backend", "redisUsername", "redisPassword", "externalStorageNamespace", "redisAddress")
STORAGE = (
    "claimName",
    "size",
    "storageClassName",
    "accessModes",
    "subPath",
    "deletionPolicy",
)

WORKER = {
    "scaleStrategy": (
        "not carried over; pods to remove are chosen by the operator. Delete a pod to replace it, or lower maxWorkers."
    ),
}

# Parameters of "ray start".
START = {
    "block": "not needed; Ray always stays in the foreground.",
    "autoscaling-config": "not carried over; the operator scales the cluster.",
    "redis-password": "not carried over; custom Redis passwords are not supported in start commands.",
    "redis-username": "not carried over; custom Redis users are not supported in start commands.",
    "no-monitor": "always given; the operator scales the cluster.",
    "head": "given by the operator.",
}
HEAD_START = {"address": "not carried over; a head has no other head."}
WORKER_START = {
    "address": "not carried over; workers learn the head's address from the operator.",
    "port": "not carried over; a worker has no GCS.",
}

# Annotations of KubeRay's objects that mean something to KubeRay.
ANNOTATIONS = {
    "ray.io/ft-enabled": INSTEAD["headRecovery"],
    "ray.io/external-storage-namespace": INSTEAD["headRecovery"],
    "ray.io/gcs-ft-deletion-timeout": INSTEAD["headRecovery"],
    "ray.io/overwrite-container-cmd": "the container's command has become the start commands.",
    "ray.io/initializing-timeout": "not carried over; there is no limit to the time that a cluster takes to start.",
    "ray.io/enable-serve-service": "a Service for Serve is written beside the RayCluster.",
    "ray.io/disable-provisioned-head-restart": "not carried over; a lost head is always replaced.",
}
# Labels and annotations by which other programs find the objects of KubeRay.
QUEUES = {
    "kueue.x-k8s.io/": "kept, but Kueue does not admit RayClusters of this operator; put the label on the podConfigs.",
    "volcano.sh/": "kept, but no PodGroup is made for a RayCluster of this operator.",
    "yunikorn.apache.org/": "kept, but not copied to the pods; put it on the podConfigs.",
    "kai.scheduler/": "kept, but not copied to the pods; put it on the podConfigs.",
    "ray.io/gang-scheduling-enabled": "not carried over; write spec.gang, see docs/gang-scheduling.md.",
    "ray.io/priority-class-name": "not carried over; set priorityClassName in the podConfigs.",
    "ray.io/scheduler-name": "not carried over; set schedulerName in the podConfigs.",
}
RAY_LABEL = "not carried over; labels and annotations under ray.io/ belong to KubeRay."

# Fields of a pod template that the operator sets itself.
TEMPLATE = {
    "name": "not carried over; the operator names the pods.",
    "generateName": "not carried over; the operator names the pods.",
    "namespace": "not carried over; pods are in the namespace of the RayCluster.",
    "ownerReferences": "not carried over; pods belong to the RayCluster.",
}
RESTART_POLICY = "not carried over; it is always Never, a Ray pod that ends is replaced by a new one."

JOB = {
    "backoffLimit": (
        "not carried over; no new RayCluster is made for another try. A failed submission is retried on the same "
        "cluster as often as the Job's backoffLimit says; a Ray job that ran and failed is not run again."
    ),
    "preRunningDeadlineSeconds": "not carried over; the Job's activeDeadlineSeconds limits waiting and running.",
    "managedBy": "not carried over; Kueue can hold the Job, as any Job.",
}
JOB_FIELDS = {
    "activeDeadlineSeconds": "ends the Job; the program may go on in the cluster.",
    "suspend": "suspends the Job. Set spec.suspend of the RayCluster as well where it is not to run meanwhile.",
}
OWN_COMMAND = "not used, as in KubeRay: the container of submitterPodTemplate has a command of its own, which submits."
MODES = {
    "K8sJobMode": "the Job below submits the program.",
    "HTTPMode": "the Job below submits the program; the operator itself submits nothing.",
    "SidecarMode": "the Job below submits the program from a pod of its own; the head has no sidecar for it.",
    "InteractiveMode": (
        "no Job is written, you submit the program yourself, for example from a pod: "
        "ray job submit --address http://{address} -- python program.py"
    ),
}
DELETION_CARRIED = (
    "idleTermination deletes the RayCluster when nothing has used it for some minutes, whether the job succeeds or "
    "fails; a detached actor keeps it. The Job stays until kubectl delete job {name}, or its own "
    "ttlSecondsAfterFinished."
)
DELETION = (
    "not carried over; nothing is deleted when the job ends, unless you give the RayCluster an idleTermination. "
    "kubectl delete job,raycluster.cluster.ray.io {name} removes both; idle workers beyond minWorkers go by themselves."
)

SERVICE = {
    "rayClusterDeletionDelaySeconds": "not carried over; an upgrade makes no second RayCluster.",
    "serviceUnhealthySecondThreshold": "not used, by KubeRay neither.",
    "deploymentUnhealthySecondThreshold": "not used, by KubeRay neither.",
    "managedBy": CLUSTER["managedBy"],
}
SERVICE_UPGRADE = {
    "type": (
        "not carried over; a changed RayCluster is changed in place and Serve is down while its head restarts. For an "
        "upgrade without a gap, apply a second RayCluster under another name and move the Service over."
    ),
    "clusterUpgradeOptions": "not carried over; traffic is not moved step by step.",
}
