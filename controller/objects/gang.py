"""Pods that a scheduler is to place together: what they carry to be known by, and what is made beside them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from controller.raycluster.gang import Filling, GangTemplate, ObjectTemplate
from controller.raycluster.model import Json, RayCluster
from controller.raycluster.nulls import without_nulls

from .labels import CLUSTER_LABEL, GANG_ANNOTATION, owner_reference

# Longer numbers are none of the operator's.
_MAX_DIGITS = 6


class PodGang(NamedTuple):
    """Which gang a pod belongs to, and how many pods that has."""

    name: str
    size: int

    @property
    def text(self) -> str:
        """As it is noted on each of the pods."""
        return f"{self.name}/{self.size}"

    @classmethod
    def read(cls, text: str) -> PodGang | None:
        """What is noted on a pod; None when nothing is, or what makes no sense."""
        name, _, size = text.rpartition("/")
        return cls(name, int(size)) if name and size.isdecimal() and len(size) <= _MAX_DIGITS else None


@dataclass(frozen=True)
class GangObject:
    """An object of a gang that is there. ``known_since``: when this process found or made it (Unix seconds)."""

    api_version: str
    plural: str
    name: str
    uid: str
    gang: PodGang
    known_since: float

    @classmethod
    def from_object(cls, obj: Json, api_version: str, plural: str, now: float) -> GangObject | None:
        """Read an object as the API server answers it; None for one that is going, or of nobody's gang."""
        metadata = obj["metadata"]
        gang = PodGang.read(str((metadata.get("annotations") or {}).get(GANG_ANNOTATION, "")))
        if gang is None or "deletionTimestamp" in metadata:
            return None
        return cls(api_version, plural, metadata["name"], metadata["uid"], gang, now)


def gang_name(cluster: RayCluster, group: str, number: int) -> str:
    """The name of a placement group's gang, the same every time it is asked for: at most 63 characters.

    ``number``: 0, and more for later launches that add to what is there.
    """
    seed = f"{cluster.uid}/{group}/{number}".encode()
    return f"{cluster.name}-{hashlib.sha256(seed).hexdigest()[:8]}"


def gang_labels(template: GangTemplate | None, gang: PodGang | None, cluster: RayCluster) -> dict[str, str]:
    """By which a scheduler knows the gang."""
    return _filling(gang, cluster).texts(template.labels) if template and gang else {}


def gang_annotations(template: GangTemplate | None, gang: PodGang | None, cluster: RayCluster) -> dict[str, str]:
    """The same, and what the operator knows it by."""
    if not (template and gang):
        return {}
    return {**_filling(gang, cluster).texts(template.annotations), GANG_ANNOTATION: gang.text}


def with_gang_fields(
    pod_spec: dict[str, Any], template: GangTemplate | None, gang: PodGang | None, cluster: RayCluster
) -> dict[str, Any]:
    """The spec of a pod with the template's fields merged into it; they win."""
    if not (template and gang and template.pod_spec):
        return pod_spec
    return _merged(pod_spec, without_nulls(_filling(gang, cluster).value(template.pod_spec)))


def object_name(template: ObjectTemplate, gang: PodGang, cluster: RayCluster) -> str:
    """The name of the object that goes with a gang."""
    return _filling(gang, cluster).text(template.name)


def build_gang_object(cluster: RayCluster, template: ObjectTemplate, gang: PodGang) -> dict[str, Any]:
    """The object to create. It goes with its RayCluster, and says which gang it is of."""
    filling = _filling(gang, cluster)
    return {
        "apiVersion": template.api_version,
        "kind": template.kind,
        "metadata": {
            "name": filling.text(template.name),
            "namespace": cluster.namespace,
            "labels": {**filling.texts(template.labels), CLUSTER_LABEL: cluster.name},
            "annotations": {**filling.texts(template.annotations), GANG_ANNOTATION: gang.text},
            "ownerReferences": [owner_reference(cluster)],
        },
        **without_nulls(filling.value(template.content)),
    }


def _filling(gang: PodGang, cluster: RayCluster) -> Filling:
    return Filling(gang.name, gang.size, cluster.name)


def _merged(below: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Both; where both have a mapping, those are merged in turn, else ``over`` wins."""
    made = {**below, **over}
    for key in below.keys() & over.keys():
        if isinstance(below[key], dict) and isinstance(over[key], dict):
            made[key] = _merged(below[key], over[key])
    return made
