"""Operators that share the RayClusters of one Kubernetes: one is killed, or their number changes, in a burst of pods.

The pods that are made are counted by a watch of the API server's, beside what each operator asked for.
"""

from __future__ import annotations

import contextlib
import copy
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import urllib3

from controller.kube.lease import LEASE_NAME
from controller.kube.partition_election import TOGETHER
from controller.kube.partitions import NAMES
from tests.support.apiserver import Request
from tests.support.kube import eventually
from tests.support.replicas import Replica, Replicas
from tests.support.sampled import one_of_each

CLUSTERS, WORKERS = 100, 10
# The lease lasts 15 s, is looked at every second and left to one that stands by for two; then everything is listed.
TAKEOVER_SECONDS = 25.0

# What they take of two cores leaves no room for another test's limits.
pytestmark = pytest.mark.xdist_group("shards")


class Tally:
    """Every Ray pod of a namespace that came or went, as the API server tells it."""

    def __init__(self, replicas: Replicas) -> None:
        self.made: Counter[str] = Counter()
        self.gone: set[str] = set()
        self._server = replicas.server
        self._path = replicas.namespace.path("pods") + "?watch=true&labelSelector=ray-cluster-name&resourceVersion="
        self._version = str(replicas.server.ask("GET", replicas.namespace.path("pods"))["metadata"]["resourceVersion"])
        self._over = threading.Event()
        replicas.closing.append(self._over.set)
        threading.Thread(target=self._count, daemon=True).start()

    def _count(self) -> None:
        """A watch that is too slow is ended by the server, and goes on where it was."""
        while not self._over.wait(1.0):
            with contextlib.suppress(urllib3.exceptions.HTTPError):
                _, lines = self._server.follow(Request.parse("GET", self._path + self._version))
                for line in lines:
                    self._read(json.loads(line))

    def _read(self, event: dict[str, Any]) -> None:
        metadata = event["object"]["metadata"]
        self._version = metadata["resourceVersion"]
        if event["type"] == "ADDED":
            self.made[metadata["labels"]["ray-node-type"]] += 1
        if event["type"] == "DELETED" or "deletionTimestamp" in metadata:
            self.gone.add(metadata["name"])


@pytest.fixture
def replicas(environment: Mapping[str, str], tmp_path: Path) -> Iterator[Replicas]:
    made = Replicas(environment, tmp_path)
    yield made
    made.stop()


def holders(replicas: Replicas) -> Counter[str]:
    """How many parts each process holds, by its identity."""
    path = f"/apis/coordination.k8s.io/v1/namespaces/{replicas.namespace.name}/leases"
    found = {
        i["metadata"]["name"]: i["spec"].get("holderIdentity", "") for i in replicas.server.ask("GET", path)["items"]
    }
    return Counter(found[name] for name in NAMES if found.get(name))


