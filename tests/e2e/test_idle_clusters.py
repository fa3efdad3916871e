"""A cluster that nothing uses is suspended, and woken: real nodes, real Ray."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from elastic import apply_cluster, in_head, operated, ray_cluster

from tests.support.kube import PATIENCE, Kube, eventually

NAMESPACE, NAME = "ray-idle", "forgotten"
MINUTES = 0.5
LONG = 180.0
# It leaves a detached actor behind, or takes it away.
PROGRAM = """
import sys
import ray

ray.init(address="auto", namespace="mine", log_to_driver=False)

@ray.remote(num_cpus=0)
class Cache:
    def ready(self):
        return "ready"

if sys.argv[1] == "leave":
    print(ray.get(Cache.options(name="cache", lifetime="detached").remote().ready.remote()), flush=True)
else:
    ray.kill(ray.get_actor("cache"))
    print("ready", flush=True)
"""


@pytest.fixture
def kube(environment: Mapping[str, str]) -> Iterator[Kube]:
    cluster = ray_cluster(
        NAME,
        [{"name": "worker", "minWorkers": 1}],
        maxWorkers=1,
        idleTermination={"minutes": MINUTES, "action": "Suspend"},
    )
    with operated(environment, NAMESPACE):
        apply_cluster(environment, NAMESPACE, cluster)
        made = Kube(environment, NAMESPACE)
        yield made
        print(made.run("logs", "deployment/ray-operator", "--tail=100"))


def idle(kube: Kube) -> dict[str, str]:
    """What the status says about the use of the cluster."""
    found: dict[str, str] = kube.get("raycluster", NAME).get("status", {}).get("idle", {})
    return found


def run(kube: Kube, what: str) -> None:
    assert "ready" in in_head(kube.environment, NAMESPACE, PROGRAM, what).communicate(timeout=LONG * PATIENCE)[0]


def test_a_detached_actor_keeps_it_and_without_it_it_is_suspended_until_somebody_wakes_it(kube: Kube) -> None:
    run(kube, "leave")
    left = time.monotonic()
    eventually(lambda: "the detached actor cache of the namespace mine lives" in idle(kube).get("message", ""))
    # Twice the time after which a cluster that nothing uses goes.
    eventually(lambda: time.monotonic() > left + 2 * MINUTES * 60)
    assert len(kube.list("pods", "ray-cluster-name")) == 2
    run(kube, "take")
    taken = time.monotonic()
    kube.run("wait", f"raycluster/{NAME}", "--for=condition=Suspended", f"--timeout={LONG:.0f}s")
    print(
        f"it was suspended {time.monotonic() - taken:.1f} s after the last use, with {MINUTES * 60:.0f} s of patience"
    )
    assert kube.list("pods", "ray-cluster-name") == []
    assert idle(kube)["state"] == "Decided"
    resume = [str(Path(sys.executable).parent / "ray-operator"), "resume", "-n", NAMESPACE, NAME]
    subprocess.run(resume, env=dict(kube.environment), check=True)
    # Its patience begins anew with the head's answer.
    kube.run("wait", f"raycluster/{NAME}", "--for=condition=HeadReady", f"--timeout={LONG:.0f}s")
    run(kube, "leave")
