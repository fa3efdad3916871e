"""Ray's own schedulers behind our scheduler's types: what tests compare with and benchmarks measure against."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from autoscaler.model import GROUP_LABEL, QUANTUM, Demand, Gang, LabelOperator, Shape, Strategy
from autoscaler.scheduling.scheduler import Request

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from ray.autoscaler._private.node_provider_availability_tracker import NodeAvailabilitySummary
    from ray.autoscaler._private.resource_demand_scheduler import ResourceDemandScheduler as SchedulerV1
    from ray.autoscaler.v2.instance_manager.config import NodeTypeConfig
    from ray.autoscaler.v2.scheduler import ResourceDemandScheduler as SchedulerV2
    from ray.autoscaler.v2.scheduler import SchedulingRequest
    from ray.autoscaler.v2.schema import AutoscalerInstance
    from ray.core.generated import autoscaler_pb2 as pb
    from ray.core.generated.common_pb2 import (
        LABEL_OPERATOR_IN,
        LABEL_OPERATOR_NOT_IN,
        LabelSelector,
        PlacementStrategy,
    )
    from ray.core.generated.gcs_pb2 import PlacementGroupTableData
    from ray.core.generated.instance_manager_pb2 import Instance, NodeKind

HEAD = "the-head"
logging.getLogger("ray").setLevel(logging.CRITICAL)


@dataclass(frozen=True)
class Outcome:
    """What a scheduler launches, and how much of the demand it leaves waiting."""

    launches: dict[str, int]
    waiting: int
    waiting_gangs: int
    waiting_requested: bool


def prepare_v2(request: Request) -> Callable[[], Outcome]:
    """The v2 scheduler's answer as a function of nothing, so that only the scheduler is measured."""
    inputs = SchedulingRequest(
        disable_launch_config_check=True,
        node_type_configs=_types_v2(request),
        max_num_nodes=request.max_workers + sum(n.is_head for n in request.nodes),
        resource_requests=[_by_count(d) for d in request.demands],
        gang_resource_requests=[_gang(i, g) for i, g in enumerate(request.gangs)],
        cluster_resource_constraints=[
            pb.ClusterResourceConstraint(resource_requests=[_by_count(d) for d in request.requested])
        ]
        if request.requested
        else [],
        current_instances=[_instance(node) for node in request.nodes if not node.draining],
    )

    def run() -> Outcome:
        reply = SchedulerV2(event_logger=None).schedule(inputs)
        return Outcome(
            {r.instance_type: r.count for r in reply.to_launch},
            len(reply.infeasible_resource_requests),
            len(reply.infeasible_gang_resource_requests),
            bool(reply.infeasible_cluster_resource_constraints),
        )

    return run


def prepare_v1(request: Request) -> Callable[[], Outcome]:
    """The v1 scheduler's answer; it knows no labels. Its usual cap of 1,000 demands is the caller's, and not here."""
    types: dict[str, Any] = {
        t.name: {"resources": _amounts(t.resources), "min_workers": t.min_workers, "max_workers": t.max_workers}
        for t in request.types
    }
    types[HEAD] = {"resources": {"CPU": 0}, "min_workers": 0, "max_workers": 0}
    provider = _Provider({n.name: n.node_type for n in request.nodes if not n.draining})
    head = [n.name for n in request.nodes if n.is_head] or [HEAD]
    provider.types.setdefault(head[0], HEAD)
    scheduler = SchedulerV1(provider, types, request.max_workers, provider.types[head[0]], request.upscaling_speed)
    free = {n.name: _amounts(n.free) for n in request.nodes if not n.draining}
    total = {n.name: _amounts(n.total) for n in request.nodes if not n.draining}
    demands = [_amounts(dict(d.shape.resources)) for d in request.demands for _ in range(d.count)]
    groups = [_placement_group(g) for g in request.gangs]

    def run() -> Outcome:
        launches, left = scheduler.get_nodes_to_launch(
            list(provider.types), {}, demands, free, groups, total, [], NodeAvailabilitySummary({})
        )
        return Outcome(dict(launches), len(left), 0, False)

    return run


