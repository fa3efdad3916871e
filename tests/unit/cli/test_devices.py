"""Devices and shares of devices: what counts for Ray, what is passed on, and how render says so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from controller.cli.checks import check, remarks
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
        # What is beside the word is about something else, or an amount of it.
        ({"x/gpu-vram": "8Gi"}, {}, ["x/gpu-vram"]),
        ({"x/gpu-bar1": "1Gi"}, {}, ["x/gpu-bar1"]),
        ({"x/gpu-sm": 50}, {}, ["x/gpu-sm"]),
        ({"x/gpu-power": 300}, {}, ["x/gpu-power"]),
        ({"x/gpu_time": 100}, {}, ["x/gpu_time"]),
        ({"x/gpu-fb": 16}, {}, ["x/gpu-fb"]),
        ({"x/gpu-units": 16}, {}, ["x/gpu-units"]),
        ({"aliyun.com/gpu-memory.memory-gb": 8}, {}, ["aliyun.com/gpu-memory.memory-gb"]),
        ({"x/vgpu": "8Gi"}, {}, ["x/vgpu"]),
        ({"x/gpu": 100}, {}, ["x/gpu"]),
        ({"nvidia.com/gpu.shared": "4G"}, {}, ["nvidia.com/gpu.shared"]),
        # What names the device, or says that it is counted.
        ({"nvidia.com/gpu-a100": 1}, {"GPU": 1}, []),
        ({"nvidia.com/gpu-h100-80gb.shared": 1}, {"GPU": 1}, []),
        ({"nvidia.com/gpu.rtx-4090": 2}, {"GPU": 2}, []),
        ({"nvidia.com/gpu-l40s": 2}, {"GPU": 2}, []),
        ({"amd.com/gpu-mi300x": 8}, {"GPU": 8}, []),
        ({"nvidia.com/gpu-tesla-t4": 1}, {"GPU": 1}, []),
        ({"aliyun.com/gpu-count": 1}, {"GPU": 1}, []),
        # What connects them.
        (
            {"nvidia.com/gpu": 8, "networking.gke.io.networks/gpu-nic0": 1, "networking.gke.io.networks/gpu-nic1": 1},
            {"GPU": 8},
            ["networking.gke.io.networks/gpu-nic0", "networking.gke.io.networks/gpu-nic1"],
        ),
        (
            {"nvidia.com/gpu": 8, "networking.gke.io.networks/gpu-net-1.IP": 1},
            {"GPU": 8},
            ["networking.gke.io.networks/gpu-net-1.IP"],
        ),
        ({"huawei.com/npu": 1, "huawei.com/npu-nic0": 1}, {"NPU": 1}, ["huawei.com/npu-nic0"]),
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


NO_RESOURCES = [
    ("gpu", "did you mean nvidia.com/gpu?"),
    ("GPU", "did you mean nvidia.com/gpu?"),
    ("gpus", "did you mean nvidia.com/gpu?"),
    ("tpu", "did you mean google.com/tpu?"),
    ("CPU", "did you mean cpu?"),
    ("cpus", "did you mean cpu?"),
    ("vcpu", "did you mean cpu?"),
    ("Memory", "did you mean memory?"),
    ("mem", "did you mean memory?"),
    ("memmory", "did you mean memory?"),
    ("storage", "did you mean ephemeral-storage?"),
    ("nvidia.com/gpu/a100", "did you mean nvidia.com/gpu?"),
    ("nvidia.com/ gpu", "did you mean nvidia.com/gpu?"),
    ("NVIDIA.com/gpu", "did you mean nvidia.com/gpu?"),
    ("requests.nvidia.com/gpu", "did you mean nvidia.com/gpu?"),
    ("nvidia.com/", "use cpu, memory or a device such as nvidia.com/gpu"),
    ("/gpu", "use cpu, memory or a device such as nvidia.com/gpu"),
    ("", "use cpu, memory or a device such as nvidia.com/gpu"),
    ("accelerators", "use cpu, memory or a device such as nvidia.com/gpu"),
]


@pytest.mark.parametrize(("name", "remedy"), NO_RESOURCES, ids=[name for name, _ in NO_RESOURCES])
@pytest.mark.parametrize("index", [0, 1])
def test_a_name_that_kubernetes_does_not_know_is_refused(name: str, remedy: str, index: int) -> None:
    """In Ray's container, and in those beside it."""
    spec = raw_spec()
    containers = spec["podTypes"][1]["podConfig"]["spec"]["containers"]
    containers.append({"name": "b", "image": "i"})
    containers[index]["resources"] = {"limits": {name: 1}}
    (found,) = check(raw_cluster(spec))
    assert found.path == f"spec.podTypes[1].podConfig.spec.containers[{index}].resources.limits.{name}"
    assert found.message == f"is no resource of Kubernetes; {remedy}"


