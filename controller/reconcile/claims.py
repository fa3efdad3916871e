"""Makes the claim of a head's store, or takes over the one that has its name."""

from __future__ import annotations

from autoscaler.provider import ConflictError, ProviderError, TransientError
from controller.kube.client import MERGE_PATCH, ApiError, Client, Request
from controller.kube.store import Store
from controller.objects.claim import ClaimView, build_claim, claim_patch
from controller.planning.actions import CreateClaim, PatchClaim
from controller.raycluster.head_recovery import Storage
from controller.raycluster.model import ClusterSpec, RayCluster

from .pod_provider import typed

RESOURCE = "persistentvolumeclaims"


class Claims:
    """One for all clusters; safe to use from many threads."""

    def __init__(self, client: Client, claims: Store[ClaimView]) -> None:
        self._client = client
        self._claims = claims

    def carry_out(self, cluster: RayCluster, spec: ClusterSpec, action: CreateClaim | PatchClaim) -> None:
        """Raises ProviderError: it was refused, or the claim is not to be had."""
        if spec.recovery is None or spec.recovery.storage is None:
            return
        try:
            if isinstance(action, CreateClaim):
                self._create(cluster, spec.recovery.storage)
            else:
                self._patch(action.claim, cluster, spec.recovery.storage)
        except ApiError as error:
            raise typed(error) from error

    def _create(self, cluster: RayCluster, storage: Storage) -> None:
        body = build_claim(cluster, storage)
        try:
            answer = self._client.send(Request("create", RESOURCE, cluster.namespace, body=body))
        except ApiError as error:
            if error.reason != "AlreadyExists":
                raise
            self._adopt(cluster, storage, body["metadata"]["name"])
        else:
            self._claims.written(ClaimView.from_object(answer))

    def _adopt(self, cluster: RayCluster, storage: Storage, name: str) -> None:
        """The name exists: left by an earlier cluster, made by a person, or of another owner."""
        found = ClaimView.from_object(self._client.send(Request("get", RESOURCE, cluster.namespace, name)))
        if refusal := _refusal(found, cluster):
            raise refusal
        self._patch(found, cluster, storage)

    def _patch(self, claim: ClaimView, cluster: RayCluster, storage: Storage) -> None:
        patch = claim_patch(claim, cluster, storage)
        # The uid makes the API server refuse (it is immutable) if another claim has the name by now.
        body = {**patch, "metadata": {"uid": claim.uid, **patch.get("metadata", {})}}
        request = Request("patch", RESOURCE, *claim.key, body=body, content_type=MERGE_PATCH)
        self._claims.written(ClaimView.from_object(self._client.send(request)))


def _refusal(found: ClaimView, cluster: RayCluster) -> ProviderError | None:
    """Why a claim cannot be taken over; None when it can."""
    if found.deleting:
        return TransientError(f"the PersistentVolumeClaim {found.name} from before is still being deleted")
    if found.controller_uid not in ("", cluster.uid):
        return ConflictError(
            f"the PersistentVolumeClaim {found.name} belongs to something else; delete it, or set "
            "spec.headRecovery.storage.claimName to another one"
        )
    return None
