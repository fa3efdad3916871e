"""A cluster is suspended while a task runs, and resumed: real nodes, real Ray."""

from __future__ import annotations

import time
from collections.abc import Mapping

from elastic import apply_cluster, in_head, operated, ray_cluster

from tests.support.kube import PATIENCE, Kube, eventually

NAMESPACE, NAME = "ray-suspend", "sleeper"
WORKER = "ray-node-type=worker"
LONG = 180.0
# One task that is never retried, on the worker: the head takes no work.
PROGRAM = """
import sys, time
import ray

@ray.remote(num_cpus=1, max_retries=0)
def work(seconds):
    time.sleep(seconds)
    return "worked"

ray.init("auto", log_to_driver=False)
begun = work.remote(float(sys.argv[1]))
print("begun", flush=True)
print(ray.get(begun), flush=True)
"""


def suspend(kube: Kube, value: bool) -> None:
    kube.run("patch", "raycluster", NAME, "--type=merge", "-p", f'{{"spec":{{"suspend":{str(value).lower()}}}}}')


def ready(kube: Kube) -> None:
    eventually(lambda: kube.get("raycluster", NAME).get("status", {}).get("phase") == "Running", within=LONG)


def test_a_task_that_runs_ends_well_and_the_next_one_runs_after_the_cluster_is_back(
    environment: Mapping[str, str],
) -> None:
    kube = Kube(environment, NAMESPACE)
    with operated(environment, NAMESPACE):
        apply_cluster(environment, NAMESPACE, ray_cluster(NAME, [{"name": "worker", "minWorkers": 1}], maxWorkers=1))
        ready(kube)
        address = kube.get("service", f"{NAME}-ray-head")["spec"]["clusterIP"]
        program = in_head(environment, NAMESPACE, PROGRAM, "10")
        assert program.stdout and next(line for line in program.stdout if line.strip() == "begun")
        # The head's next answer shows the worker at work.
        time.sleep(3)
        suspended_at = time.monotonic()
        suspend(kube, True)
        assert "worked" in program.communicate(timeout=LONG * PATIENCE)[0]
        print(f"the task ended {time.monotonic() - suspended_at:.1f} s after the cluster was suspended")
        kube.run("wait", f"raycluster/{NAME}", "--for=condition=Suspended", f"--timeout={LONG:.0f}s")
        print(f"all pods were gone {time.monotonic() - suspended_at:.1f} s after that")
        assert kube.list("pods", "ray-cluster-name") == []
        assert kube.get("service", f"{NAME}-ray-head")["spec"]["clusterIP"] == address
        resumed_at = time.monotonic()
        suspend(kube, False)
        ready(kube)
        print(f"it was ready again {time.monotonic() - resumed_at:.1f} s after it was resumed")
        again = in_head(environment, NAMESPACE, PROGRAM, "0")
        assert "worked" in again.communicate(timeout=LONG * PATIENCE)[0]
        assert kube.get("raycluster", NAME)["status"]["autoscalerRetries"] == 0
