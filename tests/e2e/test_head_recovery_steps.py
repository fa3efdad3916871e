"""A head that is lost at each step of a scale-up: real nodes, real Ray. The integration tests have higher numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from elastic import apply_cluster, in_head, operated, ray_cluster

from tests.support.kube import PATIENCE, Kube, eventually
from tests.support.lasting import LONG, WORKER, Lasting, delete
from tests.support.storage import storage

NAMESPACE, NAME, COUNT = "ray-recovery-steps", "steps", 3
# Actors outlive the program that made them, and wait for workers at the head, which keeps them on its volume.
BEGIN = f"""
import ray

ray.init(address="auto", namespace="steps", log_to_driver=False)

class Worker:
    def node(self):
        return ray.get_runtime_context().get_node_id()

for number in range({COUNT}):
    ray.remote(Worker).options(name=str(number), lifetime="detached", num_cpus=1, max_restarts=-1).remote()
print("BEGUN", flush=True)
"""
END = f"""
import ray

ray.init(address="auto", namespace="steps", log_to_driver=False)
actors = [ray.get_actor(str(number)) for number in range({COUNT})]
print("NODES", len(set(ray.get([actor.node.remote() for actor in actors], timeout=100))), flush=True)
"""
CLEAR = """
import ray
from ray.util import list_named_actors

ray.init(address="auto", namespace="steps", log_to_driver=False)
for name in list_named_actors():
    ray.kill(ray.get_actor(name))
"""


class Steps(Lasting):
    """A cluster that grows from no worker."""

    def run(self, program: str) -> str:
        """What a program on the head prints."""
        printed, _ = in_head(self.kube.environment, NAMESPACE, program).communicate(timeout=LONG * PATIENCE)
        return printed

    def ready(self) -> int:
        """How many workers have joined, by their pods."""
        conditions = (
            {c["type"]: c["status"] for c in pod["status"].get("conditions", [])}
            for pod in self.kube.list("pods", WORKER)
        )
        return sum(each.get("Ready") == "True" for each in conditions)

    def ever(self) -> set[str]:
        """The uids of all worker pods that there have been: Kubernetes says of each once where it goes."""
        said = (e for e in self.kube.list("events") if e["reason"] == "Scheduled")
        return {e["involvedObject"]["uid"] for e in said if "worker" in e["involvedObject"]["name"]}


STEPS: dict[str, Callable[[Steps], bool]] = {
    "asked": lambda steps: True,
    "made": lambda steps: len(steps.workers()) > 0,
    "one-joined": lambda steps: steps.ready() >= 1,
    "all-joined": lambda steps: steps.ready() == COUNT,
}


@pytest.fixture(scope="module")
def steps(environment: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Steps]:
    made = Steps(Kube(environment, NAMESPACE))
    worker = {"name": "worker", "minWorkers": 0, "maxWorkers": 2 * COUNT, "rayResources": {"CPU": 1}}
    with (
        storage(made.kube, "ray-recovery-steps", tmp_path_factory.mktemp("volume")) as volume,
        operated(environment, NAMESPACE),
    ):
        fields: dict[str, Any] = {
            "headRecovery": {"storage": volume},
            "maxWorkers": 2 * COUNT,
            "idleTimeoutMinutes": 0.1,
        }
        cluster = ray_cluster(NAME, [worker], **fields)
        apply_cluster(environment, NAMESPACE, cluster)
        yield made
        print(made.kube.run("logs", "deployment/ray-operator", "--tail=200"))


@pytest.mark.parametrize("step", STEPS)
def test_a_head_that_is_lost_at_this_step_costs_no_worker_and_makes_none_twice(steps: Steps, step: str) -> None:
    before, head = steps.ever(), steps.head()["metadata"]
    assert "BEGUN" in steps.run(BEGIN)
    eventually(lambda: STEPS[step](steps), within=LONG)
    delete(steps, head["name"])
    print(f"{step}: a next head was ready after {steps.next_head(head['uid']):.1f} s")
    try:
        # Ray lets a program in a moment after the head is ready.
        eventually(lambda: f"NODES {COUNT}" in steps.run(END), within=LONG)
        assert len(steps.ever() - before) == COUNT
    finally:
        steps.run(CLEAR)
    eventually(lambda: not steps.workers(), within=LONG)
