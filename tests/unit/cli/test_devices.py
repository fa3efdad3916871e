"""Devices and shares of devices: what counts for Ray, what is passed on, and how render says so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from controller.main import main
from tests.support.builders import raw_cluster, raw_spec


def render(
    limits: dict[str, Any], ray: dict[str, int] | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> tuple[dict[str, Any], dict[str, Any], str]:
    """The worker's limits, what Ray is told, and what was said."""
    spec = raw_spec(workers=1)
    worker = spec["podTypes"][1]
    worker["podConfig"]["spec"]["containers"][0]["resources"] = {"limits": {"cpu": 2, "memory": "1Gi", **limits}}
    worker |= {"rayResources": ray} if ray else {}
    file = tmp_path / "cluster.yaml"
    file.write_text(yaml.safe_dump(raw_cluster(spec)))
    assert main(["render", str(file)]) == 0
    said = capsys.readouterr()
    container = list(yaml.safe_load_all(said.out))[2]["spec"]["containers"][0]
    told = json.loads(next(v["value"] for v in container["env"] if v["name"] == "RAY_OVERRIDE_RESOURCES"))
    del told["memory"]
    return container["resources"]["limits"], told, said.err


@pytest.mark.parametrize(
    ("limits", "told", "passed"),
    [
        ({"nvidia.com/gpu": 2}, {"GPU": 2}, []),
        ({"nvidia.com/gpu.shared": 1}, {"GPU": 1}, []),
        ({"nvidia.com/mig-1g.5gb": 1}, {"GPU": 1}, []),
        ({"example.com/vgpu": 1}, {"GPU": 1}, []),
        ({"gpu.intel.com/i915": 1, "gpu.intel.com/i915_monitoring": 1}, {"GPU": 1}, ["gpu.intel.com/i915_monitoring"]),
        ({"volcano.sh/vgpu-number": 1, "volcano.sh/vgpu-memory": 3}, {"GPU": 1}, ["volcano.sh/vgpu-memory"]),
        (
            {"nvidia.com/gpu": 1, "nvidia.com/gpumem": 3000, "nvidia.com/gpucores": 30},
            {"GPU": 1},
            ["nvidia.com/gpucores", "nvidia.com/gpumem"],
        ),
        ({"google.com/tpu": 4}, {"TPU": 4}, []),
        ({"amd.com/gpu": 1}, {"GPU": 1}, []),
        ({"amd.com/cpx_nps1": 2}, {"GPU": 2}, []),
        ({"habana.ai/gaudi": 8, "vpc.amazonaws.com/efa": 4}, {"HPU": 8}, ["vpc.amazonaws.com/efa"]),
        ({"gpu.intel.com/xe": 1}, {"GPU": 1}, []),
        ({"huawei.com/npu": 1}, {"NPU": 1}, []),
        ({"metax-tech.com/sgpu": 1, "metax-tech.com/vcore": 10}, {"GPU": 1}, ["metax-tech.com/vcore"]),
        # What is asked for in no amount is not asked for.
        ({"nvidia.com/gpu": 1, "amd.com/gpu": 0, "aliyun.com/gpu-mem": "0"}, {"GPU": 1}, []),
        ({"nvidia.com/mig-1g.5gb": 0, "nvidia.com/mig-2g.10gb": 1}, {"GPU": 1}, []),
        ({"aws.amazon.com/neuroncore": 2}, {"neuron_cores": 2}, []),
        # Shares alone are no devices.
        ({"aliyun.com/gpu-mem": 8}, {}, ["aliyun.com/gpu-mem"]),
        ({"koordinator.sh/gpu-core": 50}, {}, ["koordinator.sh/gpu-core"]),
        ({"koordinator.sh/gpu": 50}, {}, ["koordinator.sh/gpu"]),
        ({"vke.volcengine.com/mgpu-core": 30}, {}, ["vke.volcengine.com/mgpu-core"]),
        ({"gpu.intel.com/millicores": 500}, {}, ["gpu.intel.com/millicores"]),
        ({"huawei.com/Ascend310P-memory": 8}, {}, ["huawei.com/Ascend310P-memory"]),
        # Thousandths of CPUs.
        ({"kubernetes.io/batch-cpu": 4000, "kubernetes.io/batch-memory": "8Gi"}, {}, ["kubernetes.io/batch-cpu"]),
        ({"kubernetes.io/mid-cpu": 4000}, {}, ["kubernetes.io/mid-cpu"]),
        ({"cambricon.com/mlu": 1}, {}, ["cambricon.com/mlu"]),
        ({"aws.amazon.com/neuron": 1}, {}, ["aws.amazon.com/neuron"]),
        ({"nvidia.com/gpu": 8, "rdma/hca": 1, "hugepages-2Mi": "1Gi"}, {"GPU": 8}, ["hugepages-2Mi", "rdma/hca"]),
    ],
)
def test_only_names_that_count_devices_are_counted(
    limits: dict[str, Any],
    told: dict[str, int],
    passed: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    kept, found, said = render(limits, None, tmp_path, capsys)
    assert found == {"CPU": 2, "GPU": 0, **told}
    assert kept.items() >= limits.items()
    assert [name for name in passed if name not in said] == []
    assert bool(said) is bool(passed)


@pytest.mark.parametrize(
    "limits",
    [
        {"aliyun.com/gpu-mem": 5, "aliyun.com/gpu-core.percentage": 30},
        {"nvidia.com/mig-1g.5gb": 1, "nvidia.com/mig-2g.10gb": 1},
        {"nvidia.com/gpu": 1, "nvidia.com/gpu.shared": 1},
        {"nvidia.com/gpu": 1, "amd.com/gpu": 1},
    ],
)
def test_ray_resources_decide_whatever_is_asked_for(
    limits: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept, told, _ = render(limits, {"GPU": 1}, tmp_path, capsys)
    assert told == {"CPU": 2, "GPU": 1}
    assert kept.items() >= limits.items()
