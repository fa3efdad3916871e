"""Which accelerator a pod asks for by name, in a nodeSelector or a required node affinity, and what Ray calls it.

The labels are those that clouds, Karpenter and NVIDIA's device discovery give to nodes:
https://cloud.google.com/kubernetes-engine/docs/how-to/gpus, https://karpenter.sh/docs/reference/instance-types/,
https://docs.nvidia.com/datacenter/cloud-native/gpu-operator/latest/mig-ray.html. Ray's names are those of
ray/util/accelerators/accelerators.py, which Ray reads off the device once it is there.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import NamedTuple

from .model import Json
from .nulls import mapping_at, mappings_at

_GPU_LABELS = (
    "cloud.google.com/gke-accelerator",
    "karpenter.k8s.aws/instance-gpu-name",
    "k8s.amazonaws.com/accelerator",
    "eks.amazonaws.com/instance-gpu-name",
    "karpenter.azure.com/sku-gpu-name",
    "kubernetes.azure.com/sku-gpu-name",
    "nvidia.com/gpu.product",
)
_TPU_LABEL, _TOPOLOGY_LABEL = "cloud.google.com/gke-tpu-accelerator", "cloud.google.com/gke-tpu-topology"
# What goes before the model in a product's name.
_VENDORS = {"nvidia", "tesla"}
# The generation of a TPU by GKE's name for its machines, with the cores of one chip.
_TPUS = {
    "tpu-v4-podslice": ("v4", 2),
    "tpu-v5-lite-podslice": ("v5litepod", 1),
    "tpu-v5-lite-device": ("v5litepod", 1),
    "tpu-v5p-slice": ("v5p", 2),
    "tpu-v6e-slice": ("v6e", 1),
    "tpu-v6e-device": ("v6e", 1),
    "tpu7x": ("v7x", 2),
    "tpu7x-standard-4t": ("v7x", 2),
}
_TOPOLOGY = re.compile(r"[1-9]\d{0,3}(x[1-9]\d{0,3}){1,2}")


class Tpu(NamedTuple):
    """A slice of TPUs. ``kind``: Ray's name of the chip; ``pod_type``: of the whole slice, v6e-16 for example."""

    kind: str
    topology: str
    pod_type: str
    chips: int


def gpu_name(pod_spec: Json) -> str:
    """Ray's name of the GPU that the pod's machine has, such as H100; empty when the pod leaves it open."""
    names = {name for label in _GPU_LABELS for value in _values(pod_spec, label) if (name := _ray_name(value))}
    return names.pop() if len(names) == 1 else ""


def tpu_slice(pod_spec: Json) -> Tpu | None:
    """The slice that the pod's machine is a part of; None when the pod does not say."""
    kinds, topologies = set(_values(pod_spec, _TPU_LABEL)), set(_values(pod_spec, _TOPOLOGY_LABEL))
    if len(kinds) != 1 or len(topologies) != 1:
        return None
    known, topology = _TPUS.get(kinds.pop()), topologies.pop()
    if known is None or not _TOPOLOGY.fullmatch(topology):
        return None
    generation, cores = known
    chips = math.prod(map(int, topology.split("x")))
    return Tpu(f"TPU-{generation.upper()}", topology, f"{generation}-{chips * cores}", chips)


def gke_slice_type(found: Tpu) -> str:
    """What GKE, and with it libtpu, calls a slice: Ray's name but for the generations that are named after the chip."""
    return found.pod_type.replace("v7x-", "tpu7x-", 1)


def _ray_name(product: str) -> str:
    """``nvidia-tesla-t4``, ``NVIDIA-A100-SXM4-40GB`` and ``h100`` are T4, A100 and H100.

    Ray takes what stands in front of the first number-bearing word: RTX-PRO-6000. A name in mixed case stays whole.
    """
    words = [word for word in product.split("-") if word and word.lower() not in _VENDORS]
    if product == product.lower():
        words = [word.upper() for word in words]
    for index, word in enumerate(words):
        if word != word.upper():
            break
        if any(letter.isdigit() for letter in word):
            return "-".join(words[: index + 1])
    return "-".join(words)


def _values(pod_spec: Json, label: str) -> Iterator[str]:
    """The values of a node's label that the pod allows, as far as it is asked for. What is null, or of another shape
    than the API server takes, asks for nothing.
    """
    selector = mapping_at(pod_spec, "nodeSelector")
    if label in selector:
        yield str(selector[label] or "")
    affinity = mapping_at(mapping_at(pod_spec, "affinity"), "nodeAffinity")
    required = mapping_at(affinity, "requiredDuringSchedulingIgnoredDuringExecution")
    for term in mappings_at(required, "nodeSelectorTerms"):
        for expression in mappings_at(term, "matchExpressions"):
            values = expression.get("values")
            if expression.get("key") == label and expression.get("operator") == "In" and isinstance(values, list):
                yield from (value for value in values if isinstance(value, str))
