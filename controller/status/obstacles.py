"""Why work waits, in words: for the status and for simulations."""

from __future__ import annotations

from collections.abc import Iterable

from autoscaler.scheduling.request import Cause, Decision, Obstacle
from controller.objects.labels import WORKER
from controller.planning.node_types import declared_labels
from controller.planning.observed import Observed
from controller.raycluster.model import ClusterSpec
from controller.wording import counted

# The condition's reason, by the obstacles that lead to it, the one first that a user can do something about.
_REASONS = (
    ("Undeclared", {Obstacle.UNDECLARED}),
    ("Blocked", {Obstacle.BLOCKED}),
    ("Limited", {Obstacle.TYPE_MAXIMUM, Obstacle.CLUSTER_MAXIMUM, Obstacle.SPEED}),
    ("NodesBusy", {Obstacle.BUSY}),
    ("Examining", {Obstacle.UNEXAMINED}),
)
INFEASIBLE = "no pod type could ever hold it"


def demand_met(seen: Observed, decision: Decision) -> tuple[bool, str, str]:
    """Whether all that waits in Ray has a place or will get one; if not, why, as a condition says it."""
    if decision.infeasible or decision.infeasible_gangs or decision.infeasible_requested:
        return False, "Infeasible", "no pod type could ever hold some of what waits, see infeasibleDemand"
    if not (decision.unplaced or decision.unplaced_gangs or decision.unplaced_requested):
        return True, "AllPlaced", ""
    causes = {cause for found in decision.causes.values() for cause in found}
    obstacles = {cause.obstacle for cause in causes}
    reason = next((name for name, those in _REASONS if obstacles & those), "Examining")
    told = words(causes, seen.spec, {name: block.reason for name, block in seen.blocks.items()})
    bound = obstacles & {Obstacle.TYPE_MAXIMUM, Obstacle.CLUSTER_MAXIMUM}
    going = sum(p.kind == WORKER and p.is_terminating(seen.now) for p in seen.pods) if bound else 0
    leaving = counted(going, "pod that is being deleted still counts", "pods that are being deleted still count")
    return False, reason, f"work waits: {told}{f'; {leaving}' if going else ''}"


def words(causes: Iterable[Cause], spec: ClusterSpec, blocked: dict[str, str]) -> str:
    """One sentence. ``blocked``: type -> why it cannot be launched."""
    order = list(Obstacle)
    found = sorted(causes, key=lambda cause: (order.index(cause.obstacle), cause.names))
    return "; ".join(_words(cause, spec, blocked) for cause in found)


def _words(cause: Cause, spec: ClusterSpec, blocked: dict[str, str]) -> str:
    if cause.obstacle is Obstacle.UNDECLARED:
        return _undeclared(cause.names, spec)
    named = ", ".join(cause.names)
    most = next((t.max_workers for t in spec.worker_types if t.name == named), 0)
    why = f" ({blocked[named]})" if named in blocked else ""
    return {
        Obstacle.BLOCKED: f"the pod type {named} cannot be launched for now{why}",
        Obstacle.TYPE_MAXIMUM: f"maxWorkers of the pod type {named} is {most}",
        Obstacle.CLUSTER_MAXIMUM: f"maxWorkers of the cluster is {spec.max_workers}",
        Obstacle.SPEED: f"upscalingSpeed is {spec.upscaling_speed:g}, more workers of the pod type {named} follow",
        Obstacle.BUSY: "only nodes that are in use could hold it",
        Obstacle.UNEXAMINED: "there is too much to examine at once",
    }[cause.obstacle]


def _undeclared(names: Iterable[str], spec: ClusterSpec) -> str:
    """Which declarations are missing, and where they belong. A type that has one may be ruled out otherwise."""
    declared = {label for pod_type in spec.worker_types for label in declared_labels(spec, pod_type)}
    resources = [name for name in names if name.startswith(("accelerator_type:", "TPU-"))]
    labels = [name for name in names if name not in resources]
    parts = []
    if labels:
        subject = ", ".join(labels)
        which = f"no pod type that could hold it declares the label {subject}"
        if not declared.intersection(labels):
            which = f"no pod type declares the label {subject}"
        parts.append(f"{which}; add it to podTypes[].labels")
    if resources:
        parts.append(f"no pod type declares the resource {', '.join(resources)}; add it to podTypes[].rayResources")
    return "; ".join(parts)
