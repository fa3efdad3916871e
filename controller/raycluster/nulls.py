"""Null is absent, as it is to the API server."""

from __future__ import annotations

from typing import Any

# Mappings whose keys are the user's own: in these the API server takes null for an empty value.
_FREE = {"labels", "annotations", "nodeSelector", "matchLabels", "limits", "requests", "overhead"}


def without_nulls(value: Any) -> Any:
    """A copy of a Kubernetes object, of any depth, without the fields that are null.

    A null in a list is an empty object.
    """
    if isinstance(value, dict):
        kept = ((name, inner) for name, inner in value.items() if inner is not None)
        return {n: dict(i) if n in _FREE and isinstance(i, dict) else without_nulls(i) for n, i in kept}
    return [without_nulls({} if item is None else item) for item in value] if isinstance(value, list) else value
