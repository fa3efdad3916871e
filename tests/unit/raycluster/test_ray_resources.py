"""Kubernetes quantities, and what Ray is told about a node."""

from __future__ import annotations

import contextlib
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kubernetes.utils import quantity

from controller.raycluster.quantities import QuantityError, parse_quantity
from controller.raycluster.ray_resources import detect_resources, node_resources


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", "0"),
        ("500m", "0.5"),
        (2, "2"),
        (0.5, "0.5"),
        ("1.5", "1.5"),
        (".5", "0.5"),
        ("5.", "5"),
        ("+1", "1"),
        ("-1", "-1"),
        ("1k", "1000"),
        ("1Ki", "1024"),
        ("512Mi", "536870912"),
        ("500M", "500000000"),
        ("1.5Gi", "1610612736"),
        ("1E", "1000000000000000000"),
        ("1Ei", "1152921504606846976"),
        ("1e3", "1000"),
        ("12E-1", "1.2"),
        ("7u", "0.000007"),
        ("3n", "0.000000003"),
        ("1e+3", "1000"),
        ("00012", "12"),
        ("-0", "0"),
        ("0e5", "0"),
        (" 1Gi ", "1073741824"),
        (None, "0"),
        (str(2**63 - 1), str(2**63 - 1)),
        (str(2**63), str(2**63 - 1)),
        ("8Ei", str(2**63 - 1)),
        ("1e300", str(2**63 - 1)),
        ("-1e30", str(1 - 2**63)),
    ],
)
def test_quantities_mean_what_kubernetes_says(text: Any, value: str) -> None:
    assert parse_quantity(text) == Decimal(value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "m",
        ".",
        "1 Gi",
        "1gi",
        "1K",
        "1mi",
        "1e",
        "e3",
        "1e1.5",
        "0x1",
        "1,5",
        "1e+",
        "1n5",
        "1.5e3k",
        "--1",
        "1..2",
        "٣",
        True,
        [],
        "1Gi\n2",
        "\t1",
        "1\n",
    ],
)
def test_what_is_no_quantity_is_named(text: Any) -> None:
    with pytest.raises(QuantityError, match="is not a quantity"):
        parse_quantity(text)


@pytest.mark.parametrize("text", ["1e9999999", "1e99999999999999999999", "-1e9999999999"])
def test_a_number_that_the_api_server_cannot_handle_is_refused_before_it_costs_anything(text: str) -> None:
    with pytest.raises(QuantityError, match="out of range"):
        parse_quantity(text)


@given(st.integers(0, 10**6), st.sampled_from(["n", "u", "m", "", "k", "M", "G", "Ki", "Mi", "Gi"]))
def test_bigger_numbers_are_bigger_quantities(number: int, suffix: str) -> None:
    assert parse_quantity(f"{number + 1}{suffix}") > parse_quantity(f"{number}{suffix}") >= 0


@given(st.text(max_size=20))
def test_any_text_is_a_quantity_or_refused(text: str) -> None:
    with contextlib.suppress(QuantityError):
        assert parse_quantity(text).is_finite()


