"""The labels that nodes of a pod type will have in Ray, as far as they are known before there is a node.

Ray gives a node, each over the one before: labels of what it finds out itself (from variables of the environment, and
about the accelerator), those of ``ray start --labels``, and those of RAY_OVERRIDE_LABELS. Source:
ray/_private/resource_and_label_spec.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from autoscaler.model import ANY_LABEL

from .accelerators import gpu_name, tpu_slice
from .model import ClusterSpec, PodType
from .ray_resources import ray_resources
from .shell_words import UNKNOWN, Variables
from .start_commands import RayStart, lasting, ray_starts
from .start_options import pairs_of_json, variables_of

OVERRIDE = "RAY_OVERRIDE_LABELS"
_LABELS = "--labels"
GROUP_LABEL = "ray.io/node-group"
ACCELERATOR_LABEL = "ray.io/accelerator-type"
# Which variable of the environment becomes which label.
_VARIABLES = {
    "RAY_NODE_TYPE_NAME": GROUP_LABEL,
    "RAY_NODE_MARKET_TYPE": "ray.io/market-type",
    "RAY_NODE_ZONE": "ray.io/availability-zone",
    "RAY_NODE_REGION": "ray.io/availability-region",
}
SLICE_LABEL = "ray.io/tpu-slice-name"
_TPU_LABELS = (SLICE_LABEL, "ray.io/tpu-worker-id", "ray.io/tpu-topology", "ray.io/tpu-pod-type")
ACCELERATOR_RESOURCE = "accelerator_type:"
# Accelerators of which Ray finds out the kind by itself.
_ACCELERATORS = ("GPU", "TPU", "HPU", "NPU", "neuron_cores", "RBLN", "FURIOSA", "TTNPU")


@dataclass(frozen=True)
class NodeLabels:
    """``known``: key -> value. ``unknown``: keys that nodes may have with any value; ANY_LABEL stands for every other.

    ``resources``: those that come with the accelerator, in Ray's own units; ``unknown_resources``: how the names begin
    of those that may come with it. Of workers of several hosts, ``index_labels``: keys whose value is the host's index;
    ``first_resources``: those of the first host alone.
    """

    known: Mapping[str, str] = field(default_factory=dict)
    unknown: frozenset[str] = frozenset()
    resources: Mapping[str, int] = field(default_factory=dict)
    unknown_resources: tuple[str, ...] = ()
    index_labels: tuple[str, ...] = ()
    first_resources: Mapping[str, int] = field(default_factory=dict)


def node_labels(spec: ClusterSpec, pod_type: PodType) -> NodeLabels:
    """What is known of the labels, and of the resources named after an accelerator, of a type's nodes."""
    variables = variables_of(pod_type.pod_config)
    if "RAY_NODE_TYPE_NAME" not in variables.hidden:
        variables.export("RAY_NODE_TYPE_NAME", variables.known.get("RAY_NODE_TYPE_NAME", pod_type.name))
    starts = ray_starts([*pod_type.setup_commands, *spec.start_of(pod_type)], variables)
    start = lasting(starts, head=pod_type.is_head)
    seen = start.variables if start else variables.of_programs()
    layers = [
        _from_environment(seen),
        *_accelerator(pod_type),
        _from_start(start, pod_type),
        _overriding(seen, pod_type),
    ]
    known: dict[str, str] = {}
    unknown: set[str] = set()
    for layer in layers:
        known = {**{key: value for key, value in known.items() if key not in layer.unknown}, **layer.known}
        unknown = (unknown | layer.unknown) - layer.known.keys()
    resources = {name: count for layer in layers for name, count in layer.resources.items()}
    vague = tuple(name for layer in layers for name in layer.unknown_resources)
    first = {name: count for layer in layers for name, count in layer.first_resources.items()}
    # What the user says of the label holds for every host.
    indices = tuple(key for layer in layers for key in layer.index_labels if key not in known)
    return NodeLabels(known, frozenset(unknown).difference(indices), resources, vague, indices, first)


def _from_environment(variables: Variables) -> NodeLabels:
    # A ConfigMap of variables may hold those that are not known.
    absent = set(_VARIABLES) - variables.known.keys() if variables.open else set()
    unknown = {_VARIABLES[name] for name in absent | (variables.hidden & set(_VARIABLES))}
    known = {key: variables.known[name] for name, key in _VARIABLES.items() if variables.known.get(name)}
    return NodeLabels(known, frozenset(unknown))


