"""An upgrade of the operator leaves running clusters alone: what version 0.1.0 made is what this version would make.

Slot names and configuration hashes are compared with literals. If a test here fails, this version replaces every pod
of its users when they upgrade.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import yaml

from controller.objects.labels import HEAD, WORKER
from controller.objects.pod import slot_name
from controller.objects.views import PodView, ServiceView
from controller.planning.observed import Observed
from controller.planning.plan import make_plan
from controller.raycluster.model import RayCluster, parse_spec
from controller.raycluster.validation import problems
from tests.support.prerequisites import ROOT

MADE = ROOT / "tests/fixtures/made-by-0.1.0"
NOW = 1_800_000_000.0
FILES = ("legacy-example", "chart-default", "every-field", "required-fields")

# File -> (kind, pod type) -> the hash in the annotation cluster.ray.io/config-hash.
HASHES = {
    "legacy-example": {
        (HEAD, "head-node"): "c9d78af3162902e6",
        (WORKER, "worker-node"): "60b1c72891554154",
    },
    "chart-default": {
        (HEAD, "rayHeadType"): "2f29aa5841cd2ffe",
        (WORKER, "rayWorkerType"): "aaa275a005ae1a59",
    },
    "every-field": {
        (HEAD, "rayHead"): "e5dc5b57bf3eeadc",
        (WORKER, "rayHead"): "841f051a8dd105a9",
        (WORKER, "gpu_A100.v2"): "6321008928694fa6",
        (WORKER, "plain"): "c2a70a3242c09323",
    },
    "required-fields": {
        (HEAD, "head"): "0e28c59ed6488576",
        (WORKER, "worker"): "4a9aa16bc5b41ebd",
    },
}
# File -> pod type -> what the names of its first three slots begin and end with.
SLOTS = {
    "legacy-example": {
        "head-node": ("example-cluster-ray-head-", "rm2b8 fmmvs jswfd"),
        "worker-node": ("example-cluster-ray-worker-", "q7bl8 5wvxh bzjns"),
    },
    "chart-default": {
        "rayHeadType": ("example-cluster-ray-head-type-", "4c77j 7c6p7 xxddh"),
        "rayWorkerType": ("example-cluster-ray-worker-type-", "gx55j nbzgq wp87p"),
    },
    "every-field": {
        "rayHead": ("every-field-ray-head-", "t266g zv9qr vvtwj"),
        "gpu_A100.v2": ("every-field-gpu-a100-v2-", "d88w4 s5rs7 d6rxv"),
        "plain": ("every-field-plain-", "8jsn6 47jrk 9hxpm"),
    },
    "required-fields": {
        "head": ("required-fields-head-", "42cvp 66k4c g9lhj"),
        "worker": ("required-fields-worker-", "mrr8k 6l6dw lbsg7"),
    },
}


@cache
def stored(file: str) -> tuple[RayCluster, ServiceView, list[PodView]]:
    """The objects of a file as the API server lists them once everything runs."""
    found, service, *pods = yaml.load_all((MADE / f"{file}.yaml").read_text(), yaml.CSafeLoader)
    views = [PodView.from_object(running(pod, number)) for number, pod in enumerate(pods)]
    (head,) = (view for view in views if view.kind == HEAD)
    joined = [replace(v, head_ip=head.ip, head_uid=head.uid) if v.kind == WORKER else v for v in views]
    service["metadata"] |= {"uid": "service-uid", "resourceVersion": "11"}
    return RayCluster.from_object(found), ServiceView.from_object(service), joined


def running(pod: dict[str, Any], number: int) -> dict[str, Any]:
    given = {"uid": f"pod-{number}", "resourceVersion": "12", "creationTimestamp": "2026-11-20T08:00:01Z"}
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-11-20T08:01:00Z"}
    status = {"phase": "Running", "podIP": f"10.0.0.{number + 1}", "conditions": [ready]}
    return {**pod, "metadata": {**pod["metadata"], **given}, "status": status}


@pytest.mark.parametrize("file", FILES)
def test_clusters_made_by_0_1_0_are_left_alone(file: str) -> None:
    cluster, service, pods = stored(file)
    assert problems(cluster.name, cluster.spec) == ()
    plan = make_plan(Observed(cluster, parse_spec(cluster.spec), tuple(pods), service, NOW))
    assert plan.actions == ()


@pytest.mark.parametrize("file", FILES)
def test_the_configuration_hashes_are_those_of_0_1_0(file: str) -> None:
    cluster, _, pods = stored(file)
    assert {(p.kind, p.node_type): p.config_hash for p in pods} == HASHES[file]
    spec = parse_spec(cluster.spec)
    types = {(HEAD if t.is_head else WORKER, t.name): t for t in (spec.head, *spec.worker_types)}
    assert {key: spec.hash_of(types[key]) for key in HASHES[file]} == HASHES[file]


@pytest.mark.parametrize("file", FILES)
def test_the_names_of_slots_are_those_of_0_1_0(file: str) -> None:
    cluster, _, pods = stored(file)
    spec = parse_spec(cluster.spec)
    names = {t.name: [slot_name(cluster, t, ordinal) for ordinal in range(3)] for t in spec.pod_types}
    assert names == {of: [start + end for end in ends.split()] for of, (start, ends) in SLOTS[file].items()}
    assert {p.name for p in pods} <= {name for of_type in names.values() for name in of_type}
