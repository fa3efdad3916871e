"""Null is absent, as it is to the API server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Mappings whose keys are the user's own: in these the API server takes null for an empty value.
_FREE = {"labels", "annotations", "nodeSelector", "matchLabels", "limits", "requests", "overhead"}
# Lists of texts and numbers in pods: in these a null is an empty one of its kind, which the API server knows.
PLAIN_LISTS = frozenset(
    {
        "accessModes",
        "add",
        "args",
        "bindMountOptions",
        "command",
        "drop",
        "finalizers",
        "hostnames",
        "matchLabelKeys",
        "mismatchLabelKeys",
        "monitors",
        "nameservers",
        "namespaces",
        "portals",
        "searches",
        "supplementalGroups",
        "targetWWNs",
        "values",
        "wwids",
    }
)


def without_nulls(value: Any) -> Any:
    """A copy of a Kubernetes object, of any depth, without the fields that are null.

    A null in a list of objects is an empty object; one in a list of texts stays.
    """
    if isinstance(value, dict):
        return {name: _inner(name, inner) for name, inner in value.items() if inner is not None}
    return [without_nulls({} if item is None else item) for item in value] if isinstance(value, list) else value


def _inner(name: Any, value: Any) -> Any:
    if name in _FREE and isinstance(value, dict):
        return dict(value)
    return list(value) if name in PLAIN_LISTS and isinstance(value, list) else without_nulls(value)


def mapping_at(holder: Any, name: str) -> Mapping[str, Any]:
    """A field that is a mapping; an empty one where it is null, absent or of another kind."""
    found = holder.get(name) if isinstance(holder, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def mappings_at(holder: Any, name: str) -> list[Mapping[str, Any]]:
    """The entries of a field that is a list of mappings, without those that are null or of another kind."""
    found = holder.get(name) if isinstance(holder, Mapping) else None
    return [item for item in found if isinstance(item, Mapping)] if isinstance(found, list) else []
