"""Mistakes that people make in RayClusters, each with what is to be said about it: one table for all who judge them."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

# Stands for a field that is taken out.
ABSENT = object()


@dataclass(frozen=True)
class Mistake:
    """One edit of a good RayCluster.

    ``edit``: where, what is put there. ``path`` and ``words`` tell of the problem that has to be found.
    ``api_server``: whether the CRD alone refuses it; ``operator``: whether an operator finds it whose API server has an
    older CRD; there are things that every CRD of RayClusters has refused.
    """

    edit: tuple[tuple[str | int, ...], Any]
    path: str
    words: str
    api_server: bool = True
    operator: bool = True

    def made_in(self, good: dict[str, Any]) -> dict[str, Any]:
        """The RayCluster with the mistake."""
        bad = copy.deepcopy(good)
        (*parents, last), value = self.edit
        place: Any = bad
        for part in parents:
            place = place[part]
        if value is ABSENT:
            del place[last]
        elif isinstance(place, list) and last == len(place):
            place.append(value)
        else:
            place[last] = value
        return bad


def _spec(*path: str | int, value: Any) -> tuple[tuple[str | int, ...], Any]:
    return ("spec", *path), value


def _worker(*path: str | int, value: Any) -> tuple[tuple[str | int, ...], Any]:
    return ("spec", "podTypes", 1, *path), value


def _container(*path: str | int, value: Any) -> tuple[tuple[str | int, ...], Any]:
    return _worker("podConfig", "spec", "containers", 0, *path, value=value)


def _ports(*ports: tuple[Any, Any, Any]) -> tuple[tuple[str | int, ...], Any]:
    return _spec("headServicePorts", value=[{"name": n, "port": p, "targetPort": t} for n, p, t in ports])


HEAD = {
    "name": "head-node",
    "podConfig": {"apiVersion": "v1", "kind": "Pod", "spec": {"containers": [{"name": "c", "image": "i"}]}},
}
NAMED = {
    "apiVersion": "v1",
    "kind": "Pod",
    "spec": {"subdomain": "mine", "containers": [{"name": "c", "image": "i"}]},
}
WORKER = "spec.podTypes[1]"
POD = f"{WORKER}.podConfig"
RESOURCES = f"{POD}.spec.containers[0].resources"
PORTS = "spec.headServicePorts"

# What the table has to be applied to: a cluster of a head-node and a worker-node with minWorkers 2 and maxWorkers 10,
# maxWorkers 10 itself.
MISTAKES = {
    "name too long": Mistake((("metadata", "name"), "x" * 53), "metadata.name", "at most 52"),
    "name with a dot": Mistake((("metadata", "name"), "a.b"), "metadata.name", "name of a Service"),
    "name that starts with a digit": Mistake((("metadata", "name"), "1a"), "metadata.name", "name of a Service"),
    "no pod types": Mistake(_spec("podTypes", value=ABSENT), "spec.podTypes", "is missing"),
    "empty pod types": Mistake(_spec("podTypes", value=[]), "spec.podTypes", "is empty"),
    "no head type": Mistake(_spec("headPodType", value=ABSENT), "spec.headPodType", "is missing"),
    "unknown head type": Mistake(_spec("headPodType", value="haed"), "spec.headPodType", "head-node, worker-node"),
    "two types of one name": Mistake(_spec("podTypes", 2, value=HEAD), "spec.podTypes", "'head-node' is used more"),
    "type without a name": Mistake(_worker("name", value=ABSENT), f"{WORKER}.name", "is missing"),
    "type name that is no label": Mistake(_worker("name", value="a b"), f"{WORKER}.name", "label value"),
    "type name that ends badly": Mistake(_worker("name", value="a-"), f"{WORKER}.name", "label value"),
    "type name too long": Mistake(_worker("name", value="x" * 64), f"{WORKER}.name", "at most 63"),
    "negative minWorkers": Mistake(_worker("minWorkers", value=-1), f"{WORKER}.minWorkers", "is negative"),
    "negative maxWorkers": Mistake(_worker("maxWorkers", value=-1), f"{WORKER}.maxWorkers", "is negative"),
    "minWorkers above maxWorkers": Mistake(
        _worker("maxWorkers", value=1), f"{WORKER}.minWorkers", "2 is more than maxWorkers 1; "
    ),
    "minWorkers above all": Mistake(_spec("maxWorkers", value=1), "spec.maxWorkers", "raise it to 2 or more"),
    "minWorkers above the default": Mistake(
        _spec("podTypes", value=[HEAD, {**HEAD, "name": "w", "minWorkers": 11}]), "spec.maxWorkers", "raise it to 11"
    ),
    "minWorkers of the head's type above all": Mistake(
        _spec("podTypes", 0, value={**HEAD, "minWorkers": 9, "maxWorkers": 9}), "spec.maxWorkers", "raise it to 11"
    ),
    "name as a number": Mistake((("metadata", "name"), 123), "metadata.name", 'put it in quotes: "123"'),
    "maxWorkers as a truth": Mistake(
        _spec("maxWorkers", value=True), "spec.maxWorkers", "true is not a whole number", operator=False
    ),
    "maxWorkers as a text": Mistake(_spec("maxWorkers", value="three"), "spec.maxWorkers", "not a whole number"),
    "negative idle time": Mistake(
        _spec("idleTimeoutMinutes", value=-1), "spec.idleTimeoutMinutes", "less than 0", operator=False
    ),
    "idle termination without minutes": Mistake(
        _spec("idleTermination", value={"action": "Delete"}), "spec.idleTermination.minutes", "is missing"
    ),
    "idle termination at once": Mistake(
        _spec("idleTermination", value={"minutes": 0}), "spec.idleTermination.minutes", "0.1"
    ),
    "idle termination of no known kind": Mistake(
        _spec("idleTermination", value={"minutes": 9, "action": "Stop"}), "spec.idleTermination.action", "Suspend"
    ),
    "negative speed": Mistake(
        _spec("upscalingSpeed", value=-0.5), "spec.upscalingSpeed", "less than 0", operator=False
    ),
    "commands as a text": Mistake(
        _spec("headStartRayCommands", value="ray start"), "spec.headStartRayCommands", "not a list", operator=False
    ),
    "redis password": Mistake(
        _spec("headStartRayCommands", value=["ray stop", "ray start --head --redis-password=x"]),
        "spec.headStartRayCommands[1]",
        "Redis passwords are not supported",
    ),
    "misspelt field": Mistake(
        _spec("maxWorker", value=3), "spec.maxWorker", "did you mean maxWorkers?", operator=False
    ),
    "misspelt field of a type": Mistake(
        _worker("rayResource", value={}), f"{WORKER}.rayResource", "did you mean rayResources?", operator=False
    ),
    "port number too large": Mistake(_ports(("x", 70000, 1)), f"{PORTS}[0].port", "from 1 to 65535"),
    "port name that is none": Mistake(_ports(("X", 7, 1)), f"{PORTS}[0].name", "cannot name a Service's port"),
    "two ports of one name": Mistake(_ports(("x", 7, 1), ("x", 8, 1)), PORTS, "'x' is used more than once"),
    "two ports of one number": Mistake(_ports(("x", 7, 1), ("y", 7, 1)), PORTS, "two ports have the number 7"),
    "port number of a default": Mistake(_ports(("x", 8000, 1)), PORTS, "'ray-serve' has it by default"),
    "target port too large": Mistake(_ports(("x", 7, 70000)), f"{PORTS}[0].targetPort", "neither a number"),
    "target port name too long": Mistake(_ports(("x", 7, "a" * 16)), f"{PORTS}[0].targetPort", "neither a number"),
    "target port that is no name": Mistake(_ports(("x", 7, "77")), f"{PORTS}[0].targetPort", "neither a number"),
    "negative resource": Mistake(
        _worker("rayResources", value={"a": -1}), f"{WORKER}.rayResources.a", "-1 is not a whole number from 0"
    ),
    "half a resource": Mistake(
        _worker("rayResources", value={"CPU": 1.5}), f"{WORKER}.rayResources.CPU", "1.5 is not a whole number"
    ),
    "resource as a truth": Mistake(
        _worker("rayResources", value={"a": True}), f"{WORKER}.rayResources.a", "true is not a whole number"
    ),
    "resource as a text": Mistake(_worker("rayResources", value={"CPU": "2"}), f"{WORKER}.rayResources.CPU", "write 2"),
    "memory as a quantity": Mistake(
        _worker("rayResources", value={"memory": "2Gi"}), f"{WORKER}.rayResources.memory", "write 2147483648"
    ),
    "resource beyond Ray's most": Mistake(
        _worker("rayResources", value={"a": 10**14 + 1}), f"{WORKER}.rayResources.a", "from 0 to 100000000000000"
    ),
    "name that Ray keeps": Mistake(
        _worker("rayResources", value={"node:1.2.3.4": 1}), f"{WORKER}.rayResources.node:1.2.3.4", "keeps for itself"
    ),
    "name of a placement group": Mistake(
        _worker("rayResources", value={"bundle_group_a": 1}),
        f"{WORKER}.rayResources.bundle_group_a",
        "keeps for itself",
    ),
    "label key that is none": Mistake(
        _worker("labels", value={"a b": "c"}), f"{WORKER}.labels.a b", "cannot be the name of a label", api_server=False
    ),
    "label key with a prefix that is none": Mistake(
        _worker("labels", value={"_x/a": "c"}), f"{WORKER}.labels._x/a", "is not a domain, '_x'", api_server=False
    ),
    "label that is Ray's own": Mistake(
        _worker("labels", value={"ray.io/node-id": "c"}),
        f"{WORKER}.labels.ray.io/node-id",
        "choose another key",
        api_server=False,
    ),
    "label that is the type's name": Mistake(
        _worker("labels", value={"ray.io/node-group": "c"}),
        f"{WORKER}.labels.ray.io/node-group",
        "is the name of the pod type",
        api_server=False,
    ),
    "label value that is none": Mistake(
        _worker("labels", value={"a": "-c"}), f"{WORKER}.labels.a", "cannot be a label's value"
    ),
    "label as a number": Mistake(_worker("labels", value={"a": 1}), f"{WORKER}.labels.a", 'put it in quotes: "1"'),
    "no hosts": Mistake(_worker("hosts", value=0), f"{WORKER}.hosts", "0 is not a number from 1 to 1000"),
    "too many hosts": Mistake(_worker("hosts", value=1_001), f"{WORKER}.hosts", "1001 is not a number from 1 to 1000"),
    "hosts as a text": Mistake(_worker("hosts", value="two"), f"{WORKER}.hosts", "not a whole number"),
    "hosts of the head": Mistake(
        _spec("podTypes", 0, "hosts", value=2), "spec.podTypes[0].hosts", "cannot be a head", api_server=False
    ),
    "hosts whose pods have a name of their own": Mistake(
        _spec("podTypes", 2, value={**HEAD, "name": "w", "hosts": 2, "podConfig": NAMED}),
        "spec.podTypes[2].podConfig.spec.subdomain",
        "is the operator's to set",
        api_server=False,
    ),
    "priority as a text": Mistake(
        _worker("priority", value="high"), f"{WORKER}.priority", "not a whole number", operator=False
    ),
    "negative idle time of a type": Mistake(
        _worker("idleTimeoutMinutes", value=-1), f"{WORKER}.idleTimeoutMinutes", "less than 0", operator=False
    ),
    "start commands of a type as a text": Mistake(
        _worker("startRayCommands", value="ray start"), f"{WORKER}.startRayCommands", "not a list", operator=False
    ),
    "no podConfig": Mistake(_worker("podConfig", value=ABSENT), f"{WORKER}.podConfig", "is missing"),
    "podConfig without a kind": Mistake(
        _worker("podConfig", "kind", value=ABSENT), f"{POD}.kind", "is missing", operator=False
    ),
    "podConfig without a spec": Mistake(_worker("podConfig", "spec", value=ABSENT), f"{POD}.spec", "is missing"),
    "no containers": Mistake(
        _worker("podConfig", "spec", "containers", value=[]), f"{POD}.spec.containers", "is empty"
    ),
    "container without a name": Mistake(
        _container("name", value=ABSENT), f"{POD}.spec.containers[0].name", "is missing", operator=False
    ),
    "generateName that is none": Mistake(
        _worker("podConfig", "metadata", "generateName", value="Ray_"),
        f"{POD}.metadata.generateName",
        "cannot be part of a pod's name",
    ),
    "generateName too long": Mistake(
        _worker("podConfig", "metadata", "generateName", value="x" * 191),
        f"{POD}.metadata.generateName",
        "at most 190",
    ),
    "generateName with two dots": Mistake(
        _worker("podConfig", "metadata", "generateName", value="a..b-"),
        f"{POD}.metadata.generateName",
        "cannot be part of a pod's name",
        api_server=False,
    ),
    "bad quantity": Mistake(
        _container("resources", value={"limits": {"memory": "1 GB"}}),
        f"{RESOURCES}.limits.memory",
        "'1 GB' is not a",
        api_server=False,
    ),
    "huge quantity": Mistake(
        _container("resources", value={"limits": {"cpu": "1e9999999"}}),
        f"{RESOURCES}.limits.cpu",
        "out of range",
        api_server=False,
    ),
    "more CPUs than Ray takes": Mistake(
        _container("resources", value={"limits": {"cpu": "1e15"}}), RESOURCES, "rayResources.CPU", api_server=False
    ),
    "negative quantity": Mistake(
        _container("resources", value={"limits": {"cpu": "-1"}}),
        f"{RESOURCES}.limits.cpu",
        "is negative",
        api_server=False,
    ),
    "two kinds of GPU": Mistake(
        _container("resources", value={"limits": {"nvidia.com/gpu": 1, "amd.com/gpu": 1}}),
        RESOURCES,
        "amd.com/gpu and nvidia.com/gpu",
        api_server=False,
    ),
    "misspelt field of the pod": Mistake(
        _worker("podConfig", "spec", "nodeSelectr", value={}),
        f"{POD}.spec.nodeSelectr",
        "did you mean nodeSelector?",
        api_server=False,
        operator=False,
    ),
    "misspelt field of a container": Mistake(
        _container("volumeMount", value=[]),
        f"{POD}.spec.containers[0].volumeMount",
        "did you mean volumeMounts?",
        api_server=False,
        operator=False,
    ),
    "number in a variable": Mistake(
        _container("env", value=[{"name": "A", "value": 1}]),
        f"{POD}.spec.containers[0].env[0].value",
        'put it in quotes: "1"',
        api_server=False,
        operator=False,
    ),
    "volumes as a mapping": Mistake(
        _worker("podConfig", "spec", "volumes", value={"name": "a"}),
        f"{POD}.spec.volumes",
        "is not a list",
        api_server=False,
        operator=False,
    ),
}