def _accelerator(pod_type: PodType) -> Iterable[NodeLabels]:
    """What Ray finds out about the accelerator; nothing where the pod has none."""
    resources = ray_resources(pod_type)
    held = [name for name in _ACCELERATORS if resources.get(name)]
    if not held:
        return ()
    kind = gpu_name(pod_type.pod_config["spec"]) if held[0] == "GPU" else ""
    if held[0] == "TPU":
        return (_tpu(pod_type, int(resources["TPU"])),)
    declared = pod_type.labels.get(ACCELERATOR_LABEL, "") if held[0] == "GPU" else ""
    name = kind or declared
    if not name:
        return (NodeLabels({}, frozenset({ACCELERATOR_LABEL}), {}, (ACCELERATOR_RESOURCE,)),)
    return (NodeLabels({ACCELERATOR_LABEL: name}, frozenset(), {f"{ACCELERATOR_RESOURCE}{name}": 1}),)


def _tpu(pod_type: PodType, chips: int) -> NodeLabels:
    found = tpu_slice(pod_type.pod_config["spec"])
    if found is None:
        indices = _TPU_LABELS[1:2] if pod_type.hosts > 1 else ()
        unknown = frozenset({ACCELERATOR_LABEL, *_TPU_LABELS}).difference(indices)
        return NodeLabels({}, unknown, {}, (ACCELERATOR_RESOURCE, "TPU-"), indices)
    known = {
        ACCELERATOR_LABEL: found.kind,
        "ray.io/tpu-topology": found.topology,
        "ray.io/tpu-pod-type": found.pod_type,
    }
    resources = {f"{ACCELERATOR_RESOURCE}{found.kind}": 1}
    if pod_type.hosts > 1:
        first = {f"TPU-{found.pod_type}-head": 1}
        return NodeLabels(known, frozenset(_TPU_LABELS[:1]), resources, (), _TPU_LABELS[1:2], first)
    if found.chips > chips:
        # One of several hosts: which of them a node is, and so who has the head's resource, is not known before.
        return NodeLabels(known, frozenset(_TPU_LABELS[:2]), resources, ("TPU-",))
    known["ray.io/tpu-worker-id"] = "0"
    return NodeLabels(known, frozenset(_TPU_LABELS[:1]), resources | {f"TPU-{found.pod_type}-head": 1})


def _from_start(start: RayStart | None, pod_type: PodType) -> NodeLabels:
    """``--labels`` of a start command, as far as it is known."""
    if start is None or _LABELS in pod_type.start.differing:
        return NodeLabels({}, frozenset({ANY_LABEL}))
    known: dict[str, str] = {}
    unknown = {ANY_LABEL} if start.vague or start.get("--labels-file") else set()
    for name, value in _pairs(start):
        if value is None or UNKNOWN in name:
            unknown.add(ANY_LABEL)
        elif UNKNOWN in value:
            unknown.add(name)
        else:
            known[name] = value
    return NodeLabels(known, frozenset(unknown))


def _pairs(start: RayStart) -> Iterator[tuple[str, str | None]]:
    """``a=b,c=d``; in Ray before 2.44, JSON. None: it is not known what goes on there."""
    given = start.get(_LABELS)
    text = given.text if given else ""
    if text.startswith("{"):
        yield from ((name, str(value)) for name, value in pairs_of_json(text).items())
        return
    for pair in filter(None, text.strip('"').split(",")):
        name, equals, value = pair.partition("=")
        yield name.strip(), value.strip() if equals else None


def _overriding(variables: Variables, pod_type: PodType) -> NodeLabels:
    """RAY_OVERRIDE_LABELS: the type's labels, or what the podConfig or a command says."""
    if OVERRIDE in variables.hidden:
        return NodeLabels({}, frozenset({ANY_LABEL}))
    if OVERRIDE not in variables.known:
        return NodeLabels(dict(pod_type.labels))
    labels = _parsed(variables.known[OVERRIDE])
    return NodeLabels({}, frozenset({ANY_LABEL})) if labels is None else NodeLabels(labels)


def _parsed(text: str) -> dict[str, str] | None:
    try:
        labels: Any = json.loads(text)
    except ValueError:
        return None
    return {str(k): str(v) for k, v in labels.items()} if isinstance(labels, dict) else None
