"""A volume for a head of a RayCluster, on whatever cluster the tests run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .kube import Kube

DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"


@contextmanager
def storage(kube: Kube, name: str, folder: Path) -> Iterator[dict[str, Any]]:
    """``spec.headRecovery.storage``: of the default StorageClass, or with a volume of this machine's in the folder."""
    classes = json.loads(kube.run("get", "storageclass", "-o", "json"))["items"]
    if any((c["metadata"].get("annotations") or {}).get(DEFAULT_CLASS) for c in classes):
        yield {"size": "1Gi"}
        return
    every = folder
    while every != every.parent and every.owner() == folder.owner() and "pytest" in str(every):
        every.chmod(0o777)
        every = every.parent
    node = kube.run("get", "nodes", "-o", "jsonpath={.items[0].metadata.name}")
    kube.apply(_volume(name, node, folder))
    yield {"size": "1Gi", "storageClassName": name}
    kube.run("delete", "persistentvolume", name, "--ignore-not-found", "--timeout=180s")


def _volume(name: str, node: str, folder: Path) -> dict[str, Any]:
    term = {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}]}
    spec = {
        "capacity": {"storage": "1Gi"},
        "accessModes": ["ReadWriteOnce"],
        "persistentVolumeReclaimPolicy": "Retain",
        "storageClassName": name,
        "local": {"path": str(folder)},
        "nodeAffinity": {"required": {"nodeSelectorTerms": [term]}},
    }
    return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": spec}
