"""Pod types as the scheduler sees them: what one of their nodes brings, and by which labels work finds it.

Declared beforehand, corrected by what Ray says of nodes that run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from autoscaler.model import NODE_ID_LABEL, QUANTUM, NodeType, RayNode
from controller.raycluster.model import ClusterSpec, PodType
from controller.raycluster.node_labels import ACCELERATOR_RESOURCE, SLICE_LABEL, node_labels
from controller.raycluster.ray_resources import ray_resources

# Labels that differ between the nodes of one type: although running nodes agree, the next one may differ.
_OF_ONE_NODE = {NODE_ID_LABEL, SLICE_LABEL, "ray.io/tpu-worker-id"}
# Resources that Ray may measure otherwise than the pod declares them.
_MEASURED = {"CPU", "GPU", "memory", "object_store_memory"}


def as_node_type(spec: ClusterSpec, pod_type: PodType, running: Sequence[RayNode] = ()) -> NodeType:
    """A type with its own bounds. ``running``: its nodes in Ray, of the configuration that the next one will have."""
    found = node_labels(spec, pod_type)
    agreed = {key: value for key, value in _agreed(running).items() if key not in found.index_labels}
    return NodeType(
        name=pod_type.name,
        resources={**declared_resources(spec, pod_type), **_measured(pod_type, running)},
        min_workers=pod_type.min_workers,
        max_workers=pod_type.max_workers,
        labels={**found.known, **agreed},
        unknown=found.unknown - agreed.keys(),
        unknown_resources=found.unknown_resources,
        priority=pod_type.priority,
        position=[t.name for t in spec.pod_types].index(pod_type.name),
        hosts=pod_type.hosts,
        first_resources=_of_first_host(spec, pod_type),
        index_labels=found.index_labels,
    )


def declared_resources(spec: ClusterSpec, pod_type: PodType, host: int = -1) -> dict[str, int]:
    """What a node of the type brings as far as its pod says, in units of 1/10000. ``host``: which one, of several."""
    told = {name: round(float(amount) * QUANTUM) for name, amount in ray_resources(pod_type).items() if amount}
    named = {name: count * QUANTUM for name, count in node_labels(spec, pod_type).resources.items()}
    return {**named, **(_of_first_host(spec, pod_type) if host == 0 else {}), **told}


def declared_labels(spec: ClusterSpec, pod_type: PodType, host: int = -1) -> dict[str, str]:
    """The labels by which Ray will find nodes of the type, as far as they are known beforehand."""
    found = node_labels(spec, pod_type)
    return {**found.known, **(dict.fromkeys(found.index_labels, str(host)) if host >= 0 else {})}


def _of_first_host(spec: ClusterSpec, pod_type: PodType) -> dict[str, int]:
    """What the first host has beside what all have."""
    return (
        {name: n * QUANTUM for name, n in node_labels(spec, pod_type).first_resources.items()}
        if pod_type.hosts > 1
        else {}
    )


def _agreed(running: Iterable[RayNode]) -> dict[str, str]:
    """Labels that all of them have, with one value."""
    pairs = [set(node.labels.items()) for node in running]
    common = set.intersection(*pairs) if pairs else set()
    return {key: value for key, value in common if key not in _OF_ONE_NODE and not key.startswith("_PG_")}


def _measured(pod_type: PodType, running: Sequence[RayNode]) -> Mapping[str, int]:
    if not running:
        return {}
    names = _MEASURED - set(pod_type.ray_resources)
    first = {name: amount for name, amount in running[0].total.items() if name in names}
    # One host of several has the head's resource.
    kinds = [{n for n in node.total if _named_after_device(n, pod_type.hosts > 1)} for node in running]
    shared = set.intersection(*kinds)
    return first | {name: running[0].total[name] for name in shared}


def _named_after_device(resource: str, several_hosts: bool) -> bool:
    head = resource.startswith("TPU-") and resource.endswith("-head")
    return resource.startswith(ACCELERATOR_RESOURCE) or (head and not several_hosts)
