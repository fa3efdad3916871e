"""What is known of a node's labels before there is a node."""

from __future__ import annotations

import json
import os
from typing import Any
from unittest.mock import patch

import pytest

from autoscaler.model import ANY_LABEL
from controller.raycluster.accelerators import gpu_name, tpu_slice
from controller.raycluster.model import config_hash, parse_spec
from controller.raycluster.node_labels import NodeLabels, node_labels
from tests.support.builders import raw_spec, raw_type

MARKET, ZONE, REGION = "ray.io/market-type", "ray.io/availability-zone", "ray.io/availability-region"
GROUP, ACCELERATOR = "ray.io/node-group", "ray.io/accelerator-type"
GKE = "cloud.google.com/gke-accelerator"


def worker(env: list[dict[str, Any]] | None = None, pod: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    made = raw_type("worker-node", **fields)
    made["podConfig"]["spec"]["containers"][0]["env"] = env or []
    made["podConfig"]["spec"] |= pod or {}
    return made


def labels(of: dict[str, Any], **fields: Any) -> NodeLabels:
    spec = parse_spec(raw_spec(podTypes=[raw_type("head-node", "ray-head-"), of], **fields))
    return node_labels(spec, spec.worker_types[0])


def known(of: dict[str, Any], **fields: Any) -> dict[str, str]:
    return {key: value for key, value in labels(of, **fields).known.items() if key != GROUP}


def variable(name: str, value: str) -> dict[str, Any]:
    return {"name": name, "value": value}


def start(text: str) -> dict[str, Any]:
    return {"workerStartRayCommands": [f"ulimit -n 65536; ray start --address=$RAY_HEAD_IP:6379 {text}"]}


def gpus(**pod: Any) -> dict[str, Any]:
    made = worker(pod=pod)
    made["podConfig"]["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] = 1
    return made


def affinity(key: str, *values: str, operator: str = "In") -> dict[str, Any]:
    expression = {"key": key, "operator": operator, "values": list(values)}
    terms = {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}


def test_the_name_of_the_type_is_a_label() -> None:
    assert labels(worker()).known == {GROUP: "worker-node"}
    assert labels(worker([variable("RAY_NODE_TYPE_NAME", "mine")])).known == {GROUP: "mine"}


def test_what_is_declared_wins_over_what_ray_finds_out() -> None:
    made = worker([variable("RAY_NODE_MARKET_TYPE", "spot")], labels={MARKET: "on-demand", "tier": "gold"})
    assert known(made) == {MARKET: "on-demand", "tier": "gold"}


@pytest.mark.parametrize(
    ("env", "expected", "unknown"),
    [
        ([variable("RAY_NODE_MARKET_TYPE", "spot")], {MARKET: "spot"}, set()),
        ([variable("RAY_NODE_ZONE", "a"), variable("RAY_NODE_REGION", "b")], {ZONE: "a", REGION: "b"}, set()),
        ([variable("RAY_NODE_ZONE", "")], {}, set()),
        ([{"name": "RAY_NODE_ZONE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}], {}, {ZONE}),
        ([variable("RAY_NODE_ZONE", "$(OTHER)")], {}, {ZONE}),
        ([variable("RAY_OVERRIDE_LABELS", '{"a": "b"}')], {"a": "b"}, set()),
        ([variable("RAY_OVERRIDE_LABELS", "?")], {}, {ANY_LABEL}),
    ],
)
def test_variables_of_the_environment(env: list[dict[str, Any]], expected: dict[str, str], unknown: set[str]) -> None:
    found = labels(worker(env))
    assert known(worker(env)) == expected
    assert found.unknown == unknown


@pytest.mark.parametrize(
    ("commands", "expected", "unknown"),
    [
        (["export RAY_NODE_ZONE=$(curl -s http://metadata/zone)"], {}, {ZONE}),
        (["export RAY_NODE_ZONE=a"], {ZONE: "a"}, set()),
        (["Z=a", "export RAY_NODE_ZONE=$Z"], {ZONE: "a"}, set()),
        (["RAY_NODE_ZONE=a; export RAY_NODE_ZONE"], {ZONE: "a"}, set()),
        (["declare -x RAY_NODE_ZONE=a"], {ZONE: "a"}, set()),
        # Ray does not see what the shell keeps for itself.
        (["RAY_NODE_ZONE=a"], {}, set()),
        (["if test -e /x; then export RAY_NODE_ZONE=a; fi"], {}, {ZONE}),
        (['export RAY_OVERRIDE_LABELS=\'{"a": "b"}\''], {"a": "b"}, set()),
    ],
)
def test_a_command_may_export_a_variable(commands: list[str], expected: dict[str, str], unknown: set[str]) -> None:
    made = worker(setupCommands=commands)
    assert known(made) == expected
    assert labels(made).unknown == unknown


def test_a_variable_may_be_set_for_ray_alone() -> None:
    commands = ["export RAY_NODE_ZONE=a", "RAY_NODE_REGION=b ray start --address=$RAY_HEAD_IP:6379"]
    assert known(worker(), workerStartRayCommands=commands) == {ZONE: "a", REGION: "b"}


def test_a_config_map_of_variables_may_hold_any_of_ray() -> None:
    made = worker()
    made["podConfig"]["spec"]["containers"][0]["envFrom"] = [{"configMapRef": {"name": "x"}}]
    assert labels(made).unknown == {MARKET, ZONE, REGION}


@pytest.mark.parametrize(
    ("text", "expected", "unknown"),
    [
        ('--labels="cpu-family=$FAMILY"', {"cpu-family": "amd"}, set()),
        ("--labels cpu-family=${FAMILY},tier=gold", {"cpu-family": "amd", "tier": "gold"}, set()),
        ("--labels=cpu-family=$(lscpu)", {}, {"cpu-family"}),
        ("--labels=$ELSEWHERE", {}, {ANY_LABEL}),
        ("--labels=a=$(hostname),b=c", {"b": "c"}, {"a"}),
        ("--labels='a=b,'$ELSEWHERE", {"a": "b"}, {ANY_LABEL}),
        ("--labels=$(hostname)=b,c=d", {"c": "d"}, {ANY_LABEL}),
        ("--labels=a=b $MORE", {"a": "b"}, {ANY_LABEL}),
        ('--labels=\'{"a": "b"}\'', {"a": "b"}, set()),
        ('--labels="{\\"a\\": \\"$(hostname)\\", \\"b\\": \\"c\\"}"', {"b": "c"}, {"a"}),
        ("--labels-file=/etc/labels", {}, {ANY_LABEL}),
        ("--block", {}, set()),
    ],
)
def test_labels_of_the_start_command(text: str, expected: dict[str, str], unknown: set[str]) -> None:
    found = labels(worker([variable("FAMILY", "amd")]), **start(text))
    assert {key: value for key, value in found.known.items() if key != GROUP} == expected
    assert found.unknown == unknown


def test_a_program_that_starts_ray_may_give_any_label() -> None:
    assert labels(worker(), workerStartRayCommands=["python start.py"]).unknown == {ANY_LABEL}


def test_start_commands_of_a_type_are_its_own() -> None:
    made = worker(startRayCommands=["ray start --address=$RAY_HEAD_IP:6379 --labels=tier=gold"])
    assert known(made, **start("--labels=tier=silver")) == {"tier": "gold"}


@pytest.mark.parametrize(
    ("label", "value", "name"),
    [
        (GKE, "nvidia-tesla-t4", "T4"),
        (GKE, "nvidia-tesla-a100", "A100"),
        (GKE, "nvidia-a100-80gb", "A100"),
        (GKE, "nvidia-h100-mega-80gb", "H100"),
        (GKE, "nvidia-rtx-pro-6000", "RTX-PRO-6000"),
        ("karpenter.k8s.aws/instance-gpu-name", "a10g", "A10G"),
        ("karpenter.k8s.aws/instance-gpu-name", "l40s", "L40S"),
        ("k8s.amazonaws.com/accelerator", "nvidia-tesla-v100", "V100"),
        ("karpenter.azure.com/sku-gpu-name", "A100", "A100"),
        ("nvidia.com/gpu.product", "NVIDIA-A100-SXM4-40GB", "A100"),
        ("nvidia.com/gpu.product", "Tesla-T4", "T4"),
        ("nvidia.com/gpu.product", "NVIDIA-H100-80GB-HBM3", "H100"),
        ("nvidia.com/gpu.product", "NVIDIA-GeForce-RTX-5090", "GeForce-RTX-5090"),
    ],
)
def test_the_accelerator_that_a_pod_names(label: str, value: str, name: str) -> None:
    """As Ray will call it, by a nodeSelector and by an affinity; with the resource of that name."""
    assert gpu_name({"nodeSelector": {label: value}}) == name
    found = labels(gpus(affinity=affinity(label, value)))
    assert found.known[ACCELERATOR] == name and found.resources == {f"accelerator_type:{name}": 1}


def test_names_of_gpus_are_what_ray_reads_off_the_device() -> None:
    """NVIDIA's label is the device's name with '-' for blanks."""
    from ray._private.accelerators.nvidia_gpu import NvidiaGPUAcceleratorManager  # noqa: PLC0415 (slow)

    for device in ("Tesla V100-SXM2-16GB", "NVIDIA A10G", "NVIDIA H200", "NVIDIA GeForce RTX 4090", "NVIDIA L4"):
        ray_name = NvidiaGPUAcceleratorManager._gpu_name_to_accelerator_type(device)
        assert gpu_name({"nodeSelector": {"nvidia.com/gpu.product": device.replace(" ", "-")}}) == ray_name


def test_gpus_of_two_kinds_or_of_none_are_left_open() -> None:
    for pod in ({}, {"affinity": affinity(GKE, "nvidia-l4", "nvidia-tesla-t4")}):
        found = labels(gpus(**pod))
        assert found.unknown == {ACCELERATOR} and found.unknown_resources == ("accelerator_type:",)
    same = labels(gpus(affinity=affinity(GKE, "nvidia-tesla-a100", "nvidia-a100-80gb")))
    assert same.known[ACCELERATOR] == "A100"
    assert not labels(worker(pod={"nodeSelector": {GKE: "nvidia-l4"}})).resources


def tpus(chips: int, kind: str, topology: str) -> dict[str, Any]:
    pod = {
        "nodeSelector": {"cloud.google.com/gke-tpu-accelerator": kind, "cloud.google.com/gke-tpu-topology": topology}
    }
    made = worker(pod=pod)
    made["podConfig"]["spec"]["containers"][0]["resources"]["limits"]["google.com/tpu"] = chips
    return made


def test_a_slice_of_one_host_has_the_resource_of_its_head() -> None:
    found = labels(tpus(8, "tpu-v6e-slice", "2x4"))
    assert found.known[ACCELERATOR] == "TPU-V6E" and found.known["ray.io/tpu-pod-type"] == "v6e-8"
    assert found.resources == {"accelerator_type:TPU-V6E": 1, "TPU-v6e-8-head": 1}
    several = labels(tpus(4, "tpu-v4-podslice", "2x2x2"))
    assert several.known["ray.io/tpu-topology"] == "2x2x2" and several.unknown_resources == ("TPU-",)
    assert several.resources == {"accelerator_type:TPU-V4": 1}
    assert labels(tpus(4, "tpu-v9", "2x2")).unknown >= {ACCELERATOR, "ray.io/tpu-pod-type"}


def test_of_a_slice_of_several_hosts_the_first_has_the_resource_of_its_head() -> None:
    found = labels({**tpus(4, "tpu-v4-podslice", "2x2x2"), "hosts": 2})
    assert found.known["ray.io/tpu-topology"] == "2x2x2" and found.known["ray.io/tpu-pod-type"] == "v4-16"
    assert found.index_labels == ("ray.io/tpu-worker-id",) and found.unknown == {"ray.io/tpu-slice-name"}
    assert found.resources == {"accelerator_type:TPU-V4": 1} and found.first_resources == {"TPU-v4-16-head": 1}
    assert not found.unknown_resources


def test_of_hosts_with_tpus_of_no_name_the_index_is_known() -> None:
    found = labels({**tpus(4, "tpu-v9", "2x2"), "hosts": 2})
    assert found.index_labels == ("ray.io/tpu-worker-id",) and "ray.io/tpu-worker-id" not in found.unknown
    named = labels({**tpus(4, "tpu-v9", "2x2"), "hosts": 2, "labels": {"ray.io/tpu-worker-id": "7"}})
    assert not named.index_labels


@pytest.mark.parametrize(("kind", "topology"), [("tpu-v4-podslice", "2x2x2"), ("tpu-v5-lite-podslice", "4x4")])
def test_slices_are_called_what_ray_calls_them(kind: str, topology: str) -> None:
    from ray._private.accelerators.tpu import infer_tpu_pod_type_from_topology  # noqa: PLC0415 (slow)

    found = tpu_slice(tpus(4, kind, topology)["podConfig"]["spec"])
    assert found and found.pod_type == infer_tpu_pod_type_from_topology(topology, found.kind)


def test_ray_itself_gives_these_labels() -> None:
    """Ray's own resolution, with the environment and the flags of such a pod."""
    from ray._private.label_utils import parse_node_labels_string  # noqa: PLC0415 (slow)
    from ray._private.resource_and_label_spec import ResourceAndLabelSpec  # noqa: PLC0415 (slow)

    env = [variable("RAY_NODE_MARKET_TYPE", "spot"), variable("RAY_NODE_ZONE", "a"), variable("T", "gold")]
    made = worker(env, labels={ZONE: "b", "team": "x"})
    environment = {v["name"]: v["value"] for v in env}
    environment |= {"RAY_NODE_TYPE_NAME": "worker-node", "RAY_OVERRIDE_LABELS": json.dumps(made["labels"])}
    with patch.dict(os.environ, environment):
        ray = ResourceAndLabelSpec(labels=parse_node_labels_string("tier=gold,team=y"))
        ray._resolve_labels(None)
    assert labels(made, **start('--labels="tier=$T,team=y"')).known == ray.labels


def test_new_fields_are_in_the_hash_only_where_they_are_given() -> None:
    """The pods of an existing cluster stay when the operator is upgraded."""

    def hashed(**fields: Any) -> str:
        spec = parse_spec(raw_spec(podTypes=[raw_type("head-node", "ray-head-"), worker(**fields)]))
        return config_hash(spec, spec.worker_types[0])

    assert hashed() == "8b12c6711d37d135"
    assert hashed(labels={}, priority=5, idleTimeoutMinutes=1, startRayCommands=[], hosts=1) == hashed()
    assert hashed(hosts=2) != hashed(hosts=3) != hashed()
    assert hashed(labels={"a": "b"}) != hashed(labels={"a": "c"}) != hashed()
    assert hashed(startRayCommands=["ray start --address=$RAY_HEAD_IP:6379 -v"]) != hashed()
