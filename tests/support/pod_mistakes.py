"""Mistakes in pods that the schema of the CRD allows and the API server refuses."""

from __future__ import annotations

from typing import Any

from .mistakes import Mistake
from .pod_value_mistakes import IN_CONTAINER, IN_POD

_POD = ("spec", "podTypes", 1, "podConfig")
_SPEC = (*_POD, "spec")
_CONTAINER = (*_SPEC, "containers", 0)
POD = "spec.podTypes[1].podConfig"
SPEC = f"{POD}.spec"
CONTAINER = f"{SPEC}.containers[0]"
GPU = "nvidia.com/gpu"


def _pod(edit: tuple[tuple[str | int, ...], Any], path: str, words: str) -> Mistake:
    return Mistake(edit, path, words, api_server=False, operator=False)


def _resources(words: str, path: str, **resources: Any) -> Mistake:
    return _pod(((*_CONTAINER, "resources"), resources), f"{CONTAINER}.resources.{path}", words)


def _field(field: str, value: Any, path: str, words: str) -> Mistake:
    return _pod(((*_CONTAINER, field), value), f"{CONTAINER}.{path}", words)


def _whole(field: str, value: Any, path: str, words: str) -> Mistake:
    return _pod(((*_SPEC, field), value), f"{SPEC}.{path}", words)


def _metadata(field: str, value: Any, path: str, words: str) -> Mistake:
    return _pod(((*_POD, "metadata", field), value), f"{POD}.metadata.{path}", words)


def _nodes(terms: Any, path: str, words: str) -> Mistake:
    required = "requiredDuringSchedulingIgnoredDuringExecution"
    affinity = {"nodeAffinity": {required: {"nodeSelectorTerms": terms}}}
    return _whole("affinity", affinity, f"affinity.nodeAffinity.{required}.nodeSelectorTerms{path}", words)


