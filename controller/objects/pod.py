"""How a Ray pod is made from a RayCluster: the user's podConfig, and the few things the operator adds."""

from __future__ import annotations

import hashlib
import json
import re
from functools import lru_cache
from typing import Any

from controller.raycluster.model import ClusterSpec, Json, PodType, RayCluster
from controller.raycluster.node_labels import OVERRIDE
from controller.raycluster.nulls import without_nulls
from controller.raycluster.problem import Problem
from controller.raycluster.ray_resources import ray_resources
from controller.raycluster.shape import SHAPE_ERRORS, shape_problems

from . import entrypoint, probes
from .announced import grace_of
from .gang import PodGang, gang_annotations, gang_labels, with_gang_fields
from .hosts import Host, host_env, host_name, hosts_selector, hosts_service_name, worker_name
from .labels import (
    ATTEMPT_ANNOTATION,
    CLUSTER_LABEL,
    COMPONENT_LABEL,
    CONFIG_ANNOTATION,
    DEFAULT_CONTAINER,
    HEAD,
    HEAD_COMPONENT_SUFFIX,
    HEAD_IP_ANNOTATION,
    HEAD_UID_ANNOTATION,
    HOST_LABEL,
    HOSTS_ANNOTATION,
    INSTANCE_VARIABLE,
    KIND_LABEL,
    NODE_NAME_LABEL,
    OWN_PREFIX,
    RECOVERY_ANNOTATION,
    TYPE_LABEL,
    WORKER,
    WORKER_LABEL,
    owner_reference,
)
from .protection import protecting
from .recovery import mount_store, recovery_env

# The letters that Kubernetes itself uses for generated names: no vowels, no look-alikes.
_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
_SUFFIX_LENGTH = 5
FORK_SUPPORT = "GRPC_ENABLE_FORK_SUPPORT"
# Ray drains its node for so many seconds after SIGTERM.
DRAIN_TIMEOUT = "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S"
LEAVE_SECONDS = 5.0
HEAD_VOLUME = "ray-operator-head"
# Milliseconds. gcs_pull_resource_loads_period_milliseconds in Ray's ray_config_def.h is 1000.
PULL_PERIOD_SHORTEST, PULL_PERIOD_DEFAULT = 100, 1000


def slot_name(cluster: RayCluster, pod_type: PodType, ordinal: int) -> str:
    """The name of the pod in a slot of a type: the same every time it is asked for.

    That makes creating idempotent: a second create of the same slot meets the first one's pod, even from
    another process or after a crash between request and answer.
    """
    return f"{cluster.name}-{name_prefix(pod_type)}{_suffix(cluster.uid, pod_type.name, ordinal)}"


# Each pass goes through the slots of a cluster from the first one on.
@lru_cache(maxsize=16_384)
def _suffix(uid: str, type_name: str, ordinal: int) -> str:
    number = int.from_bytes(hashlib.sha256(f"{uid}/{type_name}/{ordinal}".encode()).digest()[:8], "big")
    suffix = ""
    for _ in range(_SUFFIX_LENGTH):
        number, digit = divmod(number, len(_ALPHABET))
        suffix += _ALPHABET[digit]
    return suffix


def name_prefix(pod_type: PodType) -> str:
    """What a type's pod names begin with, after the cluster's name."""
    given = (pod_type.pod_config.get("metadata") or {}).get("generateName")
    if given:
        return str(given)
    return _kebab(pod_type.name) + "-"


@lru_cache
def _kebab(name: str) -> str:
    kebab = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name).lower()
    return re.sub(r"[^a-z0-9-]+", "-", kebab).strip("-")


