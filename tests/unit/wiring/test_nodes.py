"""The watch of nodes, as a thread of an operator: who gets a pass, and what becomes of it without the right."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any, cast

import pytest

from controller.kube.client import ApiError, Request
from controller.kube.lease import LeaseAt
from controller.kube.watch import Watcher
from controller.monitoring.routes import routes
from controller.operator import Operator, compose, compose_sharing
from controller.raycluster.model import Key
from controller.reconcile.reconciler import DONE, Reconciler, Result
from tests.fakes.leases import Leases
from tests.support.builders import NAMESPACE, raw_cluster, raw_pod
from tests.support.kube import eventually
from tests.unit.objects.test_nodes import raw_node, taint
from tests.unit.test_operator import Watched

GOING = taint("karpenter.sh/disrupted")
A, B = Key(NAMESPACE, "a"), Key(NAMESPACE, "b")


class Nodes(Watched):
    """An API server with two clusters, each with a worker on a node of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.forbidden = False
        self.lists = 0
        for name in ("a", "b"):
            self.put("rayclusters", raw_cluster(name=name))

    def place(self, name: str) -> None:
        """A worker of a cluster runs on the node of the same name."""
        pod = raw_pod({"phase": "Running"}, name=f"{name}-worker", namespace=NAMESPACE, uid=f"{name}-worker")
        pod["metadata"]["labels"]["ray-cluster-name"] = name
        pod["spec"]["nodeName"] = name
        self.put("pods", pod)

    def node(self, name: str, *taints: dict[str, Any], **metadata: Any) -> None:
        self.put("nodes", raw_node(*taints, name=name, namespace="", **metadata))

    def send(self, request: Request) -> dict[str, Any]:
        if request.resource == "nodes":
            self.lists += 1
            if self.forbidden:
                raise ApiError(403, "Forbidden", 'nodes is forbidden: cannot list resource "nodes"')
        return super().send(request)


@pytest.fixture
def api() -> Iterator[Nodes]:
    made = Nodes()
    yield made
    made.over.set()


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[Key]:
    """Over which clusters there was a pass; nothing else happens in one."""
    seen: list[Key] = []

    def reconcile(self: Reconciler, key: Key) -> Result:
        seen.append(key)
        return DONE

    monkeypatch.setattr(Reconciler, "reconcile", reconcile)
    return seen


def sharing(api: Nodes) -> Operator:
    lease = LeaseAt("ops", "one", cast("Any", Leases()))
    return compose_sharing(api, (), 1, lease, 2, nodes=True)


@pytest.fixture(params=["alone", "sharing"])
def operator(request: pytest.FixtureRequest, api: Nodes, monkeypatch: pytest.MonkeyPatch) -> Iterator[Operator]:
    """One worker, so that passes follow one another in order."""
    monkeypatch.setattr("controller.kube.partitions.FIRST_LATE_SECONDS", 0.0)
    monkeypatch.setattr("controller.kube.partition_election.LOOK_SECONDS", 0.02)
    for delay in ("FIRST", "LAST", "LONGEST"):
        monkeypatch.setattr(f"controller.kube.watch.{delay}_DELAY_SECONDS", 0.01)
    made = compose(api, (), 1, nodes=True) if request.param == "alone" else sharing(api)
    yield made
    made.stop()


def ready(operator: Operator) -> bool:
    return routes(operator.parts, ())["/readyz"]("").status == 200


def test_a_sign_brings_a_pass_over_the_clusters_there_and_a_heartbeat_brings_none(
    api: Nodes, operator: Operator, passes: list[Key]
) -> None:
    api.place("a")
    api.place("b")
    api.node("a")
    operator.start()
    eventually(lambda: ready(operator) and "nodes" in api.watched and set(passes) >= {A, B})
    passes.clear()
    api.node("a", GOING)
    eventually(lambda: passes == [A])
    for beat in range(50):
        api.node("a", GOING, annotations={"beat": str(beat)})
        api.node("c", GOING)
    api.node("b", GOING)
    eventually(lambda: passes == [A, B])
    api.node("a")
    eventually(lambda: passes == [A, B, A])


def test_no_node_is_asked_for_before_there_is_a_pod(api: Nodes, operator: Operator, passes: list[Key]) -> None:
    operator.start()
    eventually(lambda: ready(operator))
    assert api.lists == 0
    api.place("a")
    eventually(lambda: api.lists == 1)


def test_without_the_right_it_is_ready_says_so_once_and_goes_on(
    api: Nodes, operator: Operator, passes: list[Key], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO)
    api.forbidden = True
    api.place("a")
    operator.start()
    eventually(lambda: api.lists > 5)
    monkeypatch.setattr(Watcher, "failing", _failing)
    eventually(lambda: ready(operator))
    (said,) = [line for line in caplog.messages if "nodes" in line]
    assert said == (
        'cannot watch nodes: nodes is forbidden: cannot list resource "nodes"; without list and watch on nodes a '
        "worker is drained once the end of its own pod is announced, not when its node is about to be emptied; grant "
        "the rights, or set --watch-nodes=false"
    )
    assert operator.parts.health.stuck() == []
    api.forbidden = False
    eventually(lambda: "nodes" in api.watched)
    api.node("a")
    eventually(lambda: "watching nodes again" in caplog.messages)


def _failing(self: Watcher[Any]) -> tuple[float, str]:
    return (3600.0, "it fails") if self._resource == "nodes" else (0.0, "")
