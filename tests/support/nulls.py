"""A RayCluster with a null wherever people leave a field empty."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from controller.raycluster.schema import path_text
from tests.support.builders import raw_cluster, raw_spec
from tests.support.prerequisites import ROOT

NULLS: dict[str, Any] = {
    "metadata": {"labels": None, "annotations": None, "creationTimestamp": None, "generateName": None},
    "spec": {"volumes": None, "tolerations": None, "nodeSelector": None, "initContainers": None, "hostname": None},
    "container": {
        "volumeMounts": None,
        "env": None,
        "envFrom": None,
        "ports": None,
        "args": None,
        "resources": None,
        "startupProbe": None,
        "readinessProbe": None,
        "securityContext": None,
    },
    "type": {"setupCommands": None, "workerSetupCommands": None, "rayResources": None},
    "cluster": {"headServicePorts": None, "headStartRayCommands": None, "workerStartRayCommands": None},
}


def with_fields(fields: dict[str, Any]) -> dict[str, Any]:
    """A spec with these fields in its parts, which are the keys of ``NULLS``."""
    spec = raw_spec()
    spec |= fields["cluster"]
    for pod_type in spec["podTypes"]:
        own = {"name": "ray", "image": "i", **fields["container"]}
        pod = {"containers": [own], **fields["spec"]}
        pod_type |= {
            "podConfig": {"apiVersion": "v1", "kind": "Pod", "metadata": fields["metadata"], "spec": pod},
            **fields["type"],
        }
    return spec


def whole_pod_config() -> dict[str, Any]:
    """A podConfig with every list and mapping of pods that users write, which an API server takes as it is."""
    config: dict[str, Any] = yaml.safe_load((Path(__file__).parent / "modern_pod.yaml").read_text())
    spec = config["spec"]
    for needs_more_of_a_cluster in _NEEDS_MORE:
        del spec[needs_more_of_a_cluster]
    container = spec["containers"][0]
    for on_volumes_or_restarts in ("volumeDevices", "restartPolicyRules", "restartPolicy"):
        del container[on_volumes_or_restarts]
    config["metadata"]["finalizers"] = ["example.com/kept"]
    del spec["topologySpreadConstraints"][0]["minDomains"]
    # The label is one of the labelSelector already.
    spec["topologySpreadConstraints"][0]["matchLabelKeys"] = ["shard"]
    expression = {"key": "nvidia.com/gpu.product", "operator": "In", "values": ["NVIDIA-A100-SXM4-40GB"]}
    field = {"key": "metadata.name", "operator": "In", "values": ["node-1"]}
    terms = {"nodeSelectorTerms": [{"matchExpressions": [expression], "matchFields": [field]}]}
    term = {"topologyKey": "k", "labelSelector": {"matchExpressions": [expression]}, "namespaces": ["x"]}
    spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"] = terms
    spec["affinity"]["podAffinity"] = {
        "requiredDuringSchedulingIgnoredDuringExecution": [term],
        "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "podAffinityTerm": term}],
    }
    spec["dnsConfig"] |= {"nameservers": ["1.1.1.1"], "searches": ["a.example.com"]}
    spec["volumes"] += [
        {"name": "settings", "configMap": {"name": "c", "items": [{"key": "a", "path": "b"}]}},
        {"name": "keys", "secret": {"secretName": "s", "items": [{"key": "a", "path": "b"}]}},
        {"name": "self", "downwardAPI": {"items": [{"path": "a", "fieldRef": {"fieldPath": "metadata.name"}}]}},
        {"name": "data", "persistentVolumeClaim": {"claimName": "c"}},
    ]
    get = {"port": 1, "httpHeaders": [{"name": "a", "value": "b"}]}
    container["lifecycle"] = {"postStart": {"exec": {"command": ["a"]}}, "preStop": {"httpGet": get}}
    container["securityContext"]["capabilities"]["add"] = ["SYS_PTRACE"]
    container["envFrom"] += [{"secretRef": {"name": "s"}}]
    container["env"] += [
        {"name": "A", "value": "b"},
        {"name": "MAP", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}},
        {"name": "FIELD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
    ]
    container["resources"]["limits"]["nvidia.com/gpu"] = 1
    return config


_NEEDS_MORE = (
    "ephemeralContainers",
    "evictionResponders",
    "hostnameOverride",
    "nodeName",
    "overhead",
    "preemptionPolicy",
    "priority",
    "priorityClassName",
    "runtimeClassName",
    "schedulingGroup",
    "serviceAccount",
    "serviceAccountName",
    "hostUsers",
    "setHostnameAsFQDN",
)


def null_places() -> dict[str, dict[str, Any]]:
    """The whole podConfig with a null in one place, by that place: at each key, as each list's last and only entry."""
    whole = whole_pod_config()
    found: dict[str, dict[str, Any]] = {}
    for path, value in _places(whole, ()):
        edits: dict[str, Any] = {f"{path_text(path)} = null": None}
        if isinstance(value, list):
            edits |= {f"{path_text(path)} + null": [*value, None], f"{path_text(path)} = [null]": [None]}
        for name, edit in edits.items():
            changed = copy.deepcopy(whole)
            place: Any = changed
            for part in path[:-1]:
                place = place[part]
            place[path[-1]] = copy.deepcopy(edit)
            found[name] = changed
    return found


def _places(value: Any, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for part, below in inner:
        if isinstance(value, dict):
            yield (*path, part), below
        yield from _places(below, (*path, part))


def optional_places() -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    """RayClusters in which one optional field of the CRD is null, and the same ones without it, by its place.

    Each field once, in a RayCluster that is fine with all of the others.
    """
    root = yaml.safe_load((ROOT / "charts/ray/crds/raycluster.yaml").read_text())
    schema = root["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    found = {}
    for path in _optional(schema, ()):
        whole = raw_cluster(_whole_spec(redis="redis" in path))
        holder: Any = whole["spec"]
        for part in path[:-1]:
            holder = holder[part]
        holder.pop(path[-1], None)
        absent = copy.deepcopy(whole)
        holder[path[-1]] = None
        found[path_text(path)] = (whole, absent)
    return found


def _optional(schema: dict[str, Any], path: tuple[str | int, ...]) -> Iterator[tuple[str | int, ...]]:
    """Of lists, the last entry of ``_whole_spec`` stands for all."""
    for name, inner in schema.get("properties", {}).items():
        if name not in schema.get("required", ()):
            yield (*path, name)
        yield from _optional(inner, (*path, name))
        yield from _optional(inner.get("items", {}), (*path, name, 1 if name == "podTypes" else 0))


def _whole_spec(*, redis: bool) -> dict[str, Any]:
    """A spec with all optional mappings, so that there is a place for each field in them."""
    where = {"address": "redis:6379", "username": "u", "passwordSecret": {"name": "s", "key": "k"}}
    metadata = {"name": "$(GANG_NAME)"}
    return raw_spec(
        gang={"labels": {}, "objects": [{"apiVersion": "example.com/v1", "kind": "PodGroup", "metadata": metadata}]},
        doNotDisrupt={},
        idleTermination={"minutes": 5},
        headServicePorts=[{"name": "x", "port": 7, "targetPort": 7}],
        headRecovery={"redis": where} if redis else {"storage": {}},
    )