def build_pod(
    cluster: RayCluster,
    spec: ClusterSpec,
    pod_type: PodType,
    name: str,
    *,
    attempt: int = 0,
    head_ip: str = "",
    head_uid: str = "",
    host: Host | None = None,
    gang: PodGang | None = None,
) -> dict[str, Any]:
    """The pod to create. With ``head_ip`` a worker knows its head from the start, else it waits for the address.

    ``host``: which one it is, of a worker of several. ``gang``: the pods that it belongs with.
    """
    config = without_nulls(pod_type.pod_config)
    given = config.get("metadata") or {}
    annotations = {**_shown(config), **_users(given.get("annotations")), **_annotations(spec, pod_type, attempt, host)}
    if pod_type.is_head and spec.do_not_disrupt.head:
        annotations |= protecting(config)
    annotations |= _head_known(head_ip, head_uid) | gang_annotations(spec.gang, gang, cluster)
    labels = {
        **_users(given.get("labels")),
        **gang_labels(spec.gang, gang, cluster),
        **_labels(cluster, pod_type, host),
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": cluster.namespace,
            "labels": labels,
            "annotations": annotations,
            "ownerReferences": [owner_reference(cluster)],
            **({"finalizers": given["finalizers"]} if "finalizers" in given else {}),
        },
        "spec": with_gang_fields(_pod_spec(config["spec"], cluster, spec, pod_type, host), spec.gang, gang, cluster),
    }


def _head_known(ip: str, uid: str) -> dict[str, str]:
    return {HEAD_IP_ANNOTATION: ip, HEAD_UID_ANNOTATION: uid} if ip else {}


def _users(given: Json | None) -> dict[str, str]:
    """Labels or annotations of a podConfig. The operator believes its own: there they would say what is not so."""
    return {name: value for name, value in {**(given or {})}.items() if not name.startswith(OWN_PREFIX)}


def _shown(config: Json) -> dict[str, str]:
    """Whatever a webhook puts before Ray's container, kubectl goes to Ray's."""
    name = config["spec"]["containers"][0].get("name")
    return {DEFAULT_CONTAINER: name} if name else {}


def _annotations(spec: ClusterSpec, pod_type: PodType, attempt: int, host: Host | None) -> dict[str, str]:
    annotations = {CONFIG_ANNOTATION: spec.hash_of(pod_type)}
    if spec.recovery:
        annotations[RECOVERY_ANNOTATION] = spec.recovery_token
    if attempt:
        annotations[ATTEMPT_ANNOTATION] = str(attempt)
    if host:
        annotations[HOSTS_ANNOTATION] = str(pod_type.hosts)
    return annotations


def unbuildable(cluster: RayCluster, spec: ClusterSpec) -> tuple[Problem, ...]:
    """The pod types whose podConfig has fields of a wrong shape, which the CRD leaves to the pods' own validation."""
    try:
        for pod_type in spec.pod_types:
            build_pod(cluster, spec, pod_type, "trial", host=trial_host(pod_type))
    except SHAPE_ERRORS:
        return shape_problems(cluster.spec)
    return ()


def trial_gang(spec: ClusterSpec, pod_type: PodType) -> PodGang | None:
    """The gang of a pod that is only tried out: fields that are given to gangs alone are tried out as well."""
    return PodGang("trial", 2) if spec.gang and spec.gang.pod_spec and not pod_type.is_head else None


def trial_host(pod_type: PodType) -> Host | None:
    """Which host a pod is that is only tried out."""
    return Host("trial", 0) if pod_type.hosts > 1 else None


def _labels(cluster: RayCluster, pod_type: PodType, host: Host | None) -> dict[str, str]:
    kind = HEAD if pod_type.is_head else WORKER
    labels = {
        CLUSTER_LABEL: cluster.name,
        KIND_LABEL: kind,
        TYPE_LABEL: pod_type.name,
        NODE_NAME_LABEL: f"ray-{cluster.name}-{kind}",
    }
    if pod_type.is_head:
        labels[COMPONENT_LABEL] = cluster.name + HEAD_COMPONENT_SUFFIX
    if host:
        labels |= {WORKER_LABEL: worker_name(host.slot), HOST_LABEL: str(host.index), **hosts_selector(cluster)}
    return labels


