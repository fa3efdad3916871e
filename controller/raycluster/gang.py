"""What tells a scheduler which pods are to be placed together, as ``spec.gang`` says it.

Schedulers that place pods all or none know a group by labels, annotations or fields of its pods, and some by an object
beside them, each by others. So these are templates, and no scheduler is named here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

NAME, SIZE, CLUSTER = "GANG_NAME", "GANG_SIZE", "CLUSTER_NAME"
PLACEHOLDER = re.compile(r"\$\(([^()]*)\)")
OWN_NAME = f"$({NAME})"
# Mappings whose values Kubernetes wants to be strings, a number among them too.
_STRINGS = ("labels", "annotations", "nodeSelector", "matchLabels")

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Filling:
    """What the placeholders stand for: one gang's name, the number of its pods, the RayCluster's name."""

    name: str
    size: int
    cluster: str

    def text(self, template: str) -> str:
        """The template with all placeholders filled in."""
        values = {NAME: self.name, SIZE: str(self.size), CLUSTER: self.cluster}
        return PLACEHOLDER.sub(lambda found: values[found[1]], template)

    def texts(self, template: Mapping[str, str]) -> dict[str, str]:
        """Labels or annotations: their values are templates."""
        return {key: self.text(value) for key, value in template.items()}

    def value(self, template: Any) -> Any:
        """Any value. A string that is nothing but the size becomes a number, except among labels and their like."""
        if isinstance(template, str):
            return self.size if template == f"$({SIZE})" else self.text(template)
        if isinstance(template, Mapping):
            return {key: self._below(key, inner) for key, inner in template.items()}
        return [self.value(inner) for inner in template] if isinstance(template, list) else template

    def _below(self, key: str, template: Any) -> Any:
        if key in _STRINGS and isinstance(template, Mapping):
            return {k: self.text(v) if isinstance(v, str) else v for k, v in template.items()}
        return self.value(template)


@dataclass(frozen=True)
class ObjectTemplate:
    """An object that is made for each gang. ``content``: all fields but ``apiVersion``, ``kind`` and ``metadata``."""

    api_version: str
    kind: str
    name: str = OWN_NAME
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    content: Json = field(default_factory=dict)

    @property
    def plural(self) -> str:
        """What the API server calls the kind in paths."""
        return plural_of(self.kind)

    @property
    def resource(self) -> str:
        """The kind as an administrator lists it: ``podgroups.scheduling.volcano.sh``."""
        return resource_of(self.api_version, self.kind)


@dataclass(frozen=True)
class GangTemplate:
    """``labels``, ``annotations``, ``pod_spec``: of each pod of a gang, with placeholders in their values. ``objects``:
    what is made for each gang before its pods.
    """

    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    pod_spec: Json = field(default_factory=dict)
    objects: tuple[ObjectTemplate, ...] = ()


def plural_of(kind: str) -> str:
    """The plural of a kind, by the rule that code generators of Kubernetes follow where none is given."""
    name = kind.lower()
    if name.endswith(("s", "x", "ch", "sh")):
        return f"{name}es"
    return f"{name[:-1]}ies" if name.endswith("y") and name[-2:-1] not in "aeiou" else f"{name}s"


def resource_of(api_version: str, kind: str) -> str:
    """``<plural>.<group>``."""
    return f"{plural_of(kind)}.{api_version.partition('/')[0]}"


def parse_gang(raw: Json | None) -> GangTemplate | None:
    """``spec.gang``; None where it is absent or empty. Call only with one that ``gang_problems`` accepts."""
    given = raw or {}
    made = GangTemplate(
        given.get("labels") or {},
        given.get("annotations") or {},
        given.get("podSpec") or {},
        tuple(map(_object, given.get("objects") or ())),
    )
    return made if made != GangTemplate() else None


def _object(raw: Json) -> ObjectTemplate:
    metadata = raw.get("metadata") or {}
    return ObjectTemplate(
        raw["apiVersion"],
        raw["kind"],
        metadata.get("name") or OWN_NAME,
        metadata.get("labels") or {},
        metadata.get("annotations") or {},
        {key: value for key, value in raw.items() if key not in ("apiVersion", "kind", "metadata")},
    )
