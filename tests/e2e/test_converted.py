"""What ``ray-operator convert`` makes of KubeRay's resources runs Ray programs: real nodes, real Ray."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from elastic import in_head, operated

from tests.support.kube import PATIENCE, Kube, eventually
from tests.support.prerequisites import ROOT

NAMESPACE = "ray-converted"
WORKER = "ray-node-type=worker"
LONG = 240.0
# On two workers at once: the head takes no work.
PROGRAM = """
import ray

ray.init("auto", log_to_driver=False)

@ray.remote
class Here:
    def node(self):
        return ray.get_runtime_context().get_node_id()

actors = [Here.options(num_cpus=1).remote() for _ in range(2)]
print("RESULT", len(set(ray.get([a.node.remote() for a in actors]))), flush=True)
"""


@pytest.fixture(scope="module")
def kube(environment: Mapping[str, str]) -> Iterator[Kube]:
    """A namespace with an operator."""
    with operated(environment, NAMESPACE):
        made = Kube(environment, NAMESPACE)
        yield made
        print(made.run("logs", "deployment/ray-operator", "--tail=200"))


def apply_converted(kube: Kube, name: str) -> None:
    """As the page on migration says: convert, and apply what is printed."""
    program = str(Path(sys.executable).parent / "ray-operator")
    command = [program, "convert", str(ROOT / f"tests/kuberay/{name}.yaml")]
    converted = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    kube.run("apply", "-f", "-", stdin=converted)


def test_a_raycluster_grows_for_a_program_and_shrinks_again(kube: Kube) -> None:
    apply_converted(kube, "small-autoscaling")
    kube.run("wait", "--for=condition=Ready", "raycluster.cluster.ray.io/grows", "--timeout=720s")
    assert kube.list("pods", WORKER) == []
    printed, _ = in_head(kube.environment, NAMESPACE, PROGRAM).communicate(timeout=LONG * PATIENCE)
    assert "RESULT 2" in printed, printed
    eventually(lambda: kube.list("pods", WORKER) == [], within=LONG)
    kube.run("delete", "raycluster.cluster.ray.io", "grows")
    eventually(lambda: kube.list("pods", "ray-cluster-name") == [])


def test_a_rayjob_is_a_job_that_submits_its_program(kube: Kube) -> None:
    apply_converted(kube, "small-job")
    kube.run("wait", "--for=condition=Complete", "job/sums", f"--timeout={LONG:.0f}s")
    assert "the sum is 30" in kube.run("logs", "job/sums")
