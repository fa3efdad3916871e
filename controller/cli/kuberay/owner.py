"""The KubeRay object that a RayCluster comes from, and the name that the RayCluster has here."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from controller.raycluster.validation import MAX_NAME, SERVICE_NAME

from .source import Fields


@dataclass(frozen=True)
class Owner:
    """The KubeRay object that a RayCluster comes from. ``jobs``: the Jobs beside it that reach its dashboard."""

    kind: str
    name: str
    namespace: str
    metadata: Fields
    jobs: tuple[str, ...] = ()


def read_owner(document: Fields, jobs: tuple[str, ...] = ()) -> Owner:
    """Whose spec it is. A name that does not suit a RayCluster here is made to."""
    metadata = document.mapping("metadata")
    given = metadata.text("name") or metadata.text("generateName")
    if not given:
        metadata.problem("name", "is missing; give the object a name")
    return Owner(document.text("kind"), fitting_name(given), metadata.text("namespace"), metadata, jobs)


def fitting_name(given: str) -> str:
    """A name that a RayCluster can have: the given one where it is such a name."""
    name = re.sub(r"[^-a-z0-9]+", "-", given.lower()).strip("-")
    name = name if SERVICE_NAME.fullmatch(name) else f"ray-{name}".rstrip("-")
    if len(name) <= MAX_NAME:
        return name
    digest = hashlib.sha256(given.encode()).hexdigest()[:6]
    return f"{name[: MAX_NAME - 7].rstrip('-')}-{digest}"
