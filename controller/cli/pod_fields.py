"""Fields of pods without which the API server refuses them, and what it makes of null where an entry should be.

To it a null in a list is an entry without any field, and a null at a key is an absent field.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from controller.raycluster.pod_schema import parts_of
from controller.raycluster.problem import Problem
from controller.raycluster.quantities import QuantityError, parse_quantity
from controller.raycluster.spelling import shown

from .pod_values import value_problems

_NAME, _KEY_AND_NAME, _PORT = ("name",), ("key", "name"), ("port",)
# A type of the API -> fields that may not be absent or empty.
_REQUIRED: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(
        (
            "CoreV1ResourceClaim",
            "V1ConfigMapEnvSource",
            "V1ConfigMapProjection",
            "V1ConfigMapVolumeSource",
            "V1EnvVar",
            "V1HTTPHeader",
            "V1PodDNSConfigOption",
            "V1PodOS",
            "V1PodResourceClaim",
            "V1PodSchedulingGate",
            "V1ResourceClaim",
            "V1SecretEnvSource",
            "V1SecretProjection",
            "V1Sysctl",
            "V1Volume",
        ),
        _NAME,
    ),
    **dict.fromkeys(("V1ConfigMapKeySelector", "V1SecretKeySelector"), _KEY_AND_NAME),
    **dict.fromkeys(("V1HTTPGetAction", "V1TCPSocketAction", "V1GRPCAction"), _PORT),
    **dict.fromkeys(("V1NodeSelectorRequirement", "V1LabelSelectorRequirement"), ("key", "operator")),
    **dict.fromkeys(("V1SeccompProfile", "V1AppArmorProfile"), ("type",)),
    **dict.fromkeys(
        ("V1DownwardAPIVolumeFile", "V1HostPathVolumeSource", "V1ServiceAccountTokenProjection"), ("path",)
    ),
    "V1CSIVolumeSource": ("driver",),
    "V1Container": ("name", "image"),
    "V1ContainerPort": ("containerPort",),
    "V1ContainerResizePolicy": ("resourceName", "restartPolicy"),
    "V1EphemeralVolumeSource": ("volumeClaimTemplate",),
    "V1ExecAction": ("command",),
    "V1HostAlias": ("ip",),
    "V1ImageVolumeSource": ("reference",),
    "V1KeyToPath": ("key", "path"),
    "V1NFSVolumeSource": ("server", "path"),
    "V1NodeSelector": ("nodeSelectorTerms",),
    "V1ObjectFieldSelector": ("fieldPath",),
    "V1PersistentVolumeClaimSpec": ("accessModes", "resources"),
    "V1PersistentVolumeClaimTemplate": ("spec",),
    "V1PersistentVolumeClaimVolumeSource": ("claimName",),
    "V1PodAffinityTerm": ("topologyKey",),
    "V1PodReadinessGate": ("conditionType",),
    "V1PreferredSchedulingTerm": ("weight",),
    "V1ResourceFieldSelector": ("resource",),
    "V1SecretVolumeSource": ("secretName",),
    "V1TopologySpreadConstraint": ("maxSkew", "topologyKey", "whenUnsatisfiable"),
    "V1VolumeDevice": ("name", "devicePath"),
    "V1VolumeResourceRequirements": ("requests",),
    "V1VolumeMount": ("name", "mountPath"),
    "V1WeightedPodAffinityTerm": ("weight", "podAffinityTerm"),
}
# A type of the API -> fields of which one is needed.
_ONE_OF: Mapping[str, tuple[str, ...]] = {
    "V1DownwardAPIVolumeFile": ("fieldRef", "resourceFieldRef"),
    "V1EnvFromSource": ("configMapRef", "secretRef"),
    "V1EnvVarSource": ("configMapKeyRef", "fieldRef", "fileKeyRef", "resourceFieldRef", "secretKeyRef"),
    "V1LifecycleHandler": ("exec", "httpGet", "sleep", "tcpSocket"),
    "V1PodResourceClaim": ("resourceClaimName", "resourceClaimTemplateName"),
    "V1Probe": ("exec", "grpc", "httpGet", "tcpSocket"),
}
# A type of the API -> its quantities, and its mappings of them. Those of containers are looked at elsewhere.
_QUANTITIES: Mapping[str, tuple[str, ...]] = {
    "V1EmptyDirVolumeSource": ("sizeLimit",),
    "V1VolumeResourceRequirements": ("requests", "limits"),
}
# A type of the API -> how a node's or an object's label may be compared.
_OPERATORS: Mapping[str, tuple[str, ...]] = {
    "V1NodeSelectorRequirement": ("In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"),
    "V1LabelSelectorRequirement": ("In", "NotIn", "Exists", "DoesNotExist"),
}
_WITHOUT_VALUES, _WITH_ONE = ("Exists", "DoesNotExist"), ("Gt", "Lt")
# Lists in which the API server takes an entry without any field, or an empty text.
_TAKES_NULL = frozenset(
    {
        "add",
        "args",
        "command",
        "drop",
        "imagePullSecrets",
        "nodeSelectorTerms",
        "sources",
        "supplementalGroups",
        "values",
    }
)


def field_problems(path: str, spec: Any, type_name: str = "V1PodSpec") -> Iterator[Problem]:
    """What is missing in a pod's spec, whatever its shape. ``path`` is its place in the RayCluster."""
    kind, inner = parts_of(type_name)
    if kind == "list" and isinstance(spec, list):
        for index, item in enumerate(spec):
            here = f"{path}[{index}]"
            if item is None and not _takes_null(path):
                yield Problem(here, "is null, which is an entry without any field; remove it, or write one")
            yield from field_problems(here, item, str(inner))
    elif kind == "model" and isinstance(spec, Mapping):
        yield from _object(path, spec, type_name)
        for name, below in inner.items() if isinstance(inner, Mapping) else ():
            yield from field_problems(f"{path}.{name}", spec.get(name), below)


