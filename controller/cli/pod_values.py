"""Values of a pod's fields that the API server refuses: numbers out of range, words that are no choice, useless texts.

Rules: https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from controller.raycluster.problem import Problem
from controller.raycluster.spelling import shown

from .image_names import wrong_about

_ANY = None
_AT_LEAST_0, _AT_LEAST_1 = (0, _ANY), (1, _ANY)
_PORT, _WEIGHT, _MODE, _ID = (1, 65_535), (1, 100), (0, 0o777), (0, 2**31 - 1)
_DEFAULT_MODE = {"defaultMode": _MODE}
# A type of the API -> the smallest and the largest number that a field may have.
_RANGES: Mapping[str, Mapping[str, tuple[int, int | None]]] = {
    "V1ConfigMapVolumeSource": _DEFAULT_MODE,
    "V1ContainerPort": {"hostPort": (0, 65_535)},
    "V1DownwardAPIVolumeFile": {"mode": _MODE},
    "V1DownwardAPIVolumeSource": _DEFAULT_MODE,
    "V1GRPCAction": {"port": _PORT},
    "V1HTTPGetAction": {"port": _PORT},
    "V1KeyToPath": {"mode": _MODE},
    "V1PodSecurityContext": {"runAsUser": _ID, "runAsGroup": _ID, "fsGroup": _ID},
    "V1PodSpec": {"activeDeadlineSeconds": (1, 2**31 - 1)},
    "V1PreferredSchedulingTerm": {"weight": _WEIGHT},
    "V1Probe": {
        "initialDelaySeconds": _AT_LEAST_0,
        "timeoutSeconds": _AT_LEAST_0,
        "periodSeconds": _AT_LEAST_0,
        "successThreshold": _AT_LEAST_0,
        "failureThreshold": _AT_LEAST_0,
        "terminationGracePeriodSeconds": _AT_LEAST_1,
    },
    "V1ProjectedVolumeSource": _DEFAULT_MODE,
    "V1SecretVolumeSource": _DEFAULT_MODE,
    "V1SecurityContext": {"runAsUser": _ID, "runAsGroup": _ID},
    "V1ServiceAccountTokenProjection": {"expirationSeconds": (600, 2**32)},
    "V1TCPSocketAction": {"port": _PORT},
    "V1TopologySpreadConstraint": {"maxSkew": _AT_LEAST_1, "minDomains": _AT_LEAST_1},
    "V1WeightedPodAffinityTerm": {"weight": _WEIGHT},
}
_HOST_PATHS = ("DirectoryOrCreate", "Directory", "FileOrCreate", "File", "Socket", "CharDevice", "BlockDevice")
# A type of the API -> the words that a field may have.
_CHOICES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "V1AppArmorProfile": {"type": ("Localhost", "RuntimeDefault", "Unconfined")},
    "V1Container": {
        "imagePullPolicy": ("Always", "IfNotPresent", "Never"),
        "terminationMessagePolicy": ("File", "FallbackToLogsOnError"),
    },
    "V1ContainerPort": {"protocol": ("TCP", "UDP", "SCTP")},
    "V1HTTPGetAction": {"scheme": ("HTTP", "HTTPS")},
    "V1HostPathVolumeSource": {"type": _HOST_PATHS},
    "V1PodOS": {"name": ("linux", "windows")},
    "V1PodSpec": {
        "dnsPolicy": ("ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"),
        "preemptionPolicy": ("PreemptLowerPriority", "Never"),
    },
    "V1SeccompProfile": {"type": ("Localhost", "RuntimeDefault", "Unconfined")},
    "V1Toleration": {
        "operator": ("Exists", "Equal", "Lt", "Gt"),
        "effect": ("NoSchedule", "PreferNoSchedule", "NoExecute"),
    },
    "V1TopologySpreadConstraint": {"whenUnsatisfiable": ("DoNotSchedule", "ScheduleAnyway")},
}
DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_HEADER = re.compile(r"[-A-Za-z0-9]+")
_VARIABLE = re.compile(r"[ -<>-~]+")


def _relative(text: str) -> str:
    if text.startswith("/"):
        return "is an absolute path; write it without the first '/'"
    return _downwards(text)


def _file(text: str) -> str:
    return "begins with '..', which is Kubernetes' own; use another name" if text.startswith("..") else _relative(text)


def _downwards(text: str) -> str:
    return "leads upwards; remove '..'" if ".." in text.split("/") else ""


def _address(text: str) -> str:
    # Zeros before a number are no mistake to the API server; a zone is one.
    plain = re.sub(r"(?<![0-9a-fA-F:])0+(?=[0-9])", "", text)
    try:
        ipaddress.ip_address(plain.replace("%", " "))
    except ValueError:
        return "is not an IP address"
    return ""


def _like(pattern: re.Pattern[str], remedy: str) -> Callable[[str], str]:
    return lambda text: "" if pattern.fullmatch(text) else remedy


_HOST = _like(DNS_LABEL, "cannot be a host name; use at most 63 of a-z, 0-9 and, inside, '-'")
# A type of the API -> what is wrong with the text of a field; empty when nothing is.
_TEXTS: Mapping[str, Mapping[str, Callable[[str], str]]] = {
    "V1Container": {"image": wrong_about},
    "V1DownwardAPIVolumeFile": {"path": _file},
    "V1EnvVar": {"name": _like(_VARIABLE, "cannot be the name of a variable; remove '=' and what is not ASCII")},
    "V1HTTPHeader": {"name": _like(_HEADER, "cannot be the name of a header; use letters, digits and '-'")},
    "V1HostAlias": {"ip": _address},
    "V1HostPathVolumeSource": {"path": _downwards},
    "V1ImageVolumeSource": {"reference": wrong_about},
    "V1KeyToPath": {"path": _file},
    "V1PodSpec": {"hostname": _HOST, "subdomain": _HOST},
    "V1ServiceAccountTokenProjection": {"path": _file},
    "V1VolumeMount": {"subPath": _relative, "subPathExpr": _relative},
}


def value_problems(path: str, given: Mapping[str, Any], type_name: str) -> Iterator[Problem]:
    """What is wrong with the values of an object of a type of the API. Those of another type are left to the schema."""
    for field, (low, high) in _RANGES.get(type_name, {}).items():
        number = given.get(field)
        if isinstance(number, int) and not isinstance(number, bool) and not low <= number <= (high or number):
            wanted = f"at least {low}" if high is None else f"from {low} to {high}"
            octal = ", which is 0777 in octal" if (low, high) == _MODE else ""
            yield Problem(f"{path}.{field}", f"{number} is out of range; use a number {wanted}{octal}")
    for field, words in _CHOICES.get(type_name, {}).items():
        word = given.get(field)
        if isinstance(word, str) and word and word not in words:
            yield Problem(f"{path}.{field}", f"{shown(word)} is none of the choices; use {', '.join(words)}")
    for field, wrong in _TEXTS.get(type_name, {}).items():
        text = given.get(field)
        if isinstance(text, str) and text and (why := wrong(text)):
            yield Problem(f"{path}.{field}", f"{shown(text)} {why}")