def _pod_spec(
    given: dict[str, Any], cluster: RayCluster, spec: ClusterSpec, pod_type: PodType, host: Host | None
) -> dict[str, Any]:
    is_head = pod_type.is_head
    # A Ray pod that ends is replaced by the operator, never restarted in place: a second Ray in the same
    # pod would be a new node under an old name.
    given["restartPolicy"] = "Never"
    container = given["containers"][0]
    for own in ("restartPolicy", "restartPolicyRules"):
        container.pop(own, None)
    # Pods run users' code; they get no API token and no list of services unless the podConfig asks.
    given.setdefault("automountServiceAccountToken", False)
    given.setdefault("enableServiceLinks", False)
    container.pop("args", None)
    script = entrypoint.head_script(spec) if is_head else entrypoint.worker_script(spec, pod_type)
    container["command"] = entrypoint.command_of(script)
    added = [*_env(spec, pod_type, is_head), *recovery_env(cluster, spec, is_head)]
    if host:
        given |= {"hostname": host_name(host.slot, host.index), "subdomain": hosts_service_name(cluster)}
        added += host_env(cluster, pod_type, host)
    container["env"] = _merged(container.get("env") or [], added)
    if not {"startupProbe", "readinessProbe"} & set(container):
        container |= probes.head_probes(spec) if is_head else probes.worker_probes(spec, pod_type)
    if is_head:
        mount_store(given, container, cluster, spec)
    else:
        _mount_head_file(given, container)
    return given


def _env(spec: ClusterSpec, pod_type: PodType, is_head: bool) -> list[Json]:
    """The variables that every Ray container gets, and every head's."""
    added: list[Json] = [
        {"name": INSTANCE_VARIABLE, "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "RAY_NODE_TYPE_NAME", "value": pod_type.name},
        {"name": "RAY_OVERRIDE_RESOURCES", "value": json.dumps(ray_resources(pod_type), sort_keys=True)},
    ]
    if pod_type.labels:
        # What Ray gives its nodes beside the labels that it finds out itself, and over them.
        added.append({"name": OVERRIDE, "value": json.dumps(dict(pod_type.labels), sort_keys=True)})
    if not is_head:
        added.append({"name": DRAIN_TIMEOUT, "value": f"{_finishing_seconds(pod_type):g}"})
    if is_head:
        # Without it request_resources() never reaches the GCS and `ray status` has nothing to say.
        added.append({"name": "RAY_enable_autoscaler_v2", "value": "1"})
        added.append({"name": "RAY_gcs_pull_resource_loads_period_milliseconds", "value": str(_pull_period(spec))})
        # The server of Ray Client forks for each connection while its other threads use gRPC. With what gRPC does about
        # forks, 7 of 40 connections failed, four at a time: https://github.com/ray-project/ray/issues/63202
        added.append({"name": FORK_SUPPORT, "value": "false"})
    return added


def _merged(given: list[Json], added: list[Json]) -> list[Json]:
    """The user's variables and the operator's; where both set one, the user's stays."""
    taken = {variable.get("name") for variable in given}
    return [variable for variable in added if variable["name"] not in taken] + given


def _finishing_seconds(pod_type: PodType) -> float:
    """How long Ray may let tasks finish when its pod is deleted: to the end of the grace period, but for what Ray needs
    to leave in good order. Without it a node that was killed would look like one that has crashed.
    """
    grace = grace_of(pod_type.pod_config)
    return grace - min(LEAVE_SECONDS, grace / 2)


def _pull_period(spec: ClusterSpec) -> int:
    """How often the GCS asks its nodes what waits there, in milliseconds. Ray's own default would add up to a second
    to every scale-up; 250 questions a second altogether cost little.
    """
    return min(PULL_PERIOD_DEFAULT, max(PULL_PERIOD_SHORTEST, 4 * spec.max_workers))


def _mount_head_file(pod_spec: dict[str, Any], container: dict[str, Any]) -> None:
    """Show the worker its own head annotation as a file: no DNS, no API access, no init container."""
    field = {"fieldPath": f"metadata.annotations['{HEAD_IP_ANNOTATION}']"}
    items = [{"path": entrypoint.HEAD_FILE_NAME, "fieldRef": field}]
    pod_spec.setdefault("volumes", []).append({"name": HEAD_VOLUME, "downwardAPI": {"items": items}})
    container.setdefault("volumeMounts", []).append(
        {"name": HEAD_VOLUME, "mountPath": entrypoint.HEAD_FILE_DIR, "readOnly": True}
    )
