"""Manifests as files and as objects, and the few changes that users make to them before they apply them."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import yaml

from tests.support.prerequisites import ROOT

Object = dict[str, Any]
MANIFESTS = ROOT / "manifests"
LEGACY = ROOT / "tests" / "legacy"
CRDS = str(ROOT / "charts" / "ray" / "crds")
RAY_IMAGE = "rayproject/ray:2.60.0"
OPERATOR_IMAGE = "ray-operator:0.1.0"


def objects(path: Path) -> list[Object]:
    """The objects of a file, in order."""
    return list(yaml.safe_load_all(path.read_text()))


def ray_cluster(path: Path) -> Object:
    """The only object of a file."""
    (found,) = objects(path)
    return found


def legacy_example() -> Object:
    """The example cluster of Ray 1.13, small."""
    return small(ray_cluster(LEGACY / "example_cluster-1.13.yaml"))


def containers(obj: Object) -> list[Object]:
    """The first container of each pod that an object describes."""
    if obj["kind"] == "RayCluster":
        return [pod_type["podConfig"]["spec"]["containers"][0] for pod_type in obj["spec"]["podTypes"]]
    if obj["kind"] == "Deployment":
        return [obj["spec"]["template"]["spec"]["containers"][0]]
    return [obj["spec"]["containers"][0]] if obj["kind"] == "Pod" else []


def with_image(obj: Object, image: str) -> Object:
    """The object with another image and nothing else changed."""
    changed = copy.deepcopy(obj)
    for container in containers(changed):
        container["image"] = image
    return changed


def small(cluster: Object) -> Object:
    """The RayCluster with the image of the tests, and half a CPU asked for by each pod, which Ray counts as one."""
    changed = with_image(cluster, RAY_IMAGE)
    for container in containers(changed):
        container["resources"]["requests"]["cpu"] = "500m"
        container["resources"]["limits"].pop("cpu", None)
    return changed


def pod_type(cluster: Object, name: str) -> Object:
    """One of a RayCluster's pod types, to be changed in place."""
    found: Object = next(t for t in cluster["spec"]["podTypes"] if t["name"] == name)
    return found


def with_workers(cluster: Object, name: str, count: int) -> Object:
    """The RayCluster with another minimum of workers of a type."""
    changed = copy.deepcopy(cluster)
    pod_type(changed, name)["minWorkers"] = count
    return changed
