"""Devices that a pod claims by dynamic resource allocation: which ones they are, only the claim's class says."""

from __future__ import annotations

from collections.abc import Iterator

from .model import PodType
from .nulls import mapping_at, mappings_at
from .problem import Problem
from .ray_resources import named_for_ray

# What says nothing about devices.
_NO_DEVICES = {"CPU", "memory", "object_store_memory"}


def claim_notes(path: str, pod_type: PodType) -> Iterator[Problem]:
    """The claims of Ray's container, where nothing says what Ray is to count for them."""
    container = pod_type.pod_config["spec"]["containers"][0]
    claims = mappings_at(mapping_at(container, "resources"), "claims")
    names = sorted({str(claim["name"]) for claim in claims if claim.get("name")})
    if names and not named_for_ray(pod_type) - _NO_DEVICES:
        yield Problem(
            f"{path}.podConfig.spec.containers[0].resources.claims",
            f"Kubernetes is asked for {', '.join(names)}, and Ray does not know what that brings; "
            "set rayResources for what tasks should ask for, GPU for example",
        )
