"""Nodes that are being emptied, against a real API server and scheduler; KWOK plays their kubelets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.support.account import as_service_account
from tests.support.apiserver import MERGE, ApiServer
from tests.support.chart import one, render
from tests.support.kube import Kube, eventually
from tests.support.namespace import Namespace
from tests.support.operator import OperatorProcess
from tests.support.sampled import one_of_each

NAME = "example-cluster"
SPOT = {"key": "aws-node-termination-handler/spot-itn", "value": "event", "effect": "NoSchedule"}
DRAIN_BY = "cluster.ray.io/drain-by"
PREEMPTION = 2


@dataclass
class Pool:
    """Nodes that take only the pods of one test."""

    server: ApiServer
    name: str = field(default_factory=lambda: f"pool-{uuid4().hex[:8]}")
    nodes: list[str] = field(default_factory=list)

    @property
    def taint(self) -> dict[str, str]:
        """What keeps other pods off."""
        return {"key": self.name, "effect": "NoSchedule"}

    def add(self, count: int) -> None:
        """More nodes, each for ten workers."""
        size = {"cpu": "64", "memory": "256Gi", "pods": "10"}
        for _ in range(count):
            self.nodes.append(f"{self.name}-{len(self.nodes)}")
            annotations, labels = {"kwok.x-k8s.io/node": "fake"}, {"pool": self.name}
            metadata = {"name": self.nodes[-1], "annotations": annotations, "labels": labels}
            status = {"capacity": size, "allocatable": size}
            self.server.ask("POST", "/api/v1/nodes", {"metadata": metadata, "spec": self.tainted(), "status": status})

    def tainted(self, *more: dict[str, str]) -> dict[str, Any]:
        """A node's spec."""
        return {"taints": [self.taint, *more]}

    def take_back(self, nodes: list[str]) -> None:
        """The cloud announces that these go."""
        for node in nodes:
            self.server.ask("PATCH", f"/api/v1/nodes/{node}", {"spec": self.tainted(SPOT)}, MERGE)

    def remove(self) -> None:
        """All of them."""
        for node in self.nodes:
            self.server.ask("DELETE", f"/api/v1/nodes/{node}")


@pytest.fixture
def pool(environment: Mapping[str, str]) -> Iterator[Pool]:
    made = Pool(ApiServer(environment["KUBECONFIG"]))
    yield made
    made.remove()


@pytest.fixture
def space(environment: Mapping[str, str]) -> Iterator[Namespace]:
    """A namespace whose heads run as soon as they are there; its workers run on nodes."""
    made = Namespace(ApiServer(environment["KUBECONFIG"]), f"emptied-{uuid4().hex[:8]}")
    made.create()
    made.linger(True)
    made.kubelet(heads_only=True)
    yield made
    made.stop()
    made.server.ask("DELETE", f"/api/v1/namespaces/{made.name}")


def in_pool(example: dict[str, Any], pool: Pool, workers: int) -> dict[str, Any]:
    """The example with so many workers, which run on the nodes of a pool."""
    worker = example["spec"]["podTypes"][1]
    worker |= {"minWorkers": workers, "maxWorkers": 3 * workers}
    example["spec"]["maxWorkers"] = 3 * workers
    spec = worker["podConfig"]["spec"]
    spec |= {"nodeSelector": {"pool": pool.name}, "tolerations": [{"key": pool.name, "operator": "Exists"}]}
    spec["containers"][0]["resources"] = {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"memory": "1Gi"}}
    return example


def uids(pods: list[dict[str, Any]]) -> set[str]:
    return {pod["metadata"]["uid"] for pod in pods}


