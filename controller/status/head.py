"""Why a cluster's head is not ready, in words."""

from __future__ import annotations

from controller.objects.labels import HEAD
from controller.objects.pod_status import UNSCHEDULABLE
from controller.objects.views import PodView
from controller.planning.observed import Observed
from controller.planning.plan import Plan
from controller.planning.recovery import pending_claim
from controller.raycluster.ray_resources import little_memory, resources_of

OLD_HEAD, CLAIM = "WaitingForOldHead", "WaitingForClaim"
# The reasons of the condition HeadReady while no head is made.
HEAD_WAITS = (OLD_HEAD, CLAIM)


def head_reason(seen: Observed, plan: Plan, problem: str) -> str:
    """The reason of the condition HeadReady."""
    if not problem:
        return "HeadReady"
    if plan.head is None and plan.head_waits:
        return OLD_HEAD if _old_head(seen) else CLAIM
    return "HeadNotReady"


def head_trouble(seen: Observed, plan: Plan) -> str:
    """Why the head is not ready, in one sentence; empty when it is."""
    head = plan.head
    if head is None:
        return _missing(seen, plan)
    if head.ready:
        return ""
    if head.node_lost:
        return f"head pod {head.name} is not ready: the kubelet of its node is silent"
    hint = pending_claim(seen) if head.stuck == UNSCHEDULABLE else ""
    causes = "; ".join(filter(None, (head.problem, hint)))
    return f"head pod {head.name} is not ready{f': {causes}' if causes else ''}"


def _missing(seen: Observed, plan: Plan) -> str:
    if plan.head_waits:
        return f"no head is running: {plan.head_waits}"
    block = seen.blocks.get(seen.spec.head_pod_type)
    if block and block.refuses:
        return f"no head is running: {block.message}"
    ended = [p.problem for p in seen.pods if p.kind == HEAD and p.problem][-1:]
    if not ended:
        return "no head is running"
    hint = little_memory(resources_of(seen.spec.head))
    return f"no head is running (the last one: {'; '.join((*ended, *filter(None, (hint,))))})"


def _old_head(seen: Observed) -> PodView | None:
    return next((p for p in seen.pods if p.kind == HEAD and not p.ended), None)