def requests(**given: Any) -> dict[str, Any]:
    return {"requests": given}


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ({}, {"CPU": 0, "GPU": 0}),
        ({"requests": None, "limits": None}, {"CPU": 0, "GPU": 0}),
        (requests(cpu="500m"), {"CPU": 1, "GPU": 0}),
        (requests(cpu="1000m"), {"CPU": 1, "GPU": 0}),
        (requests(cpu="1001m"), {"CPU": 2, "GPU": 0}),
        ({"requests": {"cpu": 4}, "limits": {"cpu": "2"}}, {"CPU": 2, "GPU": 0}),
        ({"requests": {"cpu": 1}, "limits": {"cpu": "2"}}, {"CPU": 1, "GPU": 0}),
        ({"limits": {"nvidia.com/gpu": 2}}, {"CPU": 0, "GPU": 2}),
        ({"limits": {"AMD.com/GPU": "1"}}, {"CPU": 0, "GPU": 1}),
        (requests(memory="512Mi"), {"CPU": 0, "GPU": 0, "memory": 375809638}),
        (requests(memory="1Gi"), {"CPU": 0, "GPU": 0, "memory": 751619276}),
        ({"requests": {"memory": "1Gi"}, "limits": {"memory": "512Mi"}}, {"CPU": 0, "GPU": 0, "memory": 375809638}),
        (requests(memory="0"), {"CPU": 0, "GPU": 0}),
        ({"limits": {"google.com/tpu": 4, "ephemeral-storage": "1Gi"}}, {"CPU": 0, "GPU": 0, "TPU": 4}),
        ({"limits": {"google.com/tpu": 0}}, {"CPU": 0, "GPU": 0}),
        ({"limits": {"aws.amazon.com/neuroncore": "2"}}, {"CPU": 0, "GPU": 0, "neuron_cores": 2}),
        ({"limits": {"habana.ai/gaudi": 8}}, {"CPU": 0, "GPU": 0, "HPU": 8}),
        ({"limits": {"huawei.com/Ascend910": 8}}, {"CPU": 0, "GPU": 0, "NPU": 8}),
        ({"limits": {"nvidia.com/mig-1g.5gb": 2}}, {"CPU": 0, "GPU": 2}),
        ({"limits": {"nvidia.com/mig-1g.10gb.shared": 2}}, {"CPU": 0, "GPU": 2}),
        ({"limits": {"nvidia.com/gpu.shared": 2}}, {"CPU": 0, "GPU": 2}),
        ({"limits": {"amd.com/cpx_nps4": 8}}, {"CPU": 0, "GPU": 8}),
        ({"limits": {"gpu.intel.com/i915": 1}}, {"CPU": 0, "GPU": 1}),
        ({"limits": {"gpu.intel.com/xe": 1, "gpu.intel.com/millicores": 500}}, {"CPU": 0, "GPU": 1}),
        ({"limits": {"nvidia.com/gpu": 2, "nvidia.com/gpumem": 3000, "nvidia.com/gpucores": 30}}, {"CPU": 0, "GPU": 2}),
        ({"limits": {"volcano.sh/vgpu-number": 1, "volcano.sh/vgpu-memory": 3000}}, {"CPU": 0, "GPU": 1}),
        ({"limits": {"aliyun.com/gpu-mem": 3}}, {"CPU": 0, "GPU": 0}),
        (
            {"limits": {"nvidia.com/gpu": 8, "example.com/gpu-nic": 4, "example.com/gpu-direct": 1}},
            {"CPU": 0, "GPU": 8},
        ),
        ({"limits": {"huawei.com/Ascend910": 1, "huawei.com/Ascend910-memory": 16384}}, {"CPU": 0, "GPU": 0, "NPU": 1}),
        ({"limits": {"rebellions.ai/ATOM": 4}}, {"CPU": 0, "GPU": 0, "RBLN": 4}),
        ({"limits": {"furiosa.ai/rngd": 2}}, {"CPU": 0, "GPU": 0, "FURIOSA": 2}),
        ({"limits": {"furiosa.ai/rngd-2core.12gb": 4}}, {"CPU": 0, "GPU": 0, "FURIOSA": 4}),
        ({"limits": {"tenstorrent.com/n150": 1}}, {"CPU": 0, "GPU": 0, "TTNPU": 1}),
        ({"limits": {"aws.amazon.com/neuron": 1}}, {"CPU": 0, "GPU": 0}),
        ({"requests": {"memory": "1Gi"}, "limits": {"memory": "8Ei"}}, {"CPU": 0, "GPU": 0, "memory": 751619276}),
        ({"limits": {"example.com/disk": 1}}, {"CPU": 0, "GPU": 0}),
    ],
)
def test_ray_gets_the_smaller_of_request_and_limit(resources: dict[str, Any], expected: dict[str, int]) -> None:
    assert detect_resources(resources) == expected


@pytest.mark.parametrize(
    ("container", "pod", "expected"),
    [
        ({}, {"requests": {"cpu": 3, "memory": "1Gi"}, "limits": {"cpu": 2}}, {"CPU": 2, "memory": 751619276}),
        (requests(cpu=1), requests(cpu=3, memory="1Gi"), {"CPU": 1, "memory": 751619276}),
        ({"limits": {"cpu": 4}}, requests(cpu=3), {"CPU": 4}),
        ({"limits": None}, {"limits": None}, {"CPU": 0}),
        (None, None, {"CPU": 0}),
    ],
)
def test_what_the_container_does_not_name_it_has_of_the_pod(container: Any, pod: Any, expected: dict[str, int]) -> None:
    spec = {"containers": [{"resources": container}, {"resources": requests(cpu=9)}], "resources": pod}
    assert detect_resources(node_resources(spec)) == {"GPU": 0, **expected}


NUMBERS = st.from_regex(r"[+-]?([0-9]{1,6}(\.[0-9]{0,9})?|\.[0-9]{1,9})", fullmatch=True)
SUFFIXES = st.sampled_from(["", *"numkMGT", "Ki", "Mi", "Gi", "Ti"])


@given(NUMBERS, SUFFIXES)
def test_a_quantity_is_what_kubernetes_own_client_takes_it_for(number: str, suffix: str) -> None:
    theirs: Decimal = quantity.parse_quantity(number + suffix)  # type: ignore[no-untyped-call]
    assert parse_quantity(number + suffix) == theirs


@given(NUMBERS, st.integers(-9, 9), st.sampled_from("eE"))
def test_an_exponent_moves_the_point(number: str, exponent: int, letter: str) -> None:
    assert parse_quantity(f"{number}{letter}{exponent}") == Decimal(number).scaleb(exponent)


def test_a_negative_amount_is_refused() -> None:
    with pytest.raises(QuantityError, match="memory is -1, which is negative"):
        detect_resources({"requests": {"memory": "-1"}})


def test_two_kinds_of_gpu_are_refused_by_name() -> None:
    with pytest.raises(QuantityError, match=r"amd\.com/gpu and nvidia\.com/gpu"):
        detect_resources({"limits": {"nvidia.com/gpu": 1, "amd.com/gpu": 1}})