def test_a_hundred_workers_are_drained_and_replaced_before_they_have_gone(
    environment: Mapping[str, str], space: Namespace, pool: Pool, example: dict[str, Any]
) -> None:
    """Ten nodes are taken back at once. Each worker is told once, and gets one replacement, on another node."""
    operator = OperatorProcess(environment, space.name)
    operator.start(None, "--watch-nodes")
    try:
        pool.add(10)
        space.make(in_pool(example, pool, 100))
        eventually(lambda: space.settled(NAME, 100), within=240)
        old = uids(space.pods("worker"))
        pool.add(10)
        gone = pool.nodes[:10]
        pool.take_back(gone)

        def replaced() -> bool:
            pods = space.pods("worker")
            told = [p for p in pods if DRAIN_BY in p["metadata"]["annotations"]]
            return len(pods) == 200 and uids(told) == old and len(head.drained) == 100

        (head,) = space.heads()
        eventually(replaced, within=110, promised=True)
        new = [p for p in space.pods("worker") if p["metadata"]["uid"] not in old]
        assert len({node_id for node_id, _, _ in head.drained}) == 100
        assert {reason for _, reason, _ in head.drained} == {PREEMPTION}
        space.linger(False)
        eventually(lambda: uids(space.pods("worker")) == uids(new), within=240)
        eventually(lambda: {p["spec"].get("nodeName") for p in space.pods("worker")} == set(pool.nodes[10:]))
        assert len(head.drained) == 100
    finally:
        operator.stop()
        operator.close()


def test_a_taint_that_is_gone_before_the_drain_costs_no_worker(
    environment: Mapping[str, str], space: Namespace, pool: Pool, example: dict[str, Any]
) -> None:
    """It came and went while no operator was there."""
    operator = OperatorProcess(environment, space.name)
    operator.start(None, "--watch-nodes")
    try:
        pool.add(2)
        space.make(in_pool(example, pool, 2))
        eventually(lambda: space.settled(NAME, 2))
        before = uids(space.pods("worker"))
        operator.kill()
        pool.take_back(pool.nodes)
        for node in pool.nodes:
            pool.server.ask("PATCH", f"/api/v1/nodes/{node}", {"spec": pool.tainted()}, MERGE)
        operator.start(None, "--watch-nodes")
        space.edit(NAME, ("podTypes/1/minWorkers", 3))
        eventually(lambda: space.settled(NAME, 3))
        assert uids(space.pods("worker")) > before
        assert space.heads()[0].drained == []
    finally:
        operator.stop()
        operator.close()


@pytest.mark.parametrize("verb", one_of_each([["list", "watch"]]))
def test_without_a_right_to_nodes_the_log_says_so_once_and_all_else_works(
    environment: Mapping[str, str], space: Namespace, example: dict[str, Any], verb: str, tmp_path: Path
) -> None:
    """The chart's other rules are there, and one verb on nodes."""
    kube = Kube(environment, space.name)
    kube.run("create", "serviceaccount", "operator")
    role = one(render(environment, "any", "operatorOnly=true"), "ClusterRole", "ray-operator-clusterrole")
    rules = [rule for rule in role["rules"] if rule["resources"] != ["nodes"]]
    other = next(v for v in ("list", "watch") if v != verb)
    granted = [*rules, {"apiGroups": [""], "resources": ["nodes"], "verbs": [other]}]
    grant(kube, granted)
    operator = OperatorProcess(as_service_account(kube, "operator", tmp_path), space.name)
    operator.start(None, "--watch-nodes")
    space.linger(False)
    try:
        for pod_type in example["spec"]["podTypes"]:
            pod_type["minWorkers"] = 0
        space.make(example)
        eventually(lambda: space.settled(NAME, 0))
        complaint = f'cannot {verb} resource "nodes"'
        eventually(lambda: complaint in operator.log())
        grant(kube, role["rules"])
        eventually(lambda: "watching nodes again" in operator.log(), within=150)
        assert operator.log().count(complaint) == 1
    finally:
        operator.stop()
        operator.close()
        kube.run("delete", "clusterrole,clusterrolebinding", space.name)


def grant(kube: Kube, rules: list[dict[str, Any]]) -> None:
    """The operator's account of a namespace may do this everywhere."""
    common = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": kube.namespace}}
    subject = {"kind": "ServiceAccount", "name": "operator", "namespace": kube.namespace}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": kube.namespace}
    kube.apply(
        {**common, "kind": "ClusterRole", "rules": rules},
        {**common, "kind": "ClusterRoleBinding", "subjects": [subject], "roleRef": reference},
    )