def _takes_null(path: str) -> bool:
    name = path.rpartition(".")[2]
    # Of fields of a node there is its name, which is never empty.
    return name in _TAKES_NULL and not (name == "values" and ".matchFields[" in path)


def _object(path: str, given: Mapping[str, Any], type_name: str) -> Iterator[Problem]:
    for name in _REQUIRED.get(type_name, ()):
        if given.get(name) in (None, "", []):
            remedy = "; every container needs an image" if name == "image" else ""
            yield Problem(f"{path}.{name}", f"is missing{remedy}")
    choices = _ONE_OF.get(type_name, ())
    chosen = [name for name in choices if given.get(name) is not None]
    if choices and not chosen:
        yield Problem(path, f"has none of {', '.join(choices)}; set one of them")
    elif len(chosen) > 1:
        yield Problem(path, f"has {len(chosen)} of {', '.join(choices)}: {', '.join(chosen)}; keep one of them")
    for name in _QUANTITIES.get(type_name, ()):
        yield from _quantities(f"{path}.{name}", given.get(name))
    yield from value_problems(path, given, type_name)
    if type_name in _OPERATORS:
        yield from _requirement(path, given, _OPERATORS[type_name])


def _quantities(path: str, value: Any) -> Iterator[Problem]:
    if isinstance(value, Mapping):
        for name, amount in value.items():
            yield from _quantities(f"{path}.{name}", amount)
    elif isinstance(value, str | int | float):
        try:
            parse_quantity(value)
        except QuantityError as error:
            yield Problem(path, str(error))


def _requirement(path: str, given: Mapping[str, Any], operators: tuple[str, ...]) -> Iterator[Problem]:
    operator, values = given.get("operator"), given.get("values")
    if not isinstance(operator, str) or not operator or not isinstance(values, list | None):
        return
    count = len(values or ())
    if operator not in operators:
        yield Problem(f"{path}.operator", f"{shown(operator)} is none of the choices; use {', '.join(operators)}")
    elif operator in _WITHOUT_VALUES and count:
        yield Problem(f"{path}.values", f"have no meaning with the operator {operator}; remove them, or use In")
    elif operator in _WITH_ONE and count != 1:
        yield Problem(f"{path}.values", f"are {count}; the operator {operator} needs one")
    elif operator not in _WITHOUT_VALUES and not count:
        yield Problem(f"{path}.values", f"are missing; the operator {operator} needs one or more")
