"""What the API server refuses in pods beyond wrong fields and types, from its documented validation.

Rules: https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/
A value of a wrong type is left to the schema: here it counts as absent.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from controller.raycluster.problem import Problem
from controller.raycluster.quantities import QuantityError, parse_quantity
from controller.raycluster.spelling import plain, shown
from controller.raycluster.validation import LABEL_VALUE, quantity_problems

from .pod_fields import field_problems
from .pod_values import DNS_LABEL

_KEY = re.compile(r"([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_PORT_NAME = re.compile(r"(?=.{1,15}$)(?!.*--)[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_MOST_ANNOTATIONS = 256 * 1024


def pod_problems(path: str, config: Any) -> Iterator[Problem]:
    """What is wrong with a podConfig, whatever its shape. ``path`` is its place in the RayCluster."""
    yield from metadata_problems(f"{path}.metadata", _mapping(config, "metadata"))
    spec, where = _mapping(config, "spec"), f"{path}.spec"
    yield from field_problems(where, spec)
    whole = _mapping(spec, "resources")
    parts = {part: _mapping(whole, part) for part in ("requests", "limits")}
    yield from quantity_problems(f"{where}.resources", parts, of_pod=True)
    yield from _volumes(f"{where}.volumes", spec)
    volumes, claims = _names_in(spec, "volumes"), _names_in(spec, "resourceClaims")
    names: set[Any] = set()
    for kind in ("initContainers", "containers"):
        for index, container in _entries(spec, kind):
            here = f"{where}.{kind}[{index}]"
            yield from _container(here, container, volumes)
            yield from _claims(f"{here}.resources.claims", _mapping(container, "resources"), claims)
            yield from _unique(f"{here}.name", container.get("name"), names, "containers")
    for index, toleration in _entries(spec, "tolerations"):
        yield from _toleration(f"{where}.tolerations[{index}]", toleration)


def metadata_problems(path: str, metadata: Mapping[str, Any]) -> Iterator[Problem]:
    """What is wrong with the metadata of any object but for its name."""
    yield from field_problems(path, metadata, "V1ObjectMeta")
    namespace = metadata.get("namespace")
    if isinstance(namespace, str) and namespace and not DNS_LABEL.fullmatch(namespace):
        message = "cannot be the name of a namespace; use at most 63 of a-z, 0-9 and, inside, '-'"
        yield Problem(f"{path}.namespace", f"{shown(namespace)} {message}")
    for part in ("labels", "annotations"):
        for key, value in _mapping(metadata, part).items():
            if not _KEY.fullmatch(key):
                yield Problem(f"{path}.{part}", f"{shown(key)} cannot be a key; use letters, digits, '-', '_' and '.'")
            elif part == "labels" and isinstance(value, str) and value and not LABEL_VALUE.fullmatch(value):
                message = "cannot be a label value; use at most 63 letters, digits, '-', '_' or '.'"
                yield Problem(f"{path}.labels.{key}", f"{shown(value)} {message}")
    size = sum(len(str(part).encode()) for item in _mapping(metadata, "annotations").items() for part in item)
    if size > _MOST_ANNOTATIONS:
        message = f"take {size} bytes; at most {_MOST_ANNOTATIONS} are allowed: put large values into a ConfigMap"
        yield Problem(f"{path}.annotations", message)


def _container(path: str, container: Mapping[str, Any], volumes: set[Any] | None) -> Iterator[Problem]:
    """``volumes``: the names of the pod's volumes, None when they are unknown."""
    name = container.get("name")
    if isinstance(name, str) and name and not DNS_LABEL.fullmatch(name):
        message = "cannot be the name of a container; use at most 63 of a-z, 0-9 and, inside, '-'"
        yield Problem(f"{path}.name", f"{shown(name)} {message}")
    yield from _mounts(path, container, volumes)
    yield from _ports(f"{path}.ports", container)
    yield from _variables(f"{path}.env", container)
    yield from _resources(f"{path}.resources", _mapping(container, "resources"))


def _names_in(spec: Mapping[str, Any], field: str) -> set[Any] | None:
    """The names of a pod's volumes or claims; None where one has no name yet, or they are no list: then any may be
    meant.
    """
    given = spec.get(field) or []
    names = [entry.get("name") for _, entry in _entries(spec, field)]
    whole = isinstance(given, list) and len(names) == len(given) and all(isinstance(n, str) and n for n in names)
    return set(names) if whole else None


def _claims(path: str, resources: Mapping[str, Any], known: set[Any] | None) -> Iterator[Problem]:
    for index, claim in _entries(resources, "claims"):
        name = claim.get("name")
        if known is not None and isinstance(name, str) and name and name not in known:
            remedy = f"use one of: {', '.join(sorted(known))}" if known else "add it to resourceClaims"
            yield Problem(f"{path}[{index}].name", f"{shown(name)} is not the name of a claim of the pod; {remedy}")


