"""Two operators, one Lease: who writes when the leader is killed, paused or replaced.

Each operator talks to the API server through a proxy of its own, so that it is known whose write each one was.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support.apiserver import Answer, Request
from tests.support.kube import eventually
from tests.support.proxy import Fault
from tests.support.raycluster import on_fake_nodes
from tests.support.replicas import Replicas

TAKEOVER_SECONDS = 17.0


@pytest.fixture
def replicas(environment: Mapping[str, str], tmp_path: Path) -> Iterator[Replicas]:
    made = Replicas(environment, tmp_path)
    yield made
    made.stop()


def test_a_killed_leader_is_followed_within_17_seconds(replicas: Replicas, example: dict[str, Any]) -> None:
    """SIGKILL while a cluster waits for a new worker: the other one makes it, and nothing is made twice."""
    first = replicas.start()
    eventually(first.leads)
    second = replicas.start()
    replicas.namespace.kubelet()
    replicas.namespace.make(example)
    eventually(lambda: replicas.namespace.settled("example-cluster", 2))
    assert second.writes() == []
    killed = time.monotonic()
    first.process.kill()
    replicas.namespace.delete("pods", replicas.namespace.pods("worker")[0]["metadata"]["name"])
    eventually(second.writes, within=TAKEOVER_SECONDS, promised=True)
    print(f"the other one wrote {time.monotonic() - killed:.1f} s after the kill")
    eventually(lambda: replicas.namespace.settled("example-cluster", 2))
    assert second.proxy.changes() == {("create", "pods"): 1}


class HoldWrite(Fault):
    """The first create of a pod is on its way, and arrives when it is ``released``."""

    def __init__(self) -> None:
        self.held = threading.Event()
        self.released = threading.Event()

    def before(self, request: Request) -> Answer | None:
        """See Fault."""
        if request.writes and request.verb == "create" and request.resource == "pods" and not self.held.is_set():
            self.held.set()
            self.released.wait(240)
        return None


def test_a_paused_leader_writes_nothing_more_than_what_was_on_its_way(
    replicas: Replicas, example: dict[str, Any]
) -> None:
    """SIGSTOP for 20 s in the middle of a pass: the other one takes over, and what the first still planned is not sent.

    One pod is made at a time: the head's create is on its way during the pause, and arrives after it.
    """
    del example["spec"]["podTypes"][1:]
    hold = HoldWrite()
    first = replicas.start("--workers=1")
    eventually(first.leads)
    second = replicas.start("--workers=1")
    first.proxy.faults.append(hold)
    replicas.namespace.make(example)
    assert hold.held.wait(180)
    first.process.send(signal.SIGSTOP)
    stopped = time.monotonic()
    eventually(second.writes, within=TAKEOVER_SECONDS, promised=True)
    taken = time.monotonic() - stopped
    eventually(lambda: replicas.namespace.pods("head"))
    eventually(lambda: time.monotonic() - stopped > 20)
    before = len(first.writes())
    first.process.send(signal.SIGCONT)
    hold.released.set()
    eventually(lambda: "lost leadership" in first.process.log())
    eventually(lambda: len(first.writes()) > before)
    # Once it has read the Lease again it has had every chance to write more.
    reads = first.lease_reads()
    eventually(lambda: first.lease_reads() > reads + 1)
    late = [(r.verb, r.resource) for r in first.writes()[before:]]
    print(f"taken over after {taken:.1f} s; written by the first one after its pause: {late}")
    assert late == [("create", "pods")]
    assert len(replicas.namespace.pods()) == 1
    assert replicas.namespace.events()["CreatedPods"] == 1


class HoldAfter(Fault):
    """After so many creates of pods, further ones are on their way until they are ``released``."""

    def __init__(self, creates: int) -> None:
        self._left = creates
        self._lock = threading.Lock()
        self.reached = threading.Event()
        self.released = threading.Event()

    def before(self, request: Request) -> Answer | None:
        """See Fault."""
        if request.writes and request.verb == "create" and request.resource == "pods":
            with self._lock:
                self._left -= 1
                hold = self._left < 0
            if hold:
                self.reached.set()
                self.released.wait(240)
        return None


def test_rolling_updates_during_a_scale_up_make_every_pod_once(replicas: Replicas, example: dict[str, Any]) -> None:
    """0 -> 100 workers, and after every 30 pods the leader is ended while a new one stands by: exactly 100 creates."""
    worker = example["spec"]["podTypes"][1]
    example["spec"]["maxWorkers"] = worker["maxWorkers"] = 100
    worker["minWorkers"] = 0
    on_fake_nodes(example, "head-node", "worker-node")
    leader = replicas.start()
    replicas.namespace.make(example)
    eventually(lambda: replicas.namespace.settled("example-cluster", 0))
    holds = [HoldAfter(30), HoldAfter(30)]
    leader.proxy.faults.append(holds[0])
    replicas.namespace.edit("example-cluster", ("podTypes/1/minWorkers", 100))
    for hold, next_hold in zip(holds, [*holds[1:], None], strict=True):
        successor = replicas.start()
        successor.proxy.faults += [next_hold] if next_hold else []
        assert hold.reached.wait(180)
        leader.process.send(signal.SIGTERM)
        eventually(lambda leader=leader: "stopping" in leader.process.log())  # type: ignore[misc]
        hold.released.set()
        leader.process.stop()
        # The next one must not be quicker to take the lease.
        eventually(successor.leads)
        leader = successor
    eventually(lambda: replicas.namespace.settled("example-cluster", 100))
    made = [replica.proxy.changes()["create", "pods"] for replica in replicas.made]
    print(f"pods made by the three operators: {made}, the head among them")
    assert sum(made) == 1 + 100
    assert all(made)
    assert sum(replica.proxy.changes()["delete", "pods"] for replica in replicas.made) == 0
