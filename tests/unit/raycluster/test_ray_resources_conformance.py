"""What Ray itself makes of the resources that a pod of ours tells it about."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ray._private.accelerators import get_all_accelerator_resource_names
from ray._private.resource_and_label_spec import ResourceAndLabelSpec

from controller.raycluster.ray_resources import detect_resources


def seen_by_ray(monkeypatch: pytest.MonkeyPatch, told: dict[str, Any]) -> dict[str, Any]:
    """The resources of a node that was started with RAY_OVERRIDE_RESOURCES, without what it adds of its own."""
    monkeypatch.setenv("RAY_OVERRIDE_RESOURCES", json.dumps(told))
    found: dict[str, Any] = ResourceAndLabelSpec().resolve(False, "1.2.3.4").to_resource_dict()
    return {name: amount for name, amount in found.items() if name not in {"node:1.2.3.4", "object_store_memory"}}


def test_ray_takes_what_is_detected(monkeypatch: pytest.MonkeyPatch) -> None:
    for device, name in (
        ("nvidia.com/gpu", "GPU"),
        ("google.com/tpu", "TPU"),
        ("aws.amazon.com/neuroncore", "neuron_cores"),
        ("habana.ai/gaudi", "HPU"),
        ("huawei.com/Ascend910", "NPU"),
        ("rebellions.ai/npu", "RBLN"),
        ("furiosa.ai/rngd", "FURIOSA"),
        ("tenstorrent.com/n150", "TTNPU"),
    ):
        told = detect_resources({"limits": {"cpu": "1500m", "memory": "1Gi", device: 2}})
        # Ray may add what it knows about a device, like accelerator_type:aws-neuron-core.
        assert {"CPU": 2, "memory": 751619276, name: 2}.items() <= seen_by_ray(monkeypatch, told).items()
        assert name in get_all_accelerator_resource_names()


def test_ray_takes_zeros_and_names_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    assert seen_by_ray(monkeypatch, {"CPU": 0, "GPU": 0, "memory": 10**9, "custom": 3.0, "accelerator_type:T4": 1}) == {
        "memory": 10**9,
        "custom": 3,
        "accelerator_type:T4": 1,
    }


@pytest.mark.parametrize("wrong", [{"CPU": 0.5}, {"custom": 1.5}, {"custom": -1}, {"custom": 10**14 + 1}])
def test_ray_does_not_start_with_what_validation_refuses(
    monkeypatch: pytest.MonkeyPatch, wrong: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match="Resource quantities must"):
        seen_by_ray(monkeypatch, {"memory": 10**9, **wrong})
