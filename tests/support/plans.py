"""A healthy cluster and how to read a plan for it, shared by the planner's tests."""

from __future__ import annotations

from typing import Any

from controller.objects.pod import slot_name
from controller.planning.actions import CreatePod, DeletePod
from controller.planning.plan import Plan
from controller.planning.reasons import Label
from controller.raycluster.model import RayCluster, parse_spec
from tests.support.builders import cluster, head_pod, raw_spec, worker_pod

SPEC = parse_spec(raw_spec())
HEAD, W0, W1 = head_pod(SPEC), worker_pod(SPEC, 0), worker_pod(SPEC, 1)
WELL = [HEAD, W0, W1]


def created(plan: Plan) -> list[tuple[str, str, int]]:
    return [(a.pod_type.name, a.name, a.attempt) for a in plan.actions if isinstance(a, CreatePod)]


def deleted(plan: Plan) -> dict[str, Label]:
    return {a.pod.name: a.reason.label for a in plan.actions if isinstance(a, DeletePod)}


def slot(node_type: str, ordinal: int) -> str:
    return slot_name(cluster(), next(t for t in SPEC.pod_types if t.name == node_type), ordinal)


def with_spec(**changes: Any) -> RayCluster:
    return cluster(raw_spec(**changes))


def changed_pod(index: int) -> dict[str, Any]:
    spec = raw_spec()
    spec["podTypes"][index]["podConfig"]["spec"]["containers"][0]["image"] = "rayproject/ray:new"
    return spec
