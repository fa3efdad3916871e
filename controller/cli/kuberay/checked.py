"""What is wrong with the RayCluster that came out, said at the place of the KubeRay object that it came from."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from controller.cli.checks import check
from controller.raycluster.problem import Problem

from .written import Comment, Tree, add, plain

# Kind of the object -> where its RayClusterSpec is.
CLUSTERS = {
    "RayCluster": ("spec",),
    "RayJob": ("spec", "rayClusterSpec"),
    "RayService": ("spec", "rayClusterConfig"),
    "RayCronJob": ("spec", "jobTemplate", "rayClusterSpec"),
}
# Some parts of a RayCluster come from one of several places: from the first that the object has.
_COMMAND = ("template.spec.containers[0].command", "template.spec.containers[0].args")
_START = ("rayStartParams.port", "rayStartParams")
# Field of the spec here -> fields of KubeRay's spec.
_OF_CLUSTER: Mapping[str, tuple[str, ...]] = {
    "headServicePorts": ("headGroupSpec.template.spec.containers[0].ports", "headGroupSpec.rayStartParams.port"),
    "idleTimeoutMinutes": ("autoscalerOptions.idleTimeoutSeconds",),
    "maxWorkers": ("workerGroupSpecs",),
    "podTypes": ("workerGroupSpecs",),
    "suspend": ("suspend",),
}
# Field of a pod type -> fields of the group.
_OF_GROUP: Mapping[str, tuple[str, ...]] = {
    "name": ("groupName",),
    "labels": ("labels", "rayStartParams.labels"),
    "hosts": ("numOfHosts",),
    "minWorkers": ("minReplicas", "replicas"),
    "maxWorkers": ("maxReplicas", "replicas"),
    "priority": ("priority",),
    "idleTimeoutMinutes": ("idleTimeoutSeconds",),
    "workerSetupCommands": _COMMAND,
}
_LIMIT = "template.spec.containers[0].resources"
_RESOURCES: Mapping[str, tuple[str, ...]] = {
    "CPU": ("rayStartParams.num-cpus", "resources.cpu", "resources.CPU", f"{_LIMIT}.limits.cpu", f"{_LIMIT}.requests"),
    "GPU": ("rayStartParams.num-gpus",),
    "memory": ("rayStartParams.memory", "resources.memory", f"{_LIMIT}.limits.memory"),
    "object_store_memory": ("rayStartParams.object-store-memory",),
}
_POD_TYPE = re.compile(r"spec\.podTypes\[(\d+)\]\.?(.*)")
_UNKNOWN_POD_FIELD = re.compile(r"spec\.podTypes\[(\d+)\]\.podConfig\.(spec\..+|spec)")


def checked(tree: Tree, obj: Mapping[str, Any]) -> Iterator[Problem]:
    """What is wrong with the RayCluster of a KubeRay object, by the paths of that object.

    Fields of pods that Kubernetes does not know are left out of the RayCluster: it drops them too.
    """
    for problem in check(plain(tree)):
        found = _UNKNOWN_POD_FIELD.fullmatch(problem.path)
        if found and "is no field" in problem.message:
            pod_type = tree["spec"]["podTypes"][int(found[1])]
            if _drop(pod_type["podConfig"], found[2]):
                add(pod_type["podConfig"], Comment(f"{found[2]}: left out, pods have no such field."))
                continue
        yield Problem(_origin(problem.path, tree["spec"], obj), problem.message)


def _origin(path: str, spec: Tree, obj: Mapping[str, Any]) -> str:
    """Where in the KubeRay object a part of the RayCluster comes from; the part that holds it where it is not known."""
    if not path.startswith("spec"):
        return path
    where = CLUSTERS[obj["kind"]]
    given: Any = obj
    for part in where:
        given = given[part]
    found = _POD_TYPE.fullmatch(path)
    if found:
        index, field = int(found[1]), found[2]
        group, below = ("headGroupSpec", given["headGroupSpec"]) if index == 0 else _worker(given, index - 1)
        return ".".join((*where, _of_group(group, below, field, spec)))
    if path.startswith(("spec.headStartRayCommands", "spec.workerStartRayCommands")):
        is_head = path.startswith("spec.head")
        group, below = ("headGroupSpec", given["headGroupSpec"]) if is_head else _worker(given, 0)
        field = "headStartRayCommands" if is_head else "workerStartRayCommands"
        return ".".join((*where, _first(group, below, _started(spec[field]))))
    name = re.split(r"[.\[]", path)[1] if path != "spec" else ""
    return ".".join((*where, *filter(None, (_first("", given, _OF_CLUSTER.get(name, ())),))))


def _worker(given: Mapping[str, Any], index: int) -> tuple[str, Mapping[str, Any]]:
    return f"workerGroupSpecs[{index}]", given["workerGroupSpecs"][index]


def _of_group(group: str, given: Mapping[str, Any], field: str, spec: Tree) -> str:
    """Where in a group a field of its pod type comes from."""
    if field.startswith("podConfig.metadata.labels.") and not _key(given, "template", *field.split(".", 3)[1:]):
        # KubeRay labels pods with the labels of their group, too.
        return _first(group, given, ("labels",))
    if field.startswith("podConfig"):
        return f"{group}.template{field.removeprefix('podConfig')}"
    name, _, rest = field.partition(".")
    if name == "rayResources":
        own = (f"resources.{rest}", "rayStartParams.resources", "resources")
        return _first(group, given, (*_RESOURCES.get(rest, ()), *own))
    name = re.split(r"[.\[]", field)[0]
    if name == "startRayCommands":
        return _first(group, given, _started(next(t[name] for t in spec["podTypes"] if name in t)))
    return _first(group, given, _OF_GROUP.get(name, ()))


def _started(commands: list[str]) -> tuple[str, ...]:
    """Where commands come from: ``ulimit`` is before those that are made from rayStartParams."""
    return _START if commands[0].startswith("ulimit -n 65536; ray start") else _COMMAND


def _first(above: str, given: Mapping[str, Any], candidates: tuple[str, ...]) -> str:
    """The first path that there is; ``above`` where there is none."""
    found = next((path for path in candidates if _has(given, path)), "")
    return ".".join(filter(None, (above, found)))


def _has(node: Any, path: str) -> bool:
    for part in re.findall(r"[^.\[\]]+", path):
        try:
            node = node[int(part)] if isinstance(node, list) else node[part]
        except (KeyError, IndexError, TypeError, ValueError):
            return False
    return node is not None


def _key(node: Any, *keys: str) -> bool:
    """Whether there is a value under these keys, which may have dots in them."""
    for key in keys:
        node = node.get(key) if isinstance(node, Mapping) else None
    return node is not None


def _drop(node: Any, path: str) -> bool:
    *parents, last = re.findall(r"[^.\[\]]+", path)
    try:
        for part in parents:
            node = node[int(part)] if isinstance(node, list) else node[part]
        del node[last]
    except (KeyError, IndexError, TypeError, ValueError):
        return False
    return True
