"""A mesh without a mesh: the API server puts a container before those of each Ray pod of a namespace."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .kube import Kube, eventually

PROXY = "mesh-proxy"


@contextmanager
def meshed(kube: Kube, image: str) -> Iterator[None]:
    """So it is for the namespace of ``kube``, which exists. ``image``: one that has the program sleep."""
    try:
        kube.apply(*policy(kube.namespace, image))
        eventually(lambda: injects(kube))
        yield
    finally:
        for kind in ("mutatingadmissionpolicybinding", "mutatingadmissionpolicy"):
            kube.run("delete", kind, kube.namespace, "--ignore-not-found")


def policy(namespace: str, image: str) -> list[dict[str, Any]]:
    """Puts the proxy before the containers of each Ray pod of the namespace."""
    container = f'Object.spec.containers{{name: "{PROXY}", image: "{image}", command: ["sleep", "infinity"]}}'
    mutation = f'[JSONPatch{{op: "add", path: "/spec/containers/0", value: {container}}}]'
    group = "admissionregistration.k8s.io/v1"
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    spec = {
        "matchConstraints": {
            "resourceRules": [rule],
            "objectSelector": {"matchExpressions": [{"key": "ray-cluster-name", "operator": "Exists"}]},
        },
        "failurePolicy": "Fail",
        "reinvocationPolicy": "Never",
        "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": mutation}}],
    }
    where = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}
    binding = {"policyName": namespace, "matchResources": where}
    return [
        {"apiVersion": group, "kind": kind, "metadata": {"name": namespace}, "spec": each}
        for kind, each in (("MutatingAdmissionPolicy", spec), ("MutatingAdmissionPolicyBinding", binding))
    ]


def injects(kube: Kube) -> bool:
    """Whether the API server knows the policy by now."""
    metadata = {"name": "trial", "labels": {"ray-cluster-name": "trial"}}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {"containers": [{"name": "a", "image": "a"}]},
    }
    shown = "jsonpath={.spec.containers[*].name}"
    return kube.run("create", "--dry-run=server", "-o", shown, "-f", "-", stdin=json.dumps(pod)).split() == [PROXY, "a"]
