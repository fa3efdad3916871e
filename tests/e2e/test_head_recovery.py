"""A head may die, and the cluster goes on: real nodes, real Ray, with what the head knows on a volume.

Nothing runs on the head; an actor on the worker counts, and must go on counting.
"""

from __future__ import annotations

import json
import subprocess
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from elastic import in_head

from tests.support.kube import Kube, eventually, names
from tests.support.lasting import (
    LONG,
    NAME,
    NAMESPACE,
    WORKER,
    Lasting,
    delete,
    kill,
    kill_twice,
    lasting_cluster,
    outlives,
)
from tests.support.real import forwarded

VOLUME = "ray-recovery-head"
SERVE = """
import ray
from ray import serve

@serve.deployment(ray_actor_options={"num_cpus": 0.1})
class Hello:
    def __call__(self, request):
        return "hello"

ray.init(address="auto", log_to_driver=False)
serve.start(proxy_location="EveryNode", http_options={"host": "0.0.0.0"})
serve.run(Hello.bind())
print("SERVED", flush=True)
"""
# Asks the proxy beside it, again and again, until its standard input ends.
ASK = """
import sys, threading, time, urllib.request

def ask():
    try:
        return urllib.request.urlopen("http://127.0.0.1:8000/", timeout=5).read().decode()
    except OSError as error:
        return str(error)

while ask() != "hello":
    time.sleep(0.1)
print("BEGUN", flush=True)
over, answers = threading.Event(), []
threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
while not over.wait(0.1):
    answers.append(ask())
print("RESULT", answers.count("hello"), len(answers), flush=True)
"""
JOB = "import time; time.sleep(45); print('the job is done')"


@pytest.fixture(scope="module")
def volume(environment: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """``spec.headRecovery.storage``: of the default StorageClass, or with a volume of this machine's."""
    kube = Kube(environment, NAMESPACE)
    classes = json.loads(kube.run("get", "storageclass", "-o", "json"))["items"]
    if any(
        (c["metadata"].get("annotations") or {}).get("storageclass.kubernetes.io/is-default-class") for c in classes
    ):
        yield {"size": "1Gi"}
        return
    folder = tmp_path_factory.mktemp("volume")
    every: Path = folder
    while every != every.parent and every.owner() == folder.owner() and "pytest" in str(every):
        every.chmod(0o777)
        every = every.parent
    node = kube.run("get", "nodes", "-o", "jsonpath={.items[0].metadata.name}")
    term = {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}]}
    made = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": VOLUME},
        "spec": {
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": VOLUME,
            "local": {"path": str(folder)},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [term]}},
        },
    }
    kube.apply(made)
    yield {"size": "1Gi", "storageClassName": VOLUME}
    kube.run("delete", "persistentvolume", VOLUME, "--ignore-not-found", "--timeout=60s")


@pytest.fixture(scope="module")
def lasting(environment: Mapping[str, str], volume: dict[str, Any]) -> Iterator[Lasting]:
    with lasting_cluster(environment, {"storage": volume}) as made:
        yield made


@pytest.mark.parametrize("end", [delete, kill, kill_twice], ids=["deleted", "killed", "killed-twice"])
def test_an_actor_outlives_its_head_and_so_do_the_workers(lasting: Lasting, end: Any) -> None:
    outlives(lasting, end)


def in_worker(lasting: Lasting, program: str) -> subprocess.Popen[str]:
    """A Python program in the worker's container, with its standard input and output."""
    (worker,) = names(lasting.kube.list("pods", WORKER))
    command = ["kubectl", "-n", NAMESPACE, "exec", "-i", worker, "--", "python", "-c", program]
    environment = dict(lasting.kube.environment)
    return subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def hello(lasting: Lasting) -> bool:
    """Serve answers through the head's Service."""
    with forwarded(lasting.kube, f"{NAME}-ray-head", 8000) as port:
        try:
            return bool(urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5).read() == b"hello")
        except OSError:
            return False


def test_a_job_ends_well_and_serve_answers_while_there_is_no_head(lasting: Lasting) -> None:
    """The job's program and a replica are on the worker, and so is a proxy of Serve."""
    served, _ = in_head(lasting.kube.environment, NAMESPACE, SERVE).communicate(timeout=LONG)
    assert "SERVED" in served
    eventually(lambda: hello(lasting), within=LONG)
    head, before = lasting.head()["metadata"], lasting.workers()
    submit = ["ray", "job", "submit", "--no-wait", "--submission-id=lasting", "--entrypoint-num-cpus=0.5", "--"]
    lasting.kube.run("exec", head["name"], "--", *submit, "python", "-c", JOB)
    status = ["ray", "job", "status", "lasting"]
    eventually(lambda: "RUNNING" in lasting.kube.run("exec", head["name"], "--", *status), within=LONG)
    asking = in_worker(lasting, ASK)
    assert asking.stdout and next(line for line in asking.stdout if line.strip() == "BEGUN")
    delete(lasting, head["name"])
    seconds = lasting.next_head(head["uid"])
    printed, _ = asking.communicate(timeout=LONG)
    answered, asked = (int(number) for number in printed.split("RESULT")[1].split())
    print(f"Serve answered {answered} of {asked} requests in the {seconds:.1f} s until the next head was ready")
    assert answered == asked > 0
    eventually(lambda: hello(lasting), within=LONG)
    name = lasting.head()["metadata"]["name"]
    eventually(lambda: "' succeeded" in lasting.kube.run("exec", name, "--", *status), within=LONG)
    assert lasting.workers() == before


def test_a_change_of_the_head_replaces_the_head_alone(lasting: Lasting) -> None:
    before, head = lasting.workers(), lasting.head()["metadata"]
    path = "/spec/podTypes/0/podConfig/spec/containers/0/env"
    patch = [{"op": "add", "path": path, "value": [{"name": "A", "value": "b"}]}]
    lasting.kube.run("patch", "raycluster", NAME, "--type=json", "-p", json.dumps(patch))
    lasting.next_head(head["uid"])
    lasting.replaced += 1
    lasting.count()
    assert lasting.workers() == before
    assert lasting.cluster()["status"]["autoscalerRetries"] == lasting.lost()
