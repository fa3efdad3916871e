"""Kubernetes quantities, and what a container's resources mean to Ray.

Quantity grammar: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
"""

from __future__ import annotations

import re
from dataclasses import replace
from decimal import ROUND_CEILING, Decimal
from types import MappingProxyType
from typing import Any

from .model import Json, PodType
from .quantities import QuantityError, parse_quantity

# What a device is to Ray, by how its Kubernetes resource's name in lower case starts. Ray's names are those of
# get_resource_name() in ray/_private/accelerators/. Every GPU is a GPU to it, and so is a part of one: NVIDIA's MIG
# devices, AMD's partitions. Other devices are given with rayResources; a whole AWS device for one, since how many cores
# it has is not said by its name.
_ACCELERATORS = {
    "google.com/tpu": "TPU",
    "aws.amazon.com/neuroncore": "neuron_cores",
    "habana.ai/gaudi": "HPU",
    **dict.fromkeys(("huawei.com/ascend", "huawei.com/npu"), "NPU"),
    "rebellions.ai/": "RBLN",
    "furiosa.ai/": "FURIOSA",
    "tenstorrent.com/": "TTNPU",
    "nvidia.com/mig-": "GPU",
    **dict.fromkeys(("amd.com/spx_", "amd.com/dpx_", "amd.com/qpx_", "amd.com/cpx_"), "GPU"),
    **dict.fromkeys(("gpu.intel.com/i915", "gpu.intel.com/xe"), "GPU"),
}
# How much of a device is asked for, beside the device: nvidia.com/gpumem, gpu.intel.com/millicores. Or what connects
# it: example.com/gpu-nic.
_SHARE = re.compile(
    ".*(mem(ory)?|cores?|tiles?|percent(age)?|ratio|monitoring|bandwidth|quota|weight|priority|policy|class"
    r"|[-._](nics?|direct|rdma|ib|roce|nvlinks?|links?|net(works?)?)([-._]?\d+([-._]\w+([-.]\w+)*)?)?)"
)
# The one device that is counted in cores.
_CORES = "aws.amazon.com/neuroncore"
# The device's name of a whole GPU, or of a part that programs see as one: gpu, vgpu, gpu.shared, vgpu-number, gpu-a100,
# gpu-rtx-4090, gpu-h100-80gb. Any other word behind it is about something else: gpu-vram, gpu_time, gpu-power.
_GPU = re.compile(
    r"[a-z]*gpus?([-._](shared|numbers?|num|counts?|nvidia|amd|intel|tesla|geforce|quadro|titan|instinct|radeon"
    r"|rtx|gtx|pro|ada|ti|super|sxm\d?|pcie|nvl|hgx|dgx|(rtx|gtx|gb|gh|mi|[abhklmptv])?\d{1,4}[a-z]{0,2}))*"
)
# No pod has as many GPUs; of a GPU's memory or time there are easily more.
_NO_COUNT = 100
# Koordinator counts a GPU as 100.
_PERCENTAGES = ("koordinator.sh/gpu",)
# What every pod may ask for, and Ray has no use for.
_PLAIN = ("cpu", "memory", "ephemeral-storage")
NOTHING: Json = MappingProxyType({})
# Ray keeps 30 % of a node's memory for its object store by default; tasks may ask for the rest.
TASK_MEMORY_SHARE = Decimal("0.7")
# What an idle head of Ray 2.60 takes, in bytes: GCS, raylet, dashboard and agents, measured.
IDLE_HEAD_MEMORY = 640 * 2**20
# By whether it is a head: its name, what it takes when idle, that in words, and what is enough. A worker: measured too.
_IDLE = {
    True: ("head", IDLE_HEAD_MEMORY, "640Mi", "1Gi"),
    False: ("worker", 260 * 10**6, "260M", "512Mi"),
}
# Nobody means so little.
_NO_AMOUNT = 2**20
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


def detect_resources(resources: Json, overrides: Json = NOTHING) -> dict[str, int]:
    """What Ray counts on a node, from its ``resources``, see ``node_resources``.

    Each is the smaller of request and limit, rounded up. ``CPU`` and ``GPU`` are always given, other accelerators where
    they are asked for. ``memory`` is 70 % of the smaller, in bytes, and absent when the container names none.
    ``overrides``: what is decided already, under Ray's names; none of that is looked for.

    Raises:
        QuantityError: a quantity is malformed or negative, or two kinds of one accelerator are asked for.
    """
    kinds: dict[str, set[str]] = {"CPU": set(), "GPU": set()}
    for name in _names(resources):
        kind = _counted_as(name, amount_of(resources, name))
        if kind:
            kinds.setdefault(kind, set()).add(name)
    detected = {
        kind: _ceil(_smallest(resources, _only(kind, names)))
        for kind, names in sorted(kinds.items())
        if kind not in overrides
    }
    memory = _smallest(resources, {"memory"})
    if memory > 0 and "memory" not in overrides:
        detected["memory"] = int(memory * TASK_MEMORY_SHARE)
    return {kind: amount for kind, amount in detected.items() if amount or kind in ("CPU", "GPU")}


