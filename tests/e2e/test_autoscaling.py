"""Waiting work becomes pods and idle pods go away: a namespaced operator, real nodes, real Ray."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping

import pytest

from tests.support.kube import Kube, eventually
from tests.support.prerequisites import ROOT

NAMESPACE, RELEASE = "ray-autoscaling", "elastic"
WORKER = "ray-node-type=worker"

# Three tasks that hold a CPU each for longer than the idle timeout, on a head without CPUs.
PROGRAM = """
import time
import ray
ray.init(address="auto", log_to_driver=False)

@ray.remote(num_cpus=1, max_retries=0)
def work(number):
    time.sleep(25)
    return number

print(sorted(ray.get([work.remote(n) for n in range(3)])))
"""


def helm(environment: Mapping[str, str], *arguments: str) -> None:
    subprocess.run(["helm", "-n", NAMESPACE, *arguments], env=dict(environment), check=True, capture_output=True)


@pytest.fixture(scope="module")
def kube(environment: Mapping[str, str]) -> Iterator[Kube]:
    """A cluster of a head alone, which its own namespaced operator may grow to three workers."""
    kube = Kube(environment, NAMESPACE)
    settings = [
        "namespacedOperator=true",
        "podTypes.rayHeadType.rayResources.CPU=0",
        "podTypes.rayWorkerType.minWorkers=0",
    ]
    chosen = [word for setting in settings for word in ("--set", setting)]
    try:
        helm(environment, "install", RELEASE, str(ROOT / "charts/ray"), "--create-namespace", *chosen)
        kube.run("patch", "raycluster", RELEASE, "--type=merge", "-p", '{"spec": {"idleTimeoutMinutes": 0.1}}')
        kube.run("wait", "--for=condition=Ready", f"raycluster/{RELEASE}", "--timeout=120s")
        yield kube
        print(kube.run("logs", "deployment/ray-operator", "--tail=100"))
    finally:
        kube.run("delete", "namespace", NAMESPACE, "--ignore-not-found", "--timeout=120s")


def on_head(kube: Kube, *command: str) -> str:
    """What a command prints in the head's container."""
    head = kube.list("pods", "ray-node-type=head")[0]["metadata"]["name"]
    return kube.run("exec", head, "--", *command)


def test_tasks_bring_workers_which_go_when_they_are_idle_and_not_before(kube: Kube) -> None:
    """0 → 3 → 0: tasks longer than the idle timeout all finish, none is run twice, then nobody is left."""
    assert kube.list("pods", WORKER) == []
    head = kube.list("pods", "ray-node-type=head")[0]["metadata"]["name"]
    command = ["kubectl", "-n", NAMESPACE, "exec", head, "--", "python", "-c", PROGRAM]
    with subprocess.Popen(command, env=dict(kube.environment), stdout=subprocess.PIPE, text=True) as program:
        eventually(lambda: len(kube.list("pods", WORKER)) == 3)
        eventually(lambda: kube.get("raycluster", RELEASE)["status"]["desiredWorkers"] == 3)
        assert program.communicate(timeout=180)[0].strip() == "[0, 1, 2]"
    eventually(lambda: kube.list("pods", WORKER) == [], within=60)
    assert kube.get("raycluster", RELEASE)["status"]["autoscalerRetries"] == 0


def test_request_resources_sizes_the_cluster_until_it_is_taken_back(kube: Kube) -> None:
    """Two CPUs asked for: two workers, kept though idle; nothing asked for: none. `ray status` answers all along."""
    request = "import ray; from ray.autoscaler.sdk import request_resources; ray.init('auto'); {}"
    on_head(kube, "python", "-c", request.format("request_resources(num_cpus=2)"))
    eventually(lambda: len(kube.list("pods", WORKER)) == 2)
    eventually(lambda: kube.get("raycluster", RELEASE)["status"]["readyWorkers"] == 2)
    assert "rayWorkerType" in on_head(kube, "ray", "status")
    on_head(kube, "python", "-c", request.format("request_resources(bundles=[])"))
    eventually(lambda: kube.list("pods", WORKER) == [], within=120)
