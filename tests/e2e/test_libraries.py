"""Ray's libraries on an autoscaling cluster: the programs of ``manifests/example_scripts``, real nodes, real Ray."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import yaml
from elastic import apply_cluster, operated

from tests.support.kube import Kube, eventually
from tests.support.prerequisites import ROOT
from tests.support.real import forwarded

NAMESPACE, NAME = "ray-libraries", "tune-and-data"
WORKER = "ray-node-type=worker"
PROGRAMS = ROOT / "manifests/example_scripts"
LONG = 300.0


@pytest.fixture(scope="module")
def kube(environment: Mapping[str, str]) -> Iterator[Kube]:
    """The example's cluster, which asks Kubernetes for less and lets its workers go soon."""
    cluster = yaml.safe_load((ROOT / "manifests/tune_and_data.yaml").read_text())
    cluster["spec"] |= {"idleTimeoutMinutes": 0.1}
    for pod_type in cluster["spec"]["podTypes"]:
        (container,) = pod_type["podConfig"]["spec"]["containers"]
        container["resources"]["requests"] = {"cpu": "200m", "memory": "1Gi"}
    cluster["spec"]["podTypes"][1]["rayResources"] = {"CPU": 2}
    with operated(environment, NAMESPACE):
        apply_cluster(environment, NAMESPACE, cluster)
        made = Kube(environment, NAMESPACE)
        yield made
        print(made.run("logs", "deployment/ray-operator", "--tail=200"))


def submit(kube: Kube, program: str) -> str:
    """Submit one of the programs as the documentation says, and return what the job prints."""
    ray = str(Path(sys.executable).parent / "ray")
    with forwarded(kube, f"{NAME}-ray-head", 8265) as port:
        command = [ray, "job", "submit", "--address", f"http://127.0.0.1:{port}", "--working-dir", str(PROGRAMS)]
        done = subprocess.run(
            [*command, "--", "python", program],
            env={**os.environ, "RAY_USAGE_STATS_ENABLED": "0"},
            capture_output=True,
            text=True,
            timeout=LONG,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("program", ["tune_sweep.py", "data_job.py"])
def test_the_program_brings_workers_ends_well_and_they_go_again(kube: Kube, program: str) -> None:
    assert kube.list("pods", WORKER) == []
    printed = submit(kube, program)
    print(printed[-2000:])
    assert "Success!" in printed
    created = [e for e in kube.list("events") if e["reason"] == "CreatedPods"]
    assert any("worker" in event["message"] for event in created)
    eventually(lambda: kube.list("pods", WORKER) == [], within=LONG)