def share(replicas: Replicas, number: int) -> list[Replica]:
    """So many operators, each of which holds its share."""
    made = [replicas.start(f"--shards={number}") for _ in range(number)]
    eventually(lambda: sorted(holders(replicas).values()) == [len(NAMES) // number] * number)
    return made


def make_clusters(replicas: Replicas, example: dict[str, Any], number: int) -> list[str]:
    """Clusters of a head alone, whose heads are there."""
    worker = example["spec"]["podTypes"][1]
    worker["minWorkers"] = 0
    example["spec"]["maxWorkers"] = worker["maxWorkers"] = WORKERS
    names = [f"c{n:03d}" for n in range(number)]
    for name in names:
        cluster = copy.deepcopy(example)
        cluster["metadata"]["name"] = name
        replicas.namespace.make(cluster)
    eventually(lambda: len(replicas.namespace.pods("head")) == number, within=120)
    return names


def grow(replicas: Replicas, names: list[str]) -> None:
    """Each cluster is to have its workers."""
    for name in names:
        replicas.namespace.edit(name, ("podTypes/1/minWorkers", WORKERS))


def created(replicas: Replicas) -> list[int]:
    """The pods that each operator made."""
    return [replica.proxy.changes()["create", "pods"] for replica in replicas.made]


def all_made(replicas: Replicas, tally: Tally, clusters: int) -> None:
    """Wait until every pod is there, and see that it was made once and none is gone."""
    pods = clusters * (1 + WORKERS)
    eventually(lambda: sum(created(replicas)) >= pods and len(replicas.namespace.pods()) == pods, within=120)
    eventually(lambda: tally.made == {"head": clusters, "worker": clusters * WORKERS})
    assert sum(created(replicas)) == pods
    assert not tally.gone
    deletes = [replica.proxy.changes()["delete", "pods"] for replica in replicas.made]
    assert sum(deletes) == 0


@pytest.mark.parametrize("shards", one_of_each([[2, 4]]))
def test_one_of_several_is_killed_in_a_burst_and_every_pod_is_made_once(
    replicas: Replicas, example: dict[str, Any], shards: int
) -> None:
    """0 -> 1,000 workers in 100 clusters, SIGKILL after 300: exactly 1,000 creates, none of them twice."""
    operators = share(replicas, shards)
    tally = Tally(replicas)
    names = make_clusters(replicas, example, CLUSTERS)
    assert all(created(replicas))
    grow(replicas, names[: CLUSTERS // 2])
    eventually(lambda: tally.made["worker"] >= 300)
    operators[0].process.kill()
    killed, before = time.monotonic(), created(replicas)
    grow(replicas, names[CLUSTERS // 2 :])
    all_made(replicas, tally, CLUSTERS)
    took = time.monotonic() - killed
    print(f"{shards} shards: all pods were there {took:.1f} s after the kill, at which they had made {before}")
    print(f"in the end {created(replicas)}, the heads among them")
    eventually(lambda: len(holders(replicas)) == shards - 1)


def test_a_change_of_their_number_under_load_deletes_no_pod(replicas: Replicas, example: dict[str, Any]) -> None:
    """Two become four as in a rolling update: new ones are ready, and the old ones stop, while 1,000 pods are made."""
    old = share(replicas, 2)
    tally = Tally(replicas)
    names = make_clusters(replicas, example, CLUSTERS)
    grow(replicas, names[: CLUSTERS // 2])
    new = [replicas.start("--shards=4") for _ in range(4)]
    for number, operator in enumerate(old):
        grow(replicas, names[CLUSTERS // 2 :][number::2])
        assert operator.process.stop() == 0
    all_made(replicas, tally, CLUSTERS)
    eventually(lambda: sorted(holders(replicas).values()) == [4, 4, 4, 4])
    print(f"made by two and then by four: {created(replicas)}, the heads among them")
    # A part that changed hands a moment ago may still be listed.
    eventually(lambda: all(operator.ready() for operator in new))


def test_one_operator_becomes_two_and_two_become_one(replicas: Replicas, example: dict[str, Any]) -> None:
    """One that leads alone and those that share never write at a time; what is held together runs out by itself."""
    alone = replicas.start()
    eventually(alone.leads)
    tally = Tally(replicas)
    names = make_clusters(replicas, example, 20)
    two = [replicas.start("--shards=2") for _ in range(2)]
    grow(replicas, names[:10])
    assert all(operator.writes() == [] for operator in two)
    assert alone.process.stop() == 0
    eventually(lambda: sorted(holders(replicas).values()) == [8, 8])
    grow(replicas, names[10:15])
    eventually(lambda: tally.made["worker"] == 15 * WORKERS, within=60)
    again = replicas.start()
    grow(replicas, names[15:])
    assert again.writes() == []
    for operator in two:
        assert operator.process.stop() == 0
    stopped = time.monotonic()
    eventually(lambda: lease_holder(replicas, LEASE_NAME) not in ("", TOGETHER), within=TAKEOVER_SECONDS, promised=True)
    print(f"one led alone again {time.monotonic() - stopped:.1f} s after the last of two")
    all_made(replicas, tally, 20)


def lease_holder(replicas: Replicas, name: str) -> str:
    """Who holds one Lease."""
    path = f"/apis/coordination.k8s.io/v1/namespaces/{replicas.namespace.name}/leases/{name}"
    return str(replicas.server.ask("GET", path)["spec"].get("holderIdentity", ""))
