"""What a cluster that outlives its head needs beside pods: a claim for what the head knows, and one writer at a time.

Invariants, with ``spec.headRecovery``:

* a head is created only when no pod can be writing to its store any more, and its claim can be used;
* workers know their head by the head Service's address, and stay when the head goes;
* what is not known of a worker in the first minute of a new head is no ground to remove it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from controller.objects.claim import ClaimView, claim_name, claim_patch
from controller.objects.views import PodView
from controller.raycluster.head_recovery import Storage

from .actions import Action, CreateClaim, HeadAddress, PatchClaim
from .observed import Observed, RayView

# A worker finds a head that is ready within seconds.
REJOIN_SECONDS = 60.0


def plan_claim(seen: Observed) -> Iterator[Action]:
    """Make the claim, or put it right. A claim that the user names is not touched."""
    storage = _own_storage(seen)
    if storage is None or not seen.claims_listed:
        return
    claim = seen.claim
    if claim is None:
        yield CreateClaim()
    elif _is_usable(seen, claim) and claim_patch(claim, seen.cluster, storage):
        yield PatchClaim(claim)


def claim_problem(seen: Observed) -> str:
    """Why no head can be made that uses the claim, in one sentence; empty when one can."""
    storage, claim = _own_storage(seen), seen.claim
    if storage and not seen.claims_listed:
        return "the PersistentVolumeClaims are not listed yet"
    return _problem_of(seen, claim) if storage and claim else ""


def _is_usable(seen: Observed, claim: ClaimView) -> bool:
    return not claim.deleting and claim.controller_uid in ("", seen.cluster.uid)


def _problem_of(seen: Observed, claim: ClaimView) -> str:
    name = claim.name
    if claim.deleting:
        return f"the PersistentVolumeClaim {name} is being deleted; another one is made when it is gone"
    if not _is_usable(seen, claim):
        return f"the PersistentVolumeClaim {name} belongs to something else and goes with it"
    if claim.lost:
        return (
            f"the volume of the PersistentVolumeClaim {name} is gone, with what Ray kept there; delete the claim "
            "to begin with an empty one, or bring the volume back"
        )
    if claim.storage_class is None and not claim.bound:
        return (
            f"the PersistentVolumeClaim {name} waits for a volume, and Kubernetes has no default StorageClass; set "
            'spec.headRecovery.storage.storageClassName, "" for a volume made by hand'
        )
    return ""


def lacks_claim(seen: Observed) -> bool:
    """The claim has to be made first."""
    return _own_storage(seen) is not None and seen.claim is None


def pending_claim(seen: Observed) -> str:
    """That the claim has no volume yet, for a head that waits for one; empty when that holds up nothing."""
    storage = seen.spec.recovery.storage if seen.spec.recovery else None
    if storage is None or (seen.claim and seen.claim.bound):
        return ""
    return f"see kubectl describe persistentvolumeclaim {claim_name(seen.cluster, storage)}"


def writer(seen: Observed, heads: Sequence[PodView]) -> PodView | None:
    """The pod that may still write to the store: a pod on its way out does until its container is over."""
    return next((p for p in heads if not p.ended), None) if seen.spec.recovery else None


def waits_for(pod: PodView) -> str:
    """What has to happen before there can be another head, in one sentence."""
    if pod.node_lost or pod.phase == "Unknown":
        return (
            f"the old head pod {pod.name} may still be running on a node whose kubelet is silent; "
            "a new head is made when the node answers, is deleted, or has the taint node.kubernetes.io/out-of-service"
        )
    return f"waiting for the old head pod {pod.name} to end; two heads must not write to one store"


def address_of_head(seen: Observed, head: PodView | None) -> PodView | HeadAddress | None:
    """Where workers find their head: at its own address, or at one that outlives it."""
    if not seen.spec.recovery:
        return head
    service = seen.service
    if service is None or service.owner_uid != seen.cluster.uid or service.deleting or not service.ip:
        return None
    return HeadAddress(service.ip, service_identity(service.ip))


def belongs(seen: Observed, pod: PodView, head: PodView | None) -> bool:
    """Whether a worker whose annotation names a head names this one, or of the address that outlives it.

    While the Service is not there, its address may come back.
    """
    address = address_of_head(seen, head)
    return pod.head_uid == address.uid if address else bool(seen.spec.recovery)


def service_identity(ip: str) -> str:
    """What is noted on a worker in place of a head's uid: a Service made again under its address is the same."""
    return f"service-{ip}"


def address_to_keep(seen: Observed) -> str:
    """The address that a new head Service should have, because workers know it; empty when any will do."""
    if not seen.spec.recovery:
        return ""
    return next((p.head_ip for p in seen.pods if p.live and p.head_uid == service_identity(p.head_ip)), "")


def rejoins_until(seen: Observed, head: PodView | None) -> float:
    """Until when workers that the head does not know may be on their way back; 0 when they are not."""
    if not seen.spec.recovery or head is None:
        return 0.0
    return (head.unready_since if head.ready else seen.now) + REJOIN_SECONDS


def stayed_away(seen: Observed, head: PodView | None, ray: RayView | None, pod: PodView) -> bool:
    """A worker that runs well has not found its head, though both have been ready for so long."""
    if not seen.spec.recovery or not (head and head.ready and ray and ray.fresh and pod.ready and not pod.drain_by):
        return False
    since = (head.unready_since, pod.unready_since)
    known = bool(pod.head_uid) and all(since)
    return known and pod.name not in ray.alive and seen.now >= max(since) + REJOIN_SECONDS


def _own_storage(seen: Observed) -> Storage | None:
    recovery = seen.spec.recovery
    return recovery.storage if recovery and recovery.storage and not recovery.storage.claim_name else None
