"""What heads are sent: the autoscaling state, as Ray's protocol messages."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

from autoscaler.model import (
    QUANTUM,
    Demand,
    Gang,
    ReportedState,
    Selector,
    Shape,
    Strategy,
)

from .convert import _OPERATOR

_OPERATOR_NUMBER = {operator.value: number for number, operator in _OPERATOR.items()}


def fill_report(message: Any, report: ReportedState, version: int) -> None:
    """Write a report into an empty ``AutoscalingState``. A head drops versions lower than the last it saw."""
    message.autoscaler_state_version = version
    for pending in report.pending:
        message.pending_instances.add(
            instance_id=pending.instance_id,
            ray_node_type_name=pending.node_type,
            instance_type_name=pending.node_type,
            details=pending.details,
        )
    for node_type in report.launching:
        message.pending_instance_requests.add(ray_node_type_name=node_type, instance_type_name=node_type, count=1)
    for failed in report.failed:
        message.failed_instance_requests.add(
            ray_node_type_name=failed.node_type,
            instance_type_name=failed.node_type,
            count=1,
            reason=failed.reason,
            start_ts=math.floor(failed.started_at),
            failed_ts=math.floor(failed.failed_at),
        )
    for shape in report.infeasible:
        fill_request(message.infeasible_resource_requests.add(), shape)
    for gang in report.infeasible_gangs:
        fill_gang(message.infeasible_gang_resource_requests.add(), gang)
    if report.infeasible_requested:
        fill_constraint(message.infeasible_cluster_resource_constraints.add(), report.infeasible_requested)


def fill_request(message: Any, shape: Shape) -> None:
    """Write a shape into an empty ``ResourceRequest``, with the empty label selector that Ray itself sends."""
    for name, amount in shape.resources:
        message.resources_bundle[name] = amount / QUANTUM
    for selector in shape.selectors or (Selector(),):
        constraints = message.label_selectors.add().label_constraints
        for constraint in selector.constraints:
            operator = _OPERATOR_NUMBER[constraint.operator]
            constraints.add(label_key=constraint.key, operator=operator, label_values=constraint.values)


def fill_gang(message: Any, gang: Gang) -> None:
    """Write a gang into an empty ``GangResourceRequest``: as bundles with and, for older heads, without labels."""
    message.details = f"{gang.name}:{gang.strategy.value}|PENDING"
    bundles = message.bundle_selectors.add().resource_requests
    for shape in _each(gang.bundles):
        for request in (message.requests.add(), bundles.add()):
            fill_request(request, shape)
            _fill_strategy(request, gang)
        del message.requests[-1].label_selectors[:]
    for fallback in gang.fallbacks:
        bundles = message.bundle_selectors.add().resource_requests
        for shape in _each(fallback):
            fill_request(request := bundles.add(), shape)
            _fill_strategy(request, gang)


def _fill_strategy(request: Any, gang: Gang) -> None:
    if gang.strategy is Strategy.STRICT_SPREAD:
        request.placement_constraints.add().anti_affinity.label_name = f"_PG_{gang.name}"
    if gang.strategy is Strategy.STRICT_PACK:
        request.placement_constraints.add().affinity.label_name = f"_PG_{gang.name}"


def fill_constraint(message: Any, demands: Iterable[Demand]) -> None:
    """Write demands into an empty ``ClusterResourceConstraint``."""
    for demand in demands:
        entry = message.resource_requests.add(count=demand.count)
        fill_request(entry.request, demand.shape)


def _each(demands: Iterable[Demand]) -> Iterator[Shape]:
    return (demand.shape for demand in demands for _ in range(demand.count))
