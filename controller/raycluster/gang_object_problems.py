"""What can be wrong with an object that ``spec.gang`` asks for, beside its labels, annotations and placeholders."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from .gang import NAME, OWN_NAME, PLACEHOLDER, Json, resource_of
from .gang_resources import wrong_resource
from .problem import Problem
from .spelling import quoted

MAX_OBJECTS = 4
MAX_GANG_NAME = 63
_VERSION = re.compile(r"[a-z0-9][-a-z0-9.]{0,252}/v[a-z0-9]{1,62}")
_KIND = re.compile(r"[A-Z][A-Za-z0-9]{0,62}")
_OBJECT_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_METADATA = ("name", "labels", "annotations")


def several_problems(path: str, raws: Sequence[Json]) -> Iterator[Problem]:
    """What is wrong with several objects together."""
    if len(raws) > MAX_OBJECTS:
        yield Problem(path, f"has {len(raws)} entries; at most {MAX_OBJECTS} go with a gang")
    named = [(raw.get("apiVersion"), raw.get("kind"), (raw.get("metadata") or {}).get("name")) for raw in raws]
    for index, name in enumerate(named):
        if name in named[:index]:
            yield Problem(f"{path}[{index}].metadata.name", "is another object's of this kind; give each its own")


def object_problems(path: str, raw: Json) -> Iterator[Problem]:
    """What is wrong with one.

    Raises:
        AttributeError, TypeError: a part of it is of a wrong kind.
    """
    version, kind = raw.get("apiVersion"), raw.get("kind")
    if not isinstance(version, str) or not _VERSION.fullmatch(version):
        message = f"{quoted(version)} is not a group and a version; write for example scheduling.volcano.sh/v1beta1"
        yield Problem(f"{path}.apiVersion", message)
    elif not isinstance(kind, str) or not _KIND.fullmatch(kind):
        yield Problem(f"{path}.kind", f"{quoted(kind)} is not the name of a kind; write for example PodGroup")
    elif wrong := wrong_resource(resource_of(version, kind)):
        yield Problem(f"{path}.kind", wrong)
    metadata = raw.get("metadata") or {}
    for field_name in (name for name in metadata if name not in _METADATA):
        yield Problem(
            f"{path}.metadata.{field_name}", "is set by the operator; give name, labels and annotations alone"
        )
    yield from _name(f"{path}.metadata.name", metadata.get("name"))


def _name(path: str, name: object) -> Iterator[Problem]:
    if name is None:
        return
    if not isinstance(name, str) or OWN_NAME not in name:
        yield Problem(path, f"{quoted(name)} would be the name for several gangs; write $({NAME}) into it")
    elif not _OBJECT_NAME.fullmatch(PLACEHOLDER.sub("g" * MAX_GANG_NAME, name)):
        yield Problem(path, f"{name!r} cannot be the name of an object; use a-z, 0-9, '-' and '.' beside $({NAME})")