class _Provider:
    """As much of a node provider as v1 asks for: which type a node is of; a node's name is its address."""

    def __init__(self, types: dict[str, str]) -> None:
        self.types = types

    def node_tags(self, node: str) -> dict[str, str]:
        kind = "head" if self.types[node] == HEAD else "worker"
        return {"ray-user-node-type": self.types[node], "ray-node-type": kind, "ray-node-status": "up-to-date"}

    def internal_ip(self, node: str) -> str:
        return node


def _amounts(resources: Any) -> dict[str, float]:
    return {name: amount / QUANTUM for name, amount in resources.items()}


def _types_v2(request: Request) -> dict[str, NodeTypeConfig]:
    types = {
        t.name: NodeTypeConfig(
            name=t.name,
            min_worker_nodes=t.min_workers,
            max_worker_nodes=0 if t.name in request.blocked else t.max_workers,
            resources=_amounts(t.resources),
            labels=dict(t.labels),
        )
        for t in request.types
    }
    for node in request.nodes:
        if node.is_head:
            types[node.node_type] = NodeTypeConfig(name=node.node_type, min_worker_nodes=0, max_worker_nodes=1)
    return types


def _instance(node: Any) -> AutoscalerInstance:
    kind = NodeKind.HEAD if node.is_head else NodeKind.WORKER
    status = Instance.REQUESTED if node.pending else Instance.RAY_RUNNING
    instance = Instance(
        instance_id=node.name, instance_type=node.node_type, status=status, node_kind=kind, node_id=node.name
    )
    if node.pending:
        return AutoscalerInstance(im_instance=instance, cloud_instance_id=node.name)
    state = pb.NodeState(
        node_id=node.name.encode(),
        ray_node_type_name=node.node_type,
        total_resources=_amounts(node.total),
        available_resources={name: amount for name, amount in _amounts(node.free).items() if amount},
        labels=dict(node.labels),
        status=pb.NodeStatus.RUNNING,
    )
    return AutoscalerInstance(im_instance=instance, ray_node=state, cloud_instance_id=node.name)


def _by_count(demand: Demand) -> pb.ResourceRequestByCount:
    return pb.ResourceRequestByCount(request=_request(demand.shape), count=demand.count)


def _request(shape: Shape) -> pb.ResourceRequest:
    return pb.ResourceRequest(resources_bundle=_amounts(dict(shape.resources)), label_selectors=_selectors(shape))


def _selectors(shape: Shape) -> list[LabelSelector]:
    found = []
    for selector in shape.selectors:
        message = LabelSelector()
        for c in selector.constraints:
            operator = LABEL_OPERATOR_IN if c.operator == LabelOperator.IN.value else LABEL_OPERATOR_NOT_IN
            message.label_constraints.add(label_key=c.key, operator=operator, label_values=c.values)
        found.append(message)
    return found


def _bundles(gang: Gang) -> Iterable[Shape]:
    return (bundle.shape for bundle in gang.bundles for _ in range(bundle.count))


def _gang(number: int, gang: Gang) -> pb.GangResourceRequest:
    requests = []
    for shape in _bundles(gang):
        request = _request(shape)
        label = gang.elsewhere[0].key if gang.elsewhere else f"{GROUP_LABEL}{number}"
        if gang.strategy is Strategy.STRICT_PACK:
            request.placement_constraints.add().affinity.label_name = label
        if gang.strategy is Strategy.STRICT_SPREAD:
            request.placement_constraints.add().anti_affinity.label_name = label
        requests.append(request)
    return pb.GangResourceRequest(requests=requests, bundle_selectors=[pb.BundleSelector(resource_requests=requests)])


def _placement_group(gang: Gang) -> PlacementGroupTableData:
    group = PlacementGroupTableData(
        state=PlacementGroupTableData.PENDING, strategy=PlacementStrategy.Value(gang.strategy.value)
    )
    for shape in _bundles(gang):
        group.bundles.add(unit_resources=_amounts(dict(shape.resources)))
    return group
