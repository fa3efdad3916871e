"""A head may die, and the cluster goes on: real nodes, real Ray, and a real Redis beside them keeps its tables."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

import pytest

from tests.support.kube import Kube, eventually
from tests.support.lasting import HEAD, LONG, NAME, Lasting, delete, kill, kill_twice, lasting_cluster, outlives
from tests.support.prerequisites import local_kubernetes
from tests.support.redis_server import PASSWORD, RedisServer

SECRET = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "redis"},
    "stringData": {"password": PASSWORD},
}
OUT_OF_SERVICE = "node.kubernetes.io/out-of-service"


@pytest.fixture(scope="module")
def redis(
    environment: Mapping[str, str], local_name: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RedisServer]:
    """On this machine, outside of Kubernetes, at the address from which it reaches the API server: pods reach that."""
    if not local_name:
        pytest.skip("the pods of the current cluster do not reach this machine, on which the Redis runs")
    view = ("config", "view", "--minify", "-o", "jsonpath={.clusters[0].cluster.server}")
    server = urlsplit(Kube(environment).run(*view))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as toward:
        toward.connect((server.hostname, server.port))
        host = toward.getsockname()[0]
    made = RedisServer(tmp_path_factory.mktemp("redis"), password=PASSWORD, host=host)
    yield made
    made.stop()


@pytest.fixture(scope="module")
def lasting(environment: Mapping[str, str], redis: RedisServer) -> Iterator[Lasting]:
    store = {"address": redis.address, "passwordSecret": {"name": "redis", "key": "password"}}
    with lasting_cluster(environment, {"redis": store}, SECRET) as made:
        yield made


def said(lasting: Lasting) -> str:
    """What somebody reads in the RayCluster's status and Events."""
    return json.dumps([lasting.cluster()["status"], [e["message"] for e in lasting.kube.list("events")]])


@pytest.mark.parametrize("end", [delete, kill, kill_twice], ids=["deleted", "killed", "killed-twice"])
def test_an_actor_outlives_its_head_and_so_do_the_workers(lasting: Lasting, end: object) -> None:
    outlives(lasting, end)  # type: ignore[arg-type]


def test_a_redis_that_is_gone_is_named_and_the_cluster_goes_on_when_it_is_back(
    lasting: Lasting, redis: RedisServer
) -> None:
    """Ray ends the head within seconds; the next one says why it does not start."""
    before, head = lasting.workers(), lasting.head()["metadata"]
    redis.stop()
    went = time.monotonic()
    message = f"spec.headRecovery.redis.address: {redis.address} cannot be reached"
    eventually(lambda: message in said(lasting), within=LONG)
    print(f"the status says so {time.monotonic() - went:.1f} s after the Redis went")
    redis.start()
    print(f"the next head was ready {lasting.next_head(head['uid']):.1f} s after the Redis was back")
    lasting.count()
    assert lasting.workers() == before


@pytest.fixture
def stopped_node(lasting: Lasting, local_name: str) -> Iterator[str]:
    """The head's node fails; in the end it is back, and as before."""
    node = lasting.head()["spec"]["nodeName"]
    number = node.rpartition("-")[2]
    local_kubernetes("stop-node", "--name", local_name, number)
    yield node
    local_kubernetes("start-node", "--name", local_name, number)
    lasting.kube.run("taint", "node", node, f"{OUT_OF_SERVICE}-")
    lasting.kube.run("wait", f"node/{node}", "--for=condition=Ready", "--timeout=360s")


def test_a_head_on_a_node_that_failed_is_waited_for_until_somebody_vouches_for_its_end(
    lasting: Lasting, stopped_node: str
) -> None:
    """Two heads never write to one store: the pod may still run there, as far as Kubernetes knows."""
    before, head = lasting.workers(), lasting.kube.list("pods", HEAD)[0]["metadata"]
    began = time.monotonic()
    eventually(lambda: "WaitingForOldHead" in said(lasting), within=LONG)
    print(f"the status says what is waited for {time.monotonic() - began:.1f} s after the node failed")
    assert lasting.kube.list("pods", HEAD) == []
    lasting.kube.run("taint", "node", stopped_node, f"{OUT_OF_SERVICE}=nodeshutdown:NoExecute")
    print(f"the next head was ready {lasting.next_head(head['uid']):.1f} s after the taint")
    assert lasting.head()["spec"]["nodeName"] != stopped_node
    lasting.count()
    assert lasting.workers() == before


def test_its_keys_go_with_the_cluster(lasting: Lasting, redis: RedisServer) -> None:
    keys = f"RAY{lasting.cluster()['metadata']['uid']}@"
    assert redis.keys(keys)
    began = time.monotonic()
    lasting.kube.run("delete", "raycluster", NAME, "--timeout=180s")
    eventually(lambda: not redis.keys(keys), within=LONG)
    print(f"the keys were gone {time.monotonic() - began:.1f} s after the cluster was deleted")
    (job,) = lasting.kube.list("jobs")
    eventually(lambda: lasting.kube.get("job", job["metadata"]["name"])["status"].get("succeeded") == 1)
