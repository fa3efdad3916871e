"""The pods of a worker of several hosts: their names, and what each of them is told about itself and the others."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from controller.raycluster.accelerators import gke_slice_type, tpu_slice
from controller.raycluster.model import Json, PodType, RayCluster
from controller.raycluster.ray_resources import ray_resources

from .labels import COMPONENT_LABEL, HOSTS_COMPONENT_SUFFIX

# What may stand before the index in a host's name, which is a label of DNS.
_LONGEST_BASE = 59
_HASH_LENGTH = 8


@dataclass(frozen=True)
class Host:
    """One of the pods of a worker. ``slot``: the name of the worker's slot, which all of its pods' names begin with."""

    slot: str
    index: int

    @property
    def pod_name(self) -> str:
        """The name of the pod."""
        return f"{self.slot}-{self.index}"


def worker_name(slot: str) -> str:
    """The worker's name in labels and in DNS: that of its slot, shortened where it is too long or has dots."""
    plain = slot.replace(".", "-")
    if plain == slot and len(slot) <= _LONGEST_BASE:
        return slot
    digest = hashlib.sha256(slot.encode()).hexdigest()[:_HASH_LENGTH]
    return f"{plain[: _LONGEST_BASE - _HASH_LENGTH - 1].rstrip('-')}-{digest}"


def host_name(slot: str, index: int) -> str:
    """The first part of a host's name in DNS."""
    return f"{worker_name(slot)}-{index}"


def hosts_service_name(cluster: RayCluster) -> str:
    """The Service that makes the names of hosts known, and the rest of these names."""
    return cluster.name + HOSTS_COMPONENT_SUFFIX


def hosts_selector(cluster: RayCluster) -> dict[str, str]:
    """What the pods of workers of several hosts, and only they, are labelled with."""
    return {COMPONENT_LABEL: cluster.name + HOSTS_COMPONENT_SUFFIX}


def host_env(cluster: RayCluster, pod_type: PodType, host: Host) -> list[Json]:
    """What a host is told. The variables of TPUs are those that libtpu, JAX and Ray read."""
    service, worker = hosts_service_name(cluster), worker_name(host.slot)
    names = ",".join(f"{host_name(host.slot, index)}.{service}" for index in range(pod_type.hosts))
    told = {
        "RAY_WORKER_NAME": worker,
        "RAY_WORKER_HOSTS": str(pod_type.hosts),
        "RAY_WORKER_HOST_INDEX": str(host.index),
        "RAY_WORKER_HOST_NAMES": names,
    }
    if ray_resources(pod_type).get("TPU"):
        told |= {"TPU_NAME": worker, "TPU_WORKER_ID": str(host.index), "TPU_WORKER_HOSTNAMES": names}
        if found := tpu_slice(pod_type.pod_config["spec"]):
            told |= {"TPU_TOPOLOGY": found.topology, "TPU_ACCELERATOR_TYPE": gke_slice_type(found)}
    return [{"name": name, "value": value} for name, value in told.items()]