def _mounts(path: str, container: Mapping[str, Any], volumes: set[Any] | None) -> Iterator[Problem]:
    places: set[Any] = set()
    for index, mount in _entries(container, "volumeMounts"):
        here, name = f"{path}.volumeMounts[{index}]", mount.get("name")
        if volumes is not None and isinstance(name, str) and name and name not in volumes:
            known = f"use one of: {', '.join(sorted(map(str, volumes)))}" if volumes else "add it to volumes"
            yield Problem(f"{here}.name", f"{shown(name)} is not the name of a volume of the pod; {known}")
        yield from _unique(f"{here}.mountPath", mount.get("mountPath"), places, "mounts")


def _ports(path: str, container: Mapping[str, Any]) -> Iterator[Problem]:
    names: set[Any] = set()
    for index, port in _entries(container, "ports"):
        here, name, number = f"{path}[{index}]", port.get("name"), port.get("containerPort")
        if number is not None and (not isinstance(number, int) or not 1 <= number <= 65535):
            yield Problem(f"{here}.containerPort", f"{shown(number)} is not a number from 1 to 65535")
        if isinstance(name, str) and not (_PORT_NAME.fullmatch(name) and re.search("[a-z]", name)):
            message = "cannot be the name of a port; use at most 15 of a-z, 0-9 and, inside, '-'"
            yield Problem(f"{here}.name", f"{shown(name)} {message}")
        yield from _unique(f"{here}.name", name, names, "ports")


def _variables(path: str, container: Mapping[str, Any]) -> Iterator[Problem]:
    for index, variable in _entries(container, "env"):
        if variable.get("value") and variable.get("valueFrom"):
            yield Problem(f"{path}[{index}]", "has both value and valueFrom; keep one of them")


def _resources(path: str, resources: Mapping[str, Any]) -> Iterator[Problem]:
    limits, requests = (_mapping(resources, part) for part in ("limits", "requests"))
    yield from quantity_problems(path, {"requests": requests, "limits": limits})
    for name, value in requests.items():
        asked, limit = _number(value), _number(limits[name]) if name in limits else None
        # Neither devices nor huge pages can be promised twice.
        device = ("/" in name and not name.startswith("kubernetes.io/")) or name.startswith("hugepages-")
        if device and name not in limits:
            yield Problem(f"{path}.requests.{name}", f"has no limit; write {name} under limits, with the same amount")
        elif asked is None or limit is None:
            continue
        elif asked > limit:
            message = f"{plain(value)} is more than the limit {plain(limits[name])}; lower it or raise limits.{name}"
            yield Problem(f"{path}.requests.{name}", message)
        elif device and asked != limit:
            message = f"{plain(value)} is not the limit {plain(limits[name])}; both have to be equal"
            yield Problem(f"{path}.requests.{name}", message)
    for name, value in limits.items():
        amount = _number(value)
        if "/" in name and amount is not None and amount != amount.to_integral_value():
            yield Problem(f"{path}.limits.{name}", f"{plain(value)} is not a whole number; devices cannot be shared")


def _volumes(path: str, spec: Mapping[str, Any]) -> Iterator[Problem]:
    names: set[Any] = set()
    for index, volume in _entries(spec, "volumes"):
        here, name = f"{path}[{index}]", volume.get("name")
        if isinstance(name, str) and name and not DNS_LABEL.fullmatch(name):
            message = "cannot be the name of a volume; use at most 63 of a-z, 0-9 and, inside, '-'"
            yield Problem(f"{here}.name", f"{shown(name)} {message}")
        yield from _unique(f"{here}.name", name, names, "volumes")
        sources = sorted(source for source in volume if source != "name" and volume[source] is not None)
        if len(sources) > 1:
            yield Problem(here, f"has {len(sources)} sources: {', '.join(sources)}; keep one of them")


def _toleration(path: str, toleration: Mapping[str, Any]) -> Iterator[Problem]:
    exists = toleration.get("operator") == "Exists"
    if exists and toleration.get("value"):
        yield Problem(f"{path}.value", "has no meaning with the operator Exists; remove it, or use Equal")
    if not exists and not toleration.get("key"):
        yield Problem(f"{path}.key", "is missing; without a key the operator has to be Exists")
    if toleration.get("tolerationSeconds") is not None and toleration.get("effect") != "NoExecute":
        yield Problem(f"{path}.effect", "has to be NoExecute where tolerationSeconds is given")


def _unique(path: str, value: Any, seen: set[Any], what: str) -> Iterator[Problem]:
    """``seen`` learns the value."""
    if isinstance(value, str) and value:
        if value in seen:
            yield Problem(path, f"{shown(value)} is there twice; {what} of one pod need different ones")
        seen.add(value)


def _mapping(holder: Any, field: str) -> Mapping[str, Any]:
    found = holder.get(field) if isinstance(holder, Mapping) else None
    return _texts(found) if isinstance(found, Mapping) else {}


def _entries(holder: Mapping[str, Any], field: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    found = holder.get(field)
    return ((n, _texts(e)) for n, e in enumerate(found if isinstance(found, list) else ()) if isinstance(e, Mapping))


def _texts(found: Mapping[Any, Any]) -> Mapping[str, Any]:
    """The fields whose name is a string: YAML takes numbers, lists and null as names too."""
    return {name: value for name, value in found.items() if isinstance(name, str)}


def _number(value: Any) -> Any:
    """A quantity's number, null being 0; None for what is no quantity."""
    try:
        return parse_quantity(value)
    except QuantityError:
        return None