def amount_of(resources: Json, name: str) -> Decimal:
    """How much of a resource of Kubernetes' is asked for."""
    return _smallest(resources, {name})


def passed_on(resources: Json) -> tuple[str, ...]:
    """The resources that Kubernetes is asked for and which Ray does not count: devices that it does not know, and
    shares of devices.
    """
    amounts = {name: amount_of(resources, name) for name in _names(resources) if name not in _PLAIN}
    return tuple(sorted(name for name, amount in amounts.items() if amount and not _counted_as(name, amount)))


def little_memory(resources: Json, *, head: bool = True) -> str:
    """What to do about a memory limit that no head of today's Ray fits in, or no worker; empty where there is none."""
    limit = (resources.get("limits") or {}).get("memory")
    kind, least, shown, enough = _IDLE[head]
    amount = parse_quantity(limit)
    if limit is None or amount >= least:
        return ""
    unit = "; a number without a unit is bytes, and m a thousandth of one" if amount < _NO_AMOUNT else ""
    return (
        f"its memory limit is {limit}, and a {kind} of Ray 2.60 takes {shown} when idle; give it {enough} or more{unit}"
    )


def _names(resources: Json) -> set[str]:
    return {name for part in _PARTS for name in resources.get(part) or {}}


def rays_name(name: str) -> str:
    """What Ray calls a resource of Kubernetes; empty for one that it does not know."""
    return "memory" if name.lower() in ("memory", "mem") else _kind_of(name)


def _counted_as(name: str, amount: Decimal) -> str:
    """What Ray calls so many of a resource; empty where they are none, or no count of devices."""
    kind = _kind_of(name) if amount else ""
    return "" if kind == "GPU" and amount >= _NO_COUNT else kind


def _kind_of(name: str) -> str:
    """What Ray calls the resource; empty for one that it does not know, and for one that counts no devices."""
    lower = name.lower()
    if lower == "cpu":
        return "CPU"
    vendor, _, device = lower.rpartition("/")
    if _SHARE.fullmatch(device) and not lower.startswith(_CORES):
        return ""
    known = next((kind for prefix, kind in _ACCELERATORS.items() if lower.startswith(prefix)), "")
    return known or ("GPU" if _GPU.fullmatch(device) and f"{vendor}/{device}" not in _PERCENTAGES else "")


def _only(kind: str, names: set[str]) -> set[str]:
    if len(names) > 1:
        raise QuantityError(
            f"asks for {' and '.join(sorted(names))}; a Ray node can have one kind of {kind}; "
            f"ask for one, or set rayResources.{kind}"
        )
    return names


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
    """What Ray counts on a node of this type: detected from the pod, unless its start commands say otherwise, and
    ``rayResources`` over both.
    """
    decided = _decided(pod_type)
    return {**detect_resources(resources_of(pod_type), decided), **decided}


def resources_of(pod_type: PodType) -> Json:
    """The ``resources`` of Ray's container as the podConfig names them, and of the others those that admission gives.

    Of these the limit counts where there is one: it is what the container may use. A request that is a namespace's
    default is the least for any pod, and was not chosen for Ray.
    """
    named = node_resources(pod_type.pod_config["spec"])
    given, known = pod_type.admitted or NOTHING, _names(named)
    limits = {n: a for n, a in (given.get("limits") or {}).items() if n not in known}
    requests = {n: a for n, a in (given.get("requests") or {}).items() if n not in known and n not in limits}
    return {"requests": {**requests, **named["requests"]}, "limits": {**limits, **named["limits"]}}


def leaves_open(pod_type: PodType) -> bool:
    """Nothing says how many CPUs a node of this type has: a LimitRange or a webhook may decide.

    Memory alone is not asked for: Ray finds out itself what its container may use.
    """
    return "cpu" not in _names(node_resources(pod_type.pod_config["spec"])) and "CPU" not in _decided(pod_type)


def with_admitted(pod_type: PodType, resources: Json | None) -> PodType:
    """The type with what the API server gives its Ray container; unchanged where Ray cannot count it."""
    sized = replace(pod_type, admitted=resources)
    try:
        return sized if max(ray_resources(sized).values(), default=0) <= MAX_RESOURCE else pod_type
    except QuantityError:
        return pod_type


def named_for_ray(pod_type: PodType) -> set[str]:
    """The resources of Ray that the start commands or ``rayResources`` give amounts of."""
    return set(_decided(pod_type))


def _decided(pod_type: PodType) -> dict[str, Any]:
    return {**pod_type.start.resources, **pod_type.ray_resources}