MORE = [{"name": "c", "image": "i"}, {"name": "c", "image": "i"}]
TWO_VOLUMES = [{"name": "v", "emptyDir": {}}, {"name": "v", "emptyDir": {}}]
TWO_SOURCES = [{"name": "v", "emptyDir": {}, "configMap": {"name": "c"}}]
TWO_MOUNTS = [{"name": "dshm", "mountPath": "/a"}, {"name": "dshm", "mountPath": "/a"}]
BOTH = [{"name": "A", "value": "b", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]
SPREAD = {"maxSkew": 1, "topologyKey": "zone", "labelSelector": {}}

POD_MISTAKES = {
    "request above the limit": _resources(
        "2 is more than the limit 1;", "requests.cpu", requests={"cpu": 2, "memory": "1Gi"}, limits={"cpu": "1"}
    ),
    "memory request above the limit": _resources(
        "2Gi is more than the limit 1024Mi;", "requests.memory", requests={"memory": "2Gi"}, limits={"memory": "1024Mi"}
    ),
    "GPU in requests only": _resources("has no limit; write", f"requests.{GPU}", requests={GPU: 1}, limits={}),
    "fewer GPUs requested than limited": _resources(
        "1 is not the limit 2", f"requests.{GPU}", requests={GPU: 1}, limits={GPU: 2}
    ),
    "half a GPU": _resources("is not a whole number", f"limits.{GPU}", limits={GPU: "500m"}),
    "huge pages without a limit": _resources(
        "has no limit; write", "requests.hugepages-2Mi", requests={"hugepages-2Mi": "4Mi", "memory": "1Gi"}
    ),
    "no image": _field("image", "", "image", "is missing"),
    "container names twice": _whole("containers", MORE, "containers[1].name", '"c" is there twice'),
    "init container of the same name": _whole(
        "initContainers", [{"name": "ray-node", "image": "i"}], "containers[0].name", "is there twice"
    ),
    "container name that is none": _field("name", "Ray_Node", "name", "cannot be the name of a container"),
    "unknown volume": _field(
        "volumeMounts", [{"name": "data", "mountPath": "/a"}], "volumeMounts[0].name", "use one of: dshm"
    ),
    "mounts at one place": _field("volumeMounts", TWO_MOUNTS, "volumeMounts[1].mountPath", "is there twice"),
    "pull policy in lower case": _field(
        "imagePullPolicy", "always", "imagePullPolicy", "use Always, IfNotPresent, Never"
    ),
    "port out of range": _field("ports", [{"containerPort": 70000}], "ports[0].containerPort", "from 1 to 65535"),
    "port name too long": _field("ports", [{"name": "a" * 16, "containerPort": 1}], "ports[0].name", "at most 15"),
    "unknown protocol": _field(
        "ports", [{"containerPort": 1, "protocol": "tcp"}], "ports[0].protocol", "use TCP, UDP, SCTP"
    ),
    "value and valueFrom": _field("env", BOTH, "env[0]", "has both value and valueFrom"),
    "toleration operator": _whole(
        "tolerations", [{"key": "a", "operator": "Exist"}], "tolerations[0].operator", "use Exists, Equal"
    ),
    "toleration with a value": _whole(
        "tolerations", [{"key": "a", "operator": "Exists", "value": "b"}], "tolerations[0].value", "remove it"
    ),
    "toleration without a key": _whole("tolerations", [{"value": "b"}], "tolerations[0].key", "is missing"),
    "toleration effect": _whole(
        "tolerations",
        [{"key": "a", "operator": "Exists", "effect": "noSchedule"}],
        "tolerations[0].effect",
        "NoSchedule",
    ),
    "volumes of one name": _whole(
        "volumes", [{"name": "dshm", "emptyDir": {}}, *TWO_VOLUMES], "volumes[2].name", "twice"
    ),
    "volume with two sources": _whole(
        "volumes", [{"name": "dshm", "emptyDir": {}}, *TWO_SOURCES], "volumes[1]", "configMap, emptyDir; keep one"
    ),
    "spread constraint": _whole(
        "topologySpreadConstraints",
        [{**SPREAD, "whenUnsatisfiable": "Never"}],
        "topologySpreadConstraints[0].whenUnsatisfiable",
        "use DoNotSchedule, ScheduleAnyway",
    ),
    "DNS policy": _whole("dnsPolicy", "clusterFirst", "dnsPolicy", "use ClusterFirst"),
    "init container without a name": _whole("initContainers", [{"image": "i"}], "initContainers[0].name", "is missing"),
    "variables of a ConfigMap without a name": _field(
        "envFrom", [{"configMapRef": {"name": None}}], "envFrom[0].configMapRef.name", "is missing"
    ),
    "variables of nothing": _field("envFrom", [{}], "envFrom[0]", "has none of configMapRef, secretRef"),
    "variable of nothing": _field(
        "env", [{"name": "A", "valueFrom": {}}], "env[0].valueFrom", "has none of configMapKeyRef"
    ),
    "end without a command": _field(
        "lifecycle", {"preStop": {"exec": {"command": None}}}, "lifecycle.preStop.exec.command", "is missing"
    ),
    "end without anything": _field("lifecycle", {"preStop": {}}, "lifecycle.preStop", "has none of exec, httpGet"),
    "probe of nothing": _field("livenessProbe", {"periodSeconds": 5}, "livenessProbe", "has none of exec"),
    "no node selector terms": _nodes(None, "", "is missing"),
    "empty node selector terms": _nodes([], "", "is missing"),
    "affinity without a key": _nodes(
        [{"matchExpressions": [{"key": None, "operator": "Exists"}]}], "[0].matchExpressions[0].key", "is missing"
    ),
    "affinity without an operator": _nodes(
        [{"matchExpressions": [{"key": "a", "operator": None}]}], "[0].matchExpressions[0].operator", "is missing"
    ),
    "affinity with an operator that is none": _nodes(
        [{"matchExpressions": [{"key": "a", "operator": "Equals", "values": ["b"]}]}],
        "[0].matchExpressions[0].operator",
        "use In, NotIn",
    ),
    "affinity without values": _nodes(
        [{"matchExpressions": [{"key": "a", "operator": "In"}]}], "[0].matchExpressions[0].values", "are missing"
    ),
    "affinity with values of no use": _nodes(
        [{"matchExpressions": [{"key": "a", "operator": "Exists", "values": ["b"]}]}],
        "[0].matchExpressions[0].values",
        "have no meaning",
    ),
    "affinity with two values to compare": _nodes(
        [{"matchExpressions": [{"key": "a", "operator": "Gt", "values": ["1", "2"]}]}],
        "[0].matchExpressions[0].values",
        "are 2; the operator Gt needs one",
    ),
    "null among expressions": _nodes([{"matchExpressions": [None]}], "[0].matchExpressions[0]", "is null"),
    "null among containers' variables": _field("env", [None], "env[0]", "is null"),
    "null among tolerations": _whole("tolerations", [None], "tolerations[0]", "is null"),
    "GPU without a domain": _resources("did you mean nvidia.com/gpu?", "limits.gpu", limits={"gpu": 1}),
    "label that is not ASCII": _metadata("labels", {"team": "Zürich"}, "labels.team", "cannot be a label value"),
    "label key": _metadata("labels", {"a b": "c"}, "labels", '"a b" cannot be a key'),
    "annotations too large": _metadata(
        "annotations", {"a": "x" * 300_000}, "annotations", "at most 262144 are allowed"
    ),
    **{what: _field(*mistake) for what, mistake in IN_CONTAINER.items()},
    **{what: _whole(*mistake) for what, mistake in IN_POD.items()},
}
