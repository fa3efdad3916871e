"""What a valid RayCluster makes of its start commands and resources that its author may not expect."""

from __future__ import annotations

from collections.abc import Iterator

from .claims import claim_notes
from .hosts import slice_notes
from .model import GROUP, ClusterSpec, PodType
from .problem import Problem
from .ray_resources import passed_on, ray_resources, resources_of
from .start_notes import start_notes
from .start_options import RESOURCE_OPTIONS

# Of a name in a message.
MAX_NAME = 80


def notes(spec: ClusterSpec) -> tuple[Problem, ...]:
    """Nothing of this is wrong. Call only with a spec that ``validation.problems`` found nothing wrong with."""
    types = [note for index, t in enumerate(spec.pod_types) for note in _of_type(f"spec.podTypes[{index}]", t)]
    return (*types, *start_notes(spec))


def _of_type(path: str, pod_type: PodType) -> Iterator[Problem]:
    resources, where = resources_of(pod_type), f"{path}.podConfig.spec.containers[0].resources"
    names = passed_on(resources)
    if names:
        yield Problem(
            where,
            f"Kubernetes is asked for {', '.join(names)}, and Ray does not know of it; "
            "set rayResources for what tasks should ask for",
        )
    if not (pod_type.is_head or ray_resources(pod_type)["CPU"] or "CPU" in pod_type.ray_resources):
        yield Problem(
            where,
            "name no cpu, and Ray counts 0 CPU unless a LimitRange of the namespace gives the container one; "
            "set requests.cpu, or rayResources.CPU",
        )
    yield from claim_notes(path, pod_type)
    yield from slice_notes(path, pod_type)
    yield from _left_out(f"{path}.podConfig.metadata", pod_type)
    for name, given in pod_type.start.resources.items():
        decided = pod_type.ray_resources.get(name, given)
        if decided != given:
            option = next((o for o, n in RESOURCE_OPTIONS.items() if n == name), "--resources")
            yield Problem(
                f"{path}.rayResources.{name}",
                f"{decided} counts, and not the {given} of {option} in the start commands",
            )


def _left_out(path: str, pod_type: PodType) -> Iterator[Problem]:
    """Labels and annotations that would mean something to the operator."""
    metadata = pod_type.pod_config.get("metadata") or {}
    for part in ("labels", "annotations"):
        for name in metadata.get(part) or {}:
            if name.startswith(f"{GROUP}/"):
                yield Problem(f"{path}.{part}", f"{name[:MAX_NAME]!r} is left out: {GROUP}/ is the operator's own")
