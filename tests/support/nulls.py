"""A RayCluster with a null wherever people leave a field empty."""

from __future__ import annotations

from typing import Any

from tests.support.builders import raw_spec

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
