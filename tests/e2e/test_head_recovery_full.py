"""The volume on which a head keeps what it knows is full, or empty: real nodes, real Ray, a volume of 64 MiB."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from elastic import IMAGE

from tests.support.kube import Kube, eventually, names
from tests.support.lasting import LONG, Lasting, kill, lasting_cluster

VOLUME, MAKER, DISK = "ray-recovery-small", "small-volume", "/made/disk"
MAKE = f"mkdir -p {DISK} && mount -t tmpfs -o size=64m,mode=1777 tmpfs {DISK} && touch /tmp/made && sleep infinity"


def maker(node: str, folder: str) -> dict[str, Any]:
    """Mounts a disk of 64 MiB below a folder of a node."""
    container = {
        "name": "maker",
        "image": IMAGE,
        "command": ["bash", "-c", MAKE],
        "securityContext": {"privileged": True, "runAsUser": 0},
        "volumeMounts": [{"name": "made", "mountPath": "/made", "mountPropagation": "Bidirectional"}],
        "readinessProbe": {"exec": {"command": ["cat", "/tmp/made"]}, "periodSeconds": 1},
        "lifecycle": {"preStop": {"exec": {"command": ["umount", "-l", DISK]}}},
    }
    spec = {
        "nodeName": node,
        "terminationGracePeriodSeconds": 5,
        "containers": [container],
        "volumes": [{"name": "made", "hostPath": {"path": folder, "type": "DirectoryOrCreate"}}],
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": MAKER, "namespace": "default"}, "spec": spec}


def volume(node: str, folder: str) -> list[dict[str, Any]]:
    """The volume on that disk, and a claim for it."""
    term = {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}]}
    common = {"accessModes": ["ReadWriteOnce"], "storageClassName": VOLUME}
    made = {
        "capacity": {"storage": "64Mi"},
        "persistentVolumeReclaimPolicy": "Retain",
        "local": {"path": f"{folder}/disk"},
        "nodeAffinity": {"required": {"nodeSelectorTerms": [term]}},
    }
    asked = {"resources": {"requests": {"storage": "64Mi"}}, "volumeName": VOLUME}
    return [
        {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": VOLUME}, "spec": {**common, **made}},
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": "small"},
            "spec": {**common, **asked},
        },
    ]


@pytest.fixture(scope="module")
def disk(environment: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kube]:
    """Runs commands where the disk is, which goes with it in the end."""
    kube = Kube(environment, "default")
    (node, *_) = names(kube.list("nodes"))
    folder = f"/var/lib/{VOLUME}"
    kube.apply(maker(node, folder))
    kube.run("wait", f"pod/{MAKER}", "--for=condition=Ready", "--timeout=360s")
    objects = volume(node, folder)
    kube.apply(objects[0])
    yield kube
    kube.run("delete", "persistentvolume", VOLUME, "--ignore-not-found", "--timeout=180s")
    kube.run("delete", "pod", MAKER, "--timeout=180s")


@pytest.fixture(scope="module")
def lasting(environment: Mapping[str, str], disk: Kube) -> Iterator[Lasting]:
    claim = volume(names(disk.list("nodes"))[0], f"/var/lib/{VOLUME}")[1]
    with lasting_cluster(environment, {"storage": {"claimName": "small"}}, claim) as made:
        yield made


def on_disk(disk: Kube, command: str) -> str:
    return disk.run("exec", MAKER, "--", "bash", "-c", f"cd {DISK}; {command}")


def said(lasting: Lasting) -> str:
    """What somebody reads in the RayCluster's status and Events."""
    return json.dumps([lasting.cluster()["status"], [e["message"] for e in lasting.kube.list("events")]])


def test_a_full_volume_is_named_and_the_cluster_goes_on_when_there_is_room(lasting: Lasting, disk: Kube) -> None:
    """A head that cannot write says so before Ray starts; Ray's own GCS ends without a word."""
    before, head = lasting.workers(), lasting.head()["metadata"]
    on_disk(disk, "cat /dev/zero > filler 2>/dev/null; true")
    kill(lasting, head["name"])
    went = time.monotonic()
    message = "spec.headRecovery.storage.claimName: the volume is full: 64 of 64 MiB are in use"
    eventually(lambda: message in said(lasting), within=LONG)
    print(f"the status says so {time.monotonic() - went:.1f} s after the head was killed")
    on_disk(disk, "rm filler")
    print(f"the next head was ready {lasting.next_head(head['uid']):.1f} s after there was room")
    lasting.count()
    assert lasting.workers() == before


def test_what_was_on_the_volume_is_gone_and_the_cluster_begins_anew(lasting: Lasting, disk: Kube) -> None:
    """The lost session is named, the workers of before are replaced, and new work runs."""
    before, head = set(lasting.workers()), lasting.head()["metadata"]
    session = lasting.cluster()["status"]["head"]["session"]
    # It is what the next head will find, whatever this one still writes.
    on_disk(disk, r"mkdir old && find . -mindepth 1 -maxdepth 1 ! -name old -exec mv {} old/ \;")
    kill(lasting, head["name"])
    lasting.next_head(head["uid"])
    eventually(lambda: "StoreLost" in {e["reason"] for e in lasting.kube.list("events")}, within=LONG)
    assert lasting.cluster()["status"]["head"]["session"] != session
    eventually(lambda: not before & set(lasting.workers()), within=3 * LONG)
    eventually(lambda: lasting.cluster()["status"]["phase"] == "Running", within=LONG)
    lasting.counted = 0
    lasting.count()
