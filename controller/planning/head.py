"""What to do about the head of one RayCluster: which pod is kept, replaced or created."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from controller.objects.labels import HEAD
from controller.objects.views import PodView

from .actions import Action, CreatePod, DeletePod
from .observed import Observed
from .reasons import NODE_LOST, Label, Reason, reason_of_end
from .recovery import claim_problem, lacks_claim, waits_for, writer
from .slots import Slots, slots_of

# A head whose kubelet is silent is given up when it does not answer for so long either.
LOST_HEAD_SECONDS = 20.0

DUPLICATE = Reason(Label.DUPLICATE_HEAD, "another head is live")


@dataclass(frozen=True)
class HeadPlan:
    """The head to keep (or none), why one is given up for a change of the spec, what to do, when to look again.

    ``waits``: what keeps another one from being made; empty when nothing does. ``alone``: its workers stay.
    """

    kept: PodView | None
    change: Reason | None
    actions: tuple[Action, ...]
    due: float | None = None
    waits: str = ""
    alone: bool = False


def plan_head(seen: Observed, names: Mapping[str, Iterator[str]]) -> HeadPlan:
    """``names``: for each pod type, the names of its free slots."""
    heads = sorted((p for p in seen.pods if p.kind == HEAD), key=lambda p: (p.started_at, p.name))
    live = [p for p in heads if p.live]
    lost = {p.uid for p in heads if not p.deleting and _is_lost(seen, p)}
    head = next((p for p in live if not _head_change(seen, p) and p.uid not in lost), None)
    change = _head_change(seen, live[0]) if live and not head else None
    actions = [DeletePod(p, _head_change(seen, p) or DUPLICATE) for p in live if p is not head and p.uid not in lost]
    actions += [DeletePod(p, NODE_LOST) for p in heads if p.uid in lost]
    ended = [p for p in heads if p.ended and not p.deleting]
    # What became of a head that is not wanted any more says nothing about the one that is.
    slots = slots_of([p for p in ended if not _head_change(seen, p)], seen.now)
    actions += [DeletePod(p, reason_of_end(p)) for p in ended if head or p not in slots.waiting]
    if head:
        return HeadPlan(head, None, tuple(actions), _lost_at(seen, head))
    if live:
        # Only once the API server has accepted their deletion is there room for another.
        token = seen.spec.recovery_token
        return HeadPlan(None, change, tuple(actions), seen.now, alone=bool(token) and live[0].recovery == token)
    return _next_head(seen, names, heads, slots, actions)


def _next_head(
    seen: Observed,
    names: Mapping[str, Iterator[str]],
    heads: Sequence[PodView],
    slots: Slots,
    actions: Sequence[Action],
) -> HeadPlan:
    """Make a head, or wait for what keeps it from being made. ``heads``: none of them is live."""
    none = HeadPlan(None, None, tuple(actions))
    if slots.waiting:
        return replace(none, due=slots.due)
    old = writer(seen, heads)
    if waits := waits_for(old) if old else claim_problem(seen):
        return replace(none, waits=waits)
    block = seen.blocks.get(seen.spec.head_pod_type)
    if lacks_claim(seen) or (block and block.refuses):
        return none
    attempt = max(slots.attempts, default=0)
    why = Reason(Label.REPLACEMENT if attempt else Label.HEAD, "")
    create = CreatePod(seen.spec.head, next(names[seen.spec.head.name]), why, attempt)
    return replace(none, actions=(*actions, create))


def _is_lost(seen: Observed, head: PodView) -> bool:
    """Gone with its machine. While it answers, that its kubelet is silent is no reason to end everybody's work."""
    if head.phase == "Unknown":
        return True
    return head.node_lost and _alone(seen, head) >= LOST_HEAD_SECONDS


def _lost_at(seen: Observed, head: PodView) -> float | None:
    """When it counts as lost if all stays silent. Nothing else need happen that brings another look."""
    return seen.now + LOST_HEAD_SECONDS - _alone(seen, head) if head.node_lost and seen.silence else None


def _alone(seen: Observed, head: PodView) -> float:
    """For how many seconds neither the head nor its kubelet has been heard of."""
    return min(seen.silence, seen.now - head.unready_since)


def _head_change(seen: Observed, head: PodView) -> Reason | None:
    if head.node_type != seen.spec.head_pod_type:
        return Reason(Label.SPEC_CHANGED, f"headPodType is now {seen.spec.head_pod_type}")
    if head.config_hash != seen.spec.hash_of(seen.spec.head):
        return Reason(Label.SPEC_CHANGED, "the head's pod type or start commands changed")
    return None
