"""Whether what was read of an object has the types that its fields promise.

An API server checks that. What stands between need not, and an older CustomResourceDefinition knows fewer fields. A
list in place of a name would fail far from here, in a pass over a whole cluster.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from controller.objects.labels import CLUSTER_LABEL
from controller.raycluster.model import PLURAL, Key
from controller.raycluster.shape import mistyped

T = TypeVar("T")


class MalformedError(TypeError):
    """A field is of another type than it should be. The text says which."""


def metadata_of(obj: Any) -> Mapping[str, Any]:
    """The metadata of what may not be an object at all; empty where it has none."""
    metadata = obj.get("metadata") if isinstance(obj, dict) else None
    return metadata if isinstance(metadata, dict) else {}


def cluster_named_by(obj: Any, resource: str) -> Key | None:
    """The cluster that an object of this resource belongs to, as far as its metadata can be read; else None."""
    metadata = metadata_of(obj)
    labels = metadata.get("labels")
    owner = labels.get(CLUSTER_LABEL) if isinstance(labels, dict) else None
    namespace, name = metadata.get("namespace"), metadata.get("name") if resource == PLURAL else owner
    return Key(namespace, name) if isinstance(namespace, str) and isinstance(name, str) else None


def well_formed(obj: T) -> T:
    """The object, a dataclass.

    Raises:
        MalformedError: a field of it is of another type than it should be.
    """
    if wrong := mistyped(obj):
        raise MalformedError(f"its {wrong} is of the type {type(getattr(obj, wrong)).__name__}")
    return obj
