"""Mistakes in the values of a pod's fields: each place of a container or a pod, a value, and what is said of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_EXEC = {"exec": {"command": ["true"]}}
_HTTP = {"httpGet": {"port": 8265, "path": "/"}}
_TERM = {"topologyKey": "zone", "labelSelector": {}}
_SOON = "preferredDuringSchedulingIgnoredDuringExecution"
_VOLUMES = [{"name": "dshm", "emptyDir": {"medium": "Memory"}}]


def _probe(**field: Any) -> dict[str, Any]:
    return {**_EXEC, **field}


def _http(**field: Any) -> dict[str, Any]:
    return {"httpGet": {**_HTTP["httpGet"], **field}}


def _mount(**field: Any) -> list[dict[str, Any]]:
    return [{"name": "dshm", "mountPath": "/a", **field}]


def _volume(**source: Any) -> list[dict[str, Any]]:
    return [*_VOLUMES, {"name": "v", **source}]


# What it is -> field of the container, value, the place of the problem in the container, words of it.
IN_CONTAINER: Mapping[str, tuple[str, Any, str, str]] = {
    "blank before the image": ("image", " rayproject/ray:2.60.0", "image", "ends with a blank"),
    "blank after the image": ("image", "rayproject/ray:2.60.0 ", "image", "ends with a blank"),
    "negative period": (
        "livenessProbe",
        _probe(periodSeconds=-1),
        "livenessProbe.periodSeconds",
        "use a number at least 0",
    ),
    "negative timeout": ("readinessProbe", _probe(timeoutSeconds=-1), "readinessProbe.timeoutSeconds", "-1 is out"),
    "negative delay": (
        "startupProbe",
        _probe(initialDelaySeconds=-5),
        "startupProbe.initialDelaySeconds",
        "-5 is out of range",
    ),
    "negative failures": ("livenessProbe", _probe(failureThreshold=-1), "livenessProbe.failureThreshold", "-1 is out"),
    "no time to end after a probe": (
        "livenessProbe",
        _probe(terminationGracePeriodSeconds=0),
        "livenessProbe.terminationGracePeriodSeconds",
        "0 is out of range; use a number at least 1",
    ),
    "probe of port 0": ("livenessProbe", _http(port=0), "livenessProbe.httpGet.port", "from 1 to 65535"),
    "probe by another scheme": ("livenessProbe", _http(scheme="https"), "livenessProbe.httpGet.scheme", "HTTP, HTTPS"),
    "header with a blank": (
        "livenessProbe",
        _http(httpHeaders=[{"name": "A B", "value": "c"}]),
        "livenessProbe.httpGet.httpHeaders[0].name",
        "cannot be the name of a header",
    ),
    "TCP probe of a port too high": (
        "livenessProbe",
        {"tcpSocket": {"port": 70_000}},
        "livenessProbe.tcpSocket.port",
        "70000 is out of range",
    ),
    "gRPC probe of port 0": ("livenessProbe", {"grpc": {"port": 0}}, "livenessProbe.grpc.port", "from 1 to 65535"),
    "host port too high": (
        "ports",
        [{"containerPort": 80, "hostPort": 70_000}],
        "ports[0].hostPort",
        "70000 is out of range",
    ),
    "user below 0": ("securityContext", {"runAsUser": -1}, "securityContext.runAsUser", "from 0 to 2147483647"),
    "group too high": ("securityContext", {"runAsGroup": 2**31}, "securityContext.runAsGroup", "is out of range"),
    "seccomp profile": (
        "securityContext",
        {"seccompProfile": {"type": "runtime/default"}},
        "securityContext.seccompProfile.type",
        "use Localhost, RuntimeDefault, Unconfined",
    ),
    "AppArmor profile": (
        "securityContext",
        {"appArmorProfile": {"type": "runtime/default"}},
        "securityContext.appArmorProfile.type",
        "use Localhost, RuntimeDefault, Unconfined",
    ),
    "absolute subPath": ("volumeMounts", _mount(subPath="/b"), "volumeMounts[0].subPath", "is an absolute path"),
    "subPath upwards": ("volumeMounts", _mount(subPath="a/../b"), "volumeMounts[0].subPath", "remove '..'"),
    "subPathExpr upwards": ("volumeMounts", _mount(subPathExpr="../$(A)"), "volumeMounts[0].subPathExpr", "'..'"),
    "variable with an equals sign": ("env", [{"name": "A=B", "value": "c"}], "env[0].name", "remove '='"),
    "variable that is not ASCII": ("env", [{"name": "GRÖSSE", "value": "c"}], "env[0].name", "what is not ASCII"),
}
# The same of the pod.
IN_POD: Mapping[str, tuple[str, Any, str, str]] = {
    "no time at all": ("activeDeadlineSeconds", 0, "activeDeadlineSeconds", "0 is out of range"),
    "host name in capitals": ("hostname", "Head", "hostname", "cannot be a host name"),
    "subdomain with a dot": ("subdomain", "a.b", "subdomain", "cannot be a host name"),
    "operating system": ("os", {"name": "Linux"}, "os.name", "use linux, windows"),
    "group of files below 0": ("securityContext", {"fsGroup": -1}, "securityContext.fsGroup", "-1 is out of range"),
    "host's alias without an address": (
        "hostAliases",
        [{"ip": "localhost", "hostnames": ["a"]}],
        "hostAliases[0].ip",
        "is not an IP address",
    ),
    "spread without skew": (
        "topologySpreadConstraints",
        [{**_TERM, "maxSkew": -1, "whenUnsatisfiable": "DoNotSchedule"}],
        "topologySpreadConstraints[0].maxSkew",
        "-1 is out of range",
    ),
    "spread over no domain": (
        "topologySpreadConstraints",
        [{**_TERM, "maxSkew": 1, "minDomains": 0, "whenUnsatisfiable": "DoNotSchedule"}],
        "topologySpreadConstraints[0].minDomains",
        "0 is out of range",
    ),
    "weight of a node": (
        "affinity",
        {"nodeAffinity": {_SOON: [{"weight": 101, "preference": {"matchExpressions": []}}]}},
        f"affinity.nodeAffinity.{_SOON}[0].weight",
        "from 1 to 100",
    ),
    "weight of a pod": (
        "affinity",
        {"podAffinity": {_SOON: [{"weight": 500, "podAffinityTerm": _TERM}]}},
        f"affinity.podAffinity.{_SOON}[0].weight",
        "from 1 to 100",
    ),
    "mode of a ConfigMap's files": (
        "volumes",
        _volume(configMap={"name": "c", "defaultMode": 777}),
        "volumes[1].configMap.defaultMode",
        "777 is out of range; use a number from 0 to 511",
    ),
    "mode of a Secret's file": (
        "volumes",
        _volume(secret={"secretName": "s", "items": [{"key": "a", "path": "a", "mode": 1000}]}),
        "volumes[1].secret.items[0].mode",
        "1000 is out of range",
    ),
    "file of a ConfigMap upwards": (
        "volumes",
        _volume(configMap={"name": "c", "items": [{"key": "a", "path": "b/../a"}]}),
        "volumes[1].configMap.items[0].path",
        "remove '..'",
    ),
    "file of a ConfigMap of Kubernetes' own": (
        "volumes",
        _volume(configMap={"name": "c", "items": [{"key": "a", "path": "..data"}]}),
        "volumes[1].configMap.items[0].path",
        "begins with '..'",
    ),
    "host's alias with a zone": (
        "hostAliases",
        [{"ip": "fe80::1%eth0", "hostnames": ["a"]}],
        "hostAliases[0].ip",
        "is not an IP address",
    ),
    "file of the downward API from the root": (
        "volumes",
        _volume(downwardAPI={"items": [{"path": "/a", "fieldRef": {"fieldPath": "metadata.name"}}]}),
        "volumes[1].downwardAPI.items[0].path",
        "is an absolute path",
    ),
    "directory of the node upwards": (
        "volumes",
        _volume(hostPath={"path": "/a/../b"}),
        "volumes[1].hostPath.path",
        "remove '..'",
    ),
    "kind of a directory of the node": (
        "volumes",
        _volume(hostPath={"path": "/a", "type": "directory"}),
        "volumes[1].hostPath.type",
        "use DirectoryOrCreate",
    ),
    "token for a minute": (
        "volumes",
        _volume(projected={"sources": [{"serviceAccountToken": {"path": "t", "expirationSeconds": 60}}]}),
        "volumes[1].projected.sources[0].serviceAccountToken.expirationSeconds",
        "from 600 to 4294967296",
    ),
}
