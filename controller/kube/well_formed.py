"""Whether what was read of an object has the types that its fields promise.

An API server checks that. What stands between need not, and an older CustomResourceDefinition knows fewer fields. A
list in place of a name would fail far from here, in a pass over a whole cluster.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, TypeVar, get_origin, get_type_hints

from controller.objects.labels import CLUSTER_LABEL
from controller.raycluster.model import PLURAL, Key

T = TypeVar("T")
_PLAIN: Mapping[Any, tuple[type, ...]] = {str: (str,), int: (int,), float: (float, int), bool: (bool,)}


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
    cls: Any = type(obj)
    for name, kinds in _fields(cls):
        value = getattr(obj, name)
        if not isinstance(value, kinds) or (
            isinstance(value, Key) and not all(isinstance(part, str) for part in value)
        ):
            raise MalformedError(f"its {name} is of the type {type(value).__name__}")
    return obj


@cache
def _fields(cls: type) -> tuple[tuple[str, tuple[type, ...]], ...]:
    return tuple((name, kinds) for name, hint in get_type_hints(cls).items() if (kinds := _kinds(hint)))


def _kinds(hint: Any) -> tuple[type, ...]:
    """The types that a field may have; empty for those that are not looked at."""
    if hint is Key:
        return (Key,)
    return (Mapping,) if get_origin(hint) is Mapping else _PLAIN.get(hint, ())
