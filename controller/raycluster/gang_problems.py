"""What can be wrong with ``spec.gang``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .gang import CLUSTER, NAME, PLACEHOLDER, SIZE, Filling, Json
from .gang_object_problems import MAX_GANG_NAME, object_problems, several_problems
from .label_syntax import wrong_key, wrong_value
from .problem import Problem

PATH = "spec.gang"
PLACEHOLDERS = (NAME, SIZE, CLUSTER)
# By these the operator finds its pods.
_OWN_PREFIX = "cluster.ray.io/"
_OWN = ("ray-cluster-name", "ray-node-type", "ray-user-node-type", "ray-node-name")
# What the operator writes there itself, or counts with.
_OWN_FIELDS = (
    "containers",
    "initContainers",
    "ephemeralContainers",
    "volumes",
    "restartPolicy",
    "hostname",
    "subdomain",
    "resources",
    "terminationGracePeriodSeconds",
)
# No gang has a longer name or more pods.
LONGEST, LARGEST = "g" * MAX_GANG_NAME, 99_999


def gang_problems(raw: Json | None, cluster: str) -> Iterator[Problem]:
    """Everything wrong with ``spec.gang``. ``cluster``: the RayCluster's name.

    Raises:
        AttributeError, TypeError: a part of it is of a wrong kind.
    """
    given = raw or {}
    yield from mark_problems(PATH, given, cluster)
    for field_name, value in (given.get("podSpec") or {}).items():
        path = f"{PATH}.podSpec.{field_name}"
        if field_name in _OWN_FIELDS:
            yield Problem(path, "cannot differ between pods of a type; write it into the podConfig of the pod types")
        else:
            yield from placeholder_problems(path, value)
    objects = given.get("objects") or ()
    yield from several_problems(f"{PATH}.objects", objects)
    for index, template in enumerate(objects):
        yield from _object(f"{PATH}.objects[{index}]", template, cluster)


def _object(path: str, template: Json, cluster: str) -> Iterator[Problem]:
    yield from object_problems(path, template)
    metadata = template.get("metadata") or {}
    yield from mark_problems(f"{path}.metadata", metadata, cluster)
    yield from placeholder_problems(f"{path}.metadata.name", metadata.get("name"))
    for field_name in (name for name in template if name not in ("apiVersion", "kind", "metadata")):
        yield from placeholder_problems(f"{path}.{field_name}", template[field_name])


def mark_problems(path: str, raw: Json, cluster: str) -> Iterator[Problem]:
    """What is wrong with the templates of labels and annotations below a place."""
    for field_name in ("labels", "annotations"):
        for key, value in (raw.get(field_name) or {}).items():
            if wrong := _wrong(field_name, key, value, cluster):
                yield Problem(f"{path}.{field_name}.{key}", wrong)


def placeholder_problems(path: str, value: Any) -> Iterator[Problem]:
    """The placeholders in a value, at any depth, that stand for nothing."""
    if isinstance(value, str):
        if wrong := _unknown(value):
            yield Problem(path, wrong)
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from placeholder_problems(f"{path}.{key}", inner)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from placeholder_problems(f"{path}[{index}]", inner)


def _wrong(field_name: str, key: str, value: object, cluster: str) -> str:
    if key.startswith(_OWN_PREFIX) or key in _OWN:
        return "is the operator's own; choose another key"
    if wrong := wrong_key(key):
        return wrong
    if not isinstance(value, str):
        return wrong_value(value)
    if wrong := _unknown(value):
        return wrong
    longest = Filling(LONGEST, LARGEST, cluster).text(value)
    if field_name == "labels" and (wrong := wrong_value(longest)):
        return f"{value!r} cannot be a label's value for every gang, whose names have up to 63 characters: {wrong}"
    return ""


def _unknown(text: str) -> str:
    """What is wrong with the placeholders of a text; empty when nothing is."""
    for unknown in (name for name in PLACEHOLDER.findall(text) if name not in PLACEHOLDERS):
        return f"$({unknown}) is not a placeholder; use {', '.join(f'$({name})' for name in PLACEHOLDERS)}"
    return ""
