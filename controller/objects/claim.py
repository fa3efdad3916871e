"""The PersistentVolumeClaim on which Ray keeps what the head knows: how it is built, and read back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from controller.raycluster.head_recovery import Storage
from controller.raycluster.model import Json, Key, RayCluster
from controller.raycluster.quantities import QuantityError, parse_quantity

from .labels import CLUSTER_LABEL, FOUND_ANNOTATION, HEAD_COMPONENT_SUFFIX, owner_reference


@dataclass(frozen=True)
class ClaimView:
    """A claim as it is. ``controller_uid``: of whatever it goes with; empty when it stays. ``storage_class``: None
    while there is none, "" for volumes without a class. ``found``: somebody else had made it.
    """

    key: Key
    uid: str
    resource_version: int
    controller_uid: str
    cluster: Key
    phase: str
    storage_class: str | None
    size: str
    deleting: bool
    found: bool = False

    @property
    def name(self) -> str:
        """The claim's name."""
        return self.key.name

    @property
    def bound(self) -> bool:
        """It has its volume."""
        return self.phase == "Bound"

    @property
    def lost(self) -> bool:
        """It had a volume that is no longer there."""
        return self.phase == "Lost"

    @classmethod
    def from_object(cls, obj: Json) -> ClaimView:
        """Read a claim as the API server answers it."""
        metadata, spec = obj["metadata"], obj.get("spec") or {}
        owners = (o for o in metadata.get("ownerReferences") or () if o.get("controller"))
        labels = metadata.get("labels") or {}
        return cls(
            key=Key(metadata["namespace"], metadata["name"]),
            uid=metadata["uid"],
            resource_version=int(metadata["resourceVersion"]),
            controller_uid=next((o["uid"] for o in owners), ""),
            cluster=Key(metadata["namespace"], labels.get(CLUSTER_LABEL, "")),
            phase=(obj.get("status") or {}).get("phase", "Pending"),
            storage_class=spec.get("storageClassName"),
            size=((spec.get("resources") or {}).get("requests") or {}).get("storage", ""),
            deleting="deletionTimestamp" in metadata,
            found=FOUND_ANNOTATION in (metadata.get("annotations") or {}),
        )


def claim_name(cluster: RayCluster, storage: Storage) -> str:
    """The user's claim, or ``<cluster>-ray-head``, as the head Service is called."""
    return storage.claim_name or cluster.name + HEAD_COMPONENT_SUFFIX


def build_claim(cluster: RayCluster, storage: Storage) -> dict[str, Any]:
    """The claim to create. One that is to stay has no owner."""
    spec: dict[str, Any] = {
        "accessModes": list(storage.access_modes),
        "resources": {"requests": {"storage": storage.size}},
    }
    if storage.storage_class is not None:
        spec["storageClassName"] = storage.storage_class
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {
            "name": claim_name(cluster, storage),
            "namespace": cluster.namespace,
            "labels": {CLUSTER_LABEL: cluster.name},
            "ownerReferences": _owners(cluster, storage),
        },
        "spec": spec,
    }


def claim_patch(claim: ClaimView, cluster: RayCluster, storage: Storage) -> dict[str, Any]:
    """A merge patch that makes the claim what the cluster asks for; empty when it is. A volume never shrinks.

    Who may write RayClusters may not delete claims: one that somebody else has made never goes with the cluster.
    """
    metadata: dict[str, Any] = {}
    found = claim.found or claim.cluster != cluster.key
    if claim.cluster != cluster.key:
        metadata |= {"labels": {CLUSTER_LABEL: cluster.name}, "annotations": {FOUND_ANNOTATION: "true"}}
    if claim.controller_uid != ("" if storage.retain or found else cluster.uid):
        metadata["ownerReferences"] = [] if found else _owners(cluster, storage)
    spec: dict[str, Any] = {}
    if claim.storage_class is None and storage.storage_class is not None and not claim.bound:
        spec["storageClassName"] = storage.storage_class
    if claim.bound and _amount(storage.size) > _amount(claim.size):
        spec["resources"] = {"requests": {"storage": storage.size}}
    parts: Mapping[str, Any] = {"metadata": metadata, "spec": spec}
    return {name: part for name, part in parts.items() if part}


def _owners(cluster: RayCluster, storage: Storage) -> list[dict[str, object]]:
    return [] if storage.retain else [owner_reference(cluster)]


def _amount(size: str) -> Any:
    try:
        return parse_quantity(size)
    except QuantityError:
        return parse_quantity(0)