@pytest.mark.parametrize(
    ("resources", "words"),
    [
        ({"limits": {"nvidia.com/gpu": 1}}, "limits.nvidia.com/gpu: cannot be asked for by a pod as a whole"),
        ({"requests": {"cpus": 1}}, "requests.cpus: cannot be asked for"),
        ({"limits": {"cpu": "one"}}, "spec.resources.limits.cpu: 'one' is not a quantity"),
        ({"limits": {"cpu": 1, "memory": "1Gi", "hugepages-2Mi": "2Mi"}}, None),
    ],
)
def test_of_a_pod_as_a_whole_there_are_no_devices(resources: Any, words: str | None) -> None:
    spec = raw_spec()
    pod = spec["podTypes"][1]["podConfig"]["spec"]
    pod["resources"] = resources
    del pod["containers"][0]["resources"]
    found = [str(p) for p in check(raw_cluster(spec))]
    assert (words is None and found == []) or any(words in said for said in found if words)


@pytest.mark.parametrize(
    ("claims", "ray", "noted"),
    [
        ([{"name": "gpu"}], {}, True),
        ([{"name": "gpu"}], {"CPU": 4}, True),
        ([{"name": "gpu"}], {"GPU": 1}, False),
        ([{"name": "gpu"}], {"fpga": 1}, False),
        ([], {}, False),
        (None, {}, False),
    ],
)
def test_a_claim_of_which_ray_knows_nothing_is_noted(claims: Any, ray: dict[str, int], noted: bool) -> None:
    spec = raw_spec()
    worker = spec["podTypes"][1]
    pod = worker["podConfig"]["spec"]
    pod["resourceClaims"] = [{"name": "gpu", "resourceClaimTemplateName": "one-gpu"}]
    pod["containers"][0]["resources"] |= {"claims": claims}
    worker["rayResources"] = ray
    manifest = raw_cluster(spec)
    assert check(manifest) == ()
    said = [str(p) for p in remarks(manifest)]
    where = "spec.podTypes[1].podConfig.spec.containers[0].resources.claims"
    words = f"{where}: Kubernetes is asked for gpu, and Ray does not know what that brings; set rayResources"
    assert [s.startswith(words) for s in said] == ([True] if noted else [])


@pytest.mark.parametrize(
    ("claims", "remedy"),
    [
        ([], "add it to resourceClaims"),
        ([{"name": "fpga", "resourceClaimName": "x"}], "use one of: fpga"),
    ],
)
def test_a_claim_that_the_pod_does_not_have_is_refused(claims: Any, remedy: str) -> None:
    spec = raw_spec()
    pod = spec["podTypes"][1]["podConfig"]["spec"]
    pod["resourceClaims"] = claims
    pod["containers"][0]["resources"]["claims"] = [{"name": "gpu"}]
    (found,) = check(raw_cluster(spec))
    assert found.path.endswith("containers[0].resources.claims[0].name")
    assert found.message == f'"gpu" is not the name of a claim of the pod; {remedy}'
