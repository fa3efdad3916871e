"""Kubernetes takes pods whose workers are busy: what fits into the grace period finishes. Real nodes, real Ray."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from elastic import apply_cluster, in_head, operated, ray_cluster

from tests.support.kube import PATIENCE, Kube, eventually, names

NAMESPACE, NAME = "ray-interruptions", "taken"
WORKER = "ray-node-type=worker"
GRACE_SECONDS = 60
LONG = 180.0
# Tasks that are never tried again, one per worker, or one actor that has one life.
PROGRAM = """
import sys, time
import ray
from ray.experimental.internal_kv import _internal_kv_list, _internal_kv_put

ray.init(address="auto", log_to_driver=False)
kind, count, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])

def begun():
    _internal_kv_put(f"begun {ray.get_runtime_context().get_node_id()}", b"1")

@ray.remote(num_cpus=1, max_retries=0)
def work():
    begun()
    time.sleep(seconds)
    return "worked"

@ray.remote(num_cpus=1, max_restarts=0)
class Actor:
    def work(self):
        begun()
        time.sleep(seconds)
        return "worked"

before = len(_internal_kv_list("begun "))
asked = [work.remote() for _ in range(count)] if kind == "task" else [Actor.remote().work.remote()]
while len(_internal_kv_list("begun ")) < before + count:
    time.sleep(0.1)
print("BEGUN", flush=True)
for answer in asked:
    try:
        print("RESULT", ray.get(answer), flush=True)
    except ray.exceptions.RayActorError as error:
        print("RESULT", "preempted" if error.preempted else error, flush=True)
"""


class Busy:
    """The cluster, with as many workers as there is work."""

    def __init__(self, kube: Kube) -> None:
        self.kube = kube

    def begin(self, kind: str, count: int, seconds: float) -> subprocess.Popen[str]:
        """Have something run on so many workers, and wait until it does."""
        program = in_head(self.kube.environment, NAMESPACE, PROGRAM, kind, str(count), str(seconds))
        assert program.stdout and next(line for line in program.stdout if line.strip() == "BEGUN")
        return program

    def workers(self) -> list[dict[str, Any]]:
        """Their pods, also those on their way out."""
        found: list[dict[str, Any]] = json.loads(self.kube.run("get", "pods", "-l", WORKER, "-o", "json"))["items"]
        return found

    def gone(self, pods: list[str]) -> bool:
        """None of these is there any more."""
        return not set(names(self.workers())) & set(pods)


def results(program: subprocess.Popen[str]) -> list[str]:
    """What the program's work came to."""
    printed, _ = program.communicate(timeout=LONG * PATIENCE)
    return [line.removeprefix("RESULT ").strip() for line in printed.splitlines() if line.startswith("RESULT")]


@pytest.fixture(scope="module")
def nodes(environment: Mapping[str, str]) -> list[str]:
    found = names(Kube(environment, NAMESPACE).list("nodes"))
    assert len(found) > 2, f"a node for the head, one to be drained and another; there are {found}"
    return found


@pytest.fixture(scope="module")
def busy(environment: Mapping[str, str], nodes: list[str]) -> Iterator[Busy]:
    cluster = ray_cluster(
        NAME, [{"name": "worker", "maxWorkers": 4, "rayResources": {"CPU": 1}}], maxWorkers=4, idleTimeoutMinutes=0.05
    )
    head, worker = (pod_type["podConfig"]["spec"] for pod_type in cluster["spec"]["podTypes"])
    head["nodeSelector"] = {"kubernetes.io/hostname": nodes[0]}
    worker["terminationGracePeriodSeconds"] = GRACE_SECONDS
    there = {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [nodes[1]]}]}
    affinity = {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 100, "preference": there}]}
    worker["affinity"] = {"nodeAffinity": affinity}
    with operated(environment, NAMESPACE):
        apply_cluster(environment, NAMESPACE, cluster)
        made = Busy(Kube(environment, NAMESPACE))
        yield made
        print(made.kube.run("logs", "deployment/ray-operator", "--tail=200"))


def test_a_node_is_drained_and_no_task_is_lost(busy: Busy, nodes: list[str]) -> None:
    program = busy.begin("task", 2, 40)
    before = busy.workers()
    assert {pod["spec"]["nodeName"] for pod in before} == {nodes[1]}
    began = time.monotonic()
    drain = subprocess.Popen(
        ["kubectl", "drain", nodes[1], "--force", "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=360s"],
        env=dict(busy.kube.environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        eventually(lambda: len(busy.workers()) == 4)
        seconds = time.monotonic() - began
        # The old ones are still there, and at work.
        assert set(names(before)) < set(names(busy.workers()))
        print(f"both replacements were created {seconds:.1f} s after the drain began")
        assert results(program) == ["worked"] * 2
        eventually(lambda: busy.gone(names(before)), within=LONG)
        print(f"both pods were gone {time.monotonic() - began:.1f} s after the drain began")
    finally:
        printed, _ = drain.communicate(timeout=LONG * PATIENCE)
        busy.kube.run("uncordon", nodes[1])
    assert drain.returncode == 0, printed
    eventually(lambda: not busy.workers(), within=LONG)


def test_a_task_longer_than_rays_own_patience_finishes_within_the_grace_period(busy: Busy) -> None:
    """Ray drains a node that is told to end for 30 s, unless it is told otherwise."""
    program = busy.begin("task", 1, 42)
    (pod,) = names(busy.workers())
    began = time.monotonic()
    busy.kube.run("delete", "pod", pod, "--wait=false")
    assert results(program) == ["worked"]
    worked = time.monotonic() - began
    eventually(lambda: busy.gone([pod]), within=LONG)
    ended = time.monotonic() - began
    print(f"the task ended {worked:.1f} s after the deletion of its pod, the pod {ended:.1f} s after it")
    assert ended < GRACE_SECONDS
    eventually(lambda: not busy.workers(), within=LONG)


def test_what_takes_longer_than_the_grace_period_is_preempted_and_has_not_crashed(busy: Busy) -> None:
    program = busy.begin("actor", 1, 120)
    (pod,) = names(busy.workers())
    busy.kube.run("delete", "pod", pod, "--grace-period=5", "--wait=false")
    assert results(program) == ["preempted"]
