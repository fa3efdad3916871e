"""What a valid RayCluster makes of its start commands and resources that its author may not expect."""

from __future__ import annotations

from collections.abc import Iterator

from .hosts import slice_notes
from .model import GROUP, ClusterSpec, PodType
from .problem import Problem
from .ray_resources import passed_on, ray_resources, resources_of
from .start_commands import AUTOSCALING_CONFIG, ray_starts
from .start_options import variables_of

# Of a name in a message.
MAX_NAME = 80
_HEAD, _WORKER = "spec.headStartRayCommands", "spec.workerStartRayCommands"
_OPTIONS = {
    "CPU": "--num-cpus",
    "GPU": "--num-gpus",
    "memory": "--memory",
    "object_store_memory": "--object-store-memory",
}


def notes(spec: ClusterSpec) -> tuple[Problem, ...]:
    """Nothing of this is wrong. Call only with a spec that ``validation.problems`` found nothing wrong with."""
    types = [note for index, t in enumerate(spec.pod_types) for note in _of_type(f"spec.podTypes[{index}]", t)]
    workers = [note for t in spec.worker_types[:1] for note in _unread(_WORKER, t)]
    return (*types, *_unread(_HEAD, spec.head), *workers, *_of_commands(spec))


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
    yield from slice_notes(path, pod_type)
    yield from _left_out(f"{path}.podConfig.metadata", pod_type)
    for name, given in pod_type.start.resources.items():
        decided = pod_type.ray_resources.get(name, given)
        if decided != given:
            option = _OPTIONS.get(name, "--resources")
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


def _unread(path: str, pod_type: PodType) -> Iterator[Problem]:
    """Options that only a running shell knows."""
    told = ray_resources(pod_type)
    for option in pod_type.start.unread:
        name = next((n for n, o in _OPTIONS.items() if o == option), "")
        counted = f"the pods count with {name} {told.get(name, 0)}" if name else "what it gives does not count"
        remedy = f"set rayResources.{name}" if name else "write its value out"
        if option == "--resources":
            remedy = "name the resources in rayResources"
        yield Problem(path, f"only a running shell knows the value of {option}; {counted}; {remedy}")


def _of_commands(spec: ClusterSpec) -> Iterator[Problem]:
    setup, variables = spec.head.setup_commands, variables_of(spec.head.pod_config)
    starts = ray_starts([*setup, *spec.head_start], variables)
    heads = [start for start in starts if start.is_head]
    taken = f"the head's port is taken to be {spec.gcs_port}"
    if not starts:
        yield Problem(_HEAD, f"none is a ray start; {taken}")
    elif not (heads and (heads[-1].get("--port") or not heads[-1].vague)):
        yield Problem(
            _HEAD, f"only a running shell knows all options of ray start; {taken}; write --port={spec.gcs_port} out"
        )
    for index in sorted({s.command - len(setup) for s in starts if s.get(AUTOSCALING_CONFIG)}):
        if index >= 0:
            words = f"{AUTOSCALING_CONFIG} has no effect: the operator scales the cluster"
            yield Problem(f"{_HEAD}[{index}]", words)
