"""Kubernetes quantities, and what a container's resources mean to Ray.

Quantity grammar: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
"""

from __future__ import annotations

import re
from decimal import ROUND_CEILING, Decimal
from typing import Any

from .model import Json, PodType
from .quantities import QuantityError, parse_quantity

# What a device is to Ray, by how its Kubernetes resource's name in lower case starts. Ray's names are those of
# get_resource_name() in ray/_private/accelerators/. Every GPU is a GPU to it, and so is a part of one: NVIDIA's MIG
# devices, AMD's partitions. Other devices are told with rayResources; a whole AWS device for one, since how many cores
# it has is not said by its name.
_ACCELERATORS = {
    "google.com/tpu": "TPU",
    "aws.amazon.com/neuroncore": "neuron_cores",
    "habana.ai/gaudi": "HPU",
    "huawei.com/ascend": "NPU",
    "rebellions.ai/": "RBLN",
    "furiosa.ai/": "FURIOSA",
    "tenstorrent.com/": "TTNPU",
    "nvidia.com/mig-": "GPU",
    **dict.fromkeys(("amd.com/spx_", "amd.com/dpx_", "amd.com/qpx_", "amd.com/cpx_"), "GPU"),
}
# How much of a device is asked for, beside the device: nvidia.com/gpumem, gpu.intel.com/millicores.
_SHARE = re.compile("mem|core|tile|percent|ratio|monitoring")
# Ray keeps 30 % of a node's memory for its object store by default; tasks may ask for the rest.
TASK_MEMORY_SHARE = Decimal("0.7")
# What an idle head of Ray 2.60 takes, in bytes: GCS, raylet, dashboard and agents, measured.
IDLE_HEAD_MEMORY = 640 * 2**20
_PARTS = ("requests", "limits")

# What `ray start` takes at most: MAX_RESOURCE_QUANTITY in ray/_private/ray_constants.py.
MAX_RESOURCE = 10**14


def node_resources(pod_spec: Json) -> Json:
    """The ``resources`` of a pod's first container; of what it names none, the pod's own, shared with its others.

    Pod-level resources: https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/
    """
    container = pod_spec["containers"][0].get("resources") or {}
    pod = pod_spec.get("resources") or {}
    named = _names(container)
    shared = {part: {n: a for n, a in (pod.get(part) or {}).items() if n not in named} for part in _PARTS}
    return {part: {**shared[part], **(container.get(part) or {})} for part in _PARTS}


def detect_resources(resources: Json) -> dict[str, int]:
    """What Ray is told about a node, from its ``resources``, see ``node_resources``.

    Each is the smaller of request and limit, rounded up. ``CPU`` and ``GPU`` are always told, other accelerators where
    they are asked for. ``memory`` is 70 % of the smaller, in bytes, and absent when the container names none.

    Raises:
        QuantityError: a quantity is malformed or negative, or two kinds of one accelerator are asked for.
    """
    kinds: dict[str, set[str]] = {"CPU": set(), "GPU": set()}
    for name in _names(resources):
        kind = _kind_of(name)
        if kind:
            kinds.setdefault(kind, set()).add(name)
    detected = {kind: _ceil(_smallest(resources, _only(kind, names))) for kind, names in sorted(kinds.items())}
    memory = _smallest(resources, {"memory"})
    if memory > 0:
        detected["memory"] = int(memory * TASK_MEMORY_SHARE)
    return {kind: amount for kind, amount in detected.items() if amount or kind in ("CPU", "GPU")}


def little_memory(resources: Json) -> str:
    """What to do about a memory limit that no head of today's Ray fits in; empty where there is none."""
    limit = (resources.get("limits") or {}).get("memory")
    if limit is None or parse_quantity(limit) >= IDLE_HEAD_MEMORY:
        return ""
    return f"its memory limit is {limit}, and a head of Ray 2.60 takes 640Mi when idle; give it 1Gi or more"


def _names(resources: Json) -> set[str]:
    return {name for part in _PARTS for name in resources.get(part) or {}}


def _kind_of(name: str) -> str:
    """What Ray calls the resource; empty for one that it does not know."""
    lower = name.lower()
    known = next((kind for prefix, kind in _ACCELERATORS.items() if lower.startswith(prefix)), "")
    return known or next((word.upper() for word in ("cpu", "gpu") if word in lower), "")


def _only(kind: str, names: set[str]) -> set[str]:
    devices = {name for name in names if not _SHARE.search(name.lower())} or names
    if len(devices) > 1:
        raise QuantityError(f"asks for {' and '.join(sorted(devices))}; a Ray node can have one kind of {kind}")
    return devices


def _smallest(resources: Json, names: set[str]) -> Decimal:
    found = [
        _amount(name, resources[part][name]) for part in _PARTS for name in names if name in (resources.get(part) or {})
    ]
    return min(found, default=Decimal(0))


def _amount(name: str, value: Any) -> Decimal:
    amount = parse_quantity(value)
    if amount < 0:
        raise QuantityError(f"{name} is {value}, which is negative; use 0 or more")
    return amount


def _ceil(value: Decimal) -> int:
    return int(value.to_integral_value(rounding=ROUND_CEILING))


def ray_resources(pod_type: PodType) -> dict[str, Any]:
    """What Ray is told about a node of this type: detected from the pod, overridden by ``rayResources``."""
    return {**detect_resources(node_resources(pod_type.pod_config["spec"])), **pod_type.ray_resources}
