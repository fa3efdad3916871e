"""A head may die, and the cluster goes on: real nodes, real Ray, with what the head knows on a volume.

Nothing runs on the head; an actor on the worker counts, and must go on counting.
"""

from __future__ import annotations

import json
import subprocess
import urllib.request
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from elastic import IMAGE, in_head

from tests.support.kube import PATIENCE, Kube, eventually, names
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
from tests.support.storage import storage

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
# What is to be there again where no pod was left: an actor that may restart, a placement group, the record of a job.
KEEP = """
import ray
from ray.util import placement_group

ray.init(address="auto", namespace="recovery", log_to_driver=False)

class Kept:
    def life(self):
        return "lives"

kept = ray.remote(Kept).options(name="kept", lifetime="detached", num_cpus=0.5, max_restarts=-1).remote()
ray.get(kept.life.remote())
assert placement_group([{"CPU": 0.5}], name="kept", lifetime="detached").wait(60)
print("KEPT", flush=True)
"""
FIND = """
import ray
from ray.util import get_placement_group

ray.init(address="auto", namespace="recovery", log_to_driver=False)
assert get_placement_group("kept").wait(60)
print("FOUND", ray.get(ray.get_actor("kept").life.remote(), timeout=60), flush=True)
"""
JOB = "import time; time.sleep(45); print('the job is done')"


@pytest.fixture(scope="module")
def volume(environment: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """``spec.headRecovery.storage``."""
    with storage(Kube(environment, NAMESPACE), "ray-recovery-head", tmp_path_factory.mktemp("volume")) as made:
        yield made


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
    served, _ = in_head(lasting.kube.environment, NAMESPACE, SERVE).communicate(timeout=LONG * PATIENCE)
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
    printed, _ = asking.communicate(timeout=LONG * PATIENCE)
    answered, asked = (int(number) for number in printed.split("RESULT")[1].split())
    print(f"Serve answered {answered} of {asked} requests in the {seconds:.1f} s until the next head was ready")
    assert answered == asked > 0
    eventually(lambda: hello(lasting), within=LONG)
    name = lasting.head()["metadata"]["name"]
    eventually(lambda: "' succeeded" in lasting.kube.run("exec", name, "--", *status), within=LONG)
    assert lasting.workers() == before


# The same image by its whole name; a variable.
CHANGES = {"image": f"docker.io/{IMAGE}", "env": [{"name": "A", "value": "b"}]}


@pytest.mark.parametrize("field", CHANGES)
def test_a_change_of_the_head_replaces_the_head_alone(lasting: Lasting, field: str) -> None:
    before, head = lasting.workers(), lasting.head()["metadata"]
    path = f"/spec/podTypes/0/podConfig/spec/containers/0/{field}"
    lasting.kube.run(
        "patch",
        "raycluster",
        NAME,
        "--type=json",
        "-p",
        json.dumps([{"op": "add", "path": path, "value": CHANGES[field]}]),
    )
    lasting.next_head(head["uid"])
    lasting.replaced += 1
    lasting.count()
    assert lasting.workers() == before
    assert lasting.cluster()["status"]["autoscalerRetries"] == lasting.lost()


def on_head(lasting: Lasting, program: str) -> str:
    """What a program on the head prints."""
    return in_head(lasting.kube.environment, NAMESPACE, program).communicate(timeout=LONG * PATIENCE)[0]


def patch(lasting: Lasting, **spec: Any) -> None:
    lasting.kube.run("patch", "raycluster", NAME, "--type=merge", "-p", json.dumps({"spec": spec}))


def is_there_again(lasting: Lasting) -> None:
    """The cluster runs, and what was kept is in it."""
    lasting.kube.run("wait", "--for=condition=Ready", f"raycluster/{NAME}", "--timeout=540s")
    eventually(lambda: "FOUND lives" in on_head(lasting, FIND), within=LONG)
    head = lasting.head()["metadata"]["name"]
    assert "' succeeded" in lasting.kube.run("exec", head, "--", "ray", "job", "status", "kept")


def test_what_ray_keeps_is_there_again_after_a_suspension_and_in_a_cluster_that_is_made_again(lasting: Lasting) -> None:
    """No pod is left in between, so the actor begins anew: it may restart."""
    assert "KEPT" in on_head(lasting, KEEP)
    submit = ["ray", "job", "submit", "--submission-id=kept", "--", "true"]
    lasting.kube.run("exec", lasting.head()["metadata"]["name"], "--", *submit)
    patch(lasting, suspend=True)
    # An actor never finishes: the worker would have its time to drain.
    lasting.kube.run("delete", "pods", "-l", WORKER, "--wait=false")
    eventually(lambda: lasting.cluster()["status"]["phase"] == "Suspended", within=LONG)
    patch(lasting, suspend=False)
    is_there_again(lasting)
    patch(lasting, headRecovery={"storage": {"retain": True}})
    cluster = lasting.cluster()
    eventually(lambda: not lasting.kube.list("persistentvolumeclaims")[0]["metadata"].get("ownerReferences"))
    lasting.kube.run("delete", "raycluster", NAME, "--timeout=180s")
    eventually(lambda: not lasting.kube.list("pods", "ray-cluster-name"), within=LONG)
    cluster["metadata"] = {"name": NAME}
    del cluster["status"]
    lasting.kube.apply(cluster)
    is_there_again(lasting)
