"""What Kubernetes announces about the end of a pod: a deletion, or a disruption that is about to come."""

from __future__ import annotations

from collections.abc import Mapping

from controller.raycluster.model import Json

# What Kubernetes gives a pod that does not say otherwise.
GRACE_SECONDS = 30.0
# Kueue sets the second one before it takes a pod's quota back.
_ENDS = ("DisruptionTarget", "TerminationTarget")
# The reason of a condition comes from any client that may write a pod's status.
_LONGEST_REASON = 100


def grace_of(obj: Json) -> float:
    """Seconds from the deletion of a pod to the kill of its processes."""
    given = (obj.get("spec") or {}).get("terminationGracePeriodSeconds")
    return GRACE_SECONDS if given is None else float(given)


def deleted_at(metadata: Json, delete_by: float) -> float:
    """When the deletion was asked for, in seconds since the epoch; 0 when it was not."""
    return delete_by - (metadata.get("deletionGracePeriodSeconds") or 0) if delete_by else 0.0


def disruption(conditions: Mapping[str, Json]) -> tuple[str, str | None]:
    """Why Kubernetes is about to end a pod, and since when; an empty reason while it is not."""
    for kind in _ENDS:
        found = conditions.get(kind, {})
        if found.get("status") == "True":
            return str(found.get("reason") or kind)[:_LONGEST_REASON], found.get("lastTransitionTime")
    return "", None
