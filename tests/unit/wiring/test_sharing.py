"""Operators that share the clusters, as threads against an API server and leases in memory: what each of them sees."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pytest

from controller.kube.client import Request
from controller.kube.lease import LEASE_NAME, LeaseAt
from controller.kube.partitions import NAMES, PARTITIONS, partition_of
from controller.monitoring.routes import routes
from controller.operator import compose_sharing
from controller.raycluster.model import Key
from controller.status.read import PHASES
from tests.fakes.leases import Leases
from tests.support.builders import NAMESPACE, raw_cluster
from tests.support.kube import eventually
from tests.unit.test_operator import Watched

CLUSTERS = [f"cluster-{n}" for n in range(12)]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Turns follow one another at once, and what is free is not left to others."""
    monkeypatch.setattr("controller.kube.partition_election.LOOK_SECONDS", 0.02)
    monkeypatch.setattr("controller.kube.partitions.FIRST_LATE_SECONDS", 3600.0)
    monkeypatch.setattr("controller.kube.partitions.LATE_SECONDS", 0.5)


@pytest.fixture
def api() -> Iterator[Watched]:
    made = Watched()
    for name in CLUSTERS:
        made.put("rayclusters", raw_cluster(name=name))
    yield made
    made.over.set()


class Sharing:
    """One operator, started and stopped, and what it holds."""

    def __init__(self, api: Watched, leases: Leases, name: str, shards: int = 2) -> None:
        self.name = name
        self.leases = leases
        self.operator = compose_sharing(api, (), 2, LeaseAt("ops", name, cast("Any", leases)), shards)
        self.parts = self.operator.parts
        self.routes = routes(self.parts, ())

    def __enter__(self) -> Sharing:
        self.operator.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.operator.stop()

    def holds(self) -> set[int]:
        return {part for part, name in enumerate(NAMES) if self.leases.holder(name) == self.name}

    def own(self) -> set[str]:
        """The clusters of the parts that it holds."""
        return {name for name in CLUSTERS if partition_of(Key(NAMESPACE, name)) in self.holds()}

    def knows(self) -> set[str]:
        """The clusters in its store, and those of the pods there."""
        pods = {pod.cluster.name for pod in self.parts.stores.pods.all()}
        return pods | {cluster.key.name for cluster in self.parts.stores.clusters.all()}

    def value(self, name: str, **labels: str) -> float | None:
        return self.parts.metrics.registry.get_sample_value(f"ray_operator_{name}", labels)

    def is_ready(self) -> bool:
        return self.routes["/readyz"]("").status == 200


def made(api: Watched, names: set[str]) -> bool:
    """Head and workers of these clusters are there."""
    return all(sum(pod.startswith(f"{name}-") for pod in api.names("pods")) == 3 for name in names)


def test_each_keeps_and_runs_the_clusters_of_its_parts_alone(api: Watched) -> None:
    leases = Leases()
    with Sharing(api, leases, "a") as first, Sharing(api, leases, "b") as second:
        eventually(lambda: made(api, set(CLUSTERS)))
        assert len(first.holds()) == len(second.holds()) == PARTITIONS // 2
        assert first.own() and second.own()
        for operator in (first, second):
            eventually(lambda operator=operator: operator.knows() == operator.own())  # type: ignore[misc]
            eventually(operator.is_ready)
            assert operator.value("leader") == 1
            assert sum(operator.value("part_leader", part=str(p)) or 0 for p in range(PARTITIONS)) == PARTITIONS // 2
            assert sum(operator.value("clusters", phase=phase) or 0 for phase in PHASES) == len(operator.own())
    assert len(api.names("pods")) == len(set(api.names("pods"))) == 3 * len(CLUSTERS)
    assert [leases.holder(name) for name in NAMES] == [""] * PARTITIONS


def test_what_one_gives_up_the_other_lists_and_runs(api: Watched) -> None:
    """Stopped in order: nothing is made twice, and the other's store has everything then."""
    leases = Leases()
    with Sharing(api, leases, "a") as first:
        with Sharing(api, leases, "b"):
            eventually(lambda: made(api, set(CLUSTERS)))
        written = len(api.writes)
        eventually(lambda: first.knows() == set(CLUSTERS))
        eventually(first.is_ready)
        api.put("rayclusters", raw_cluster(name="later"))
        eventually(lambda: made(api, {"later"}))
        assert [w for w in api.writes[written:] if w[1] == "pods"] == [("POST", "pods")] * 3
    assert len(api.names("pods")) == 3 * (len(CLUSTERS) + 1)


def test_one_that_stands_by_is_ready_and_watches_nothing(api: Watched) -> None:
    leases = Leases()
    with Sharing(api, leases, "a"), Sharing(api, leases, "b"):
        eventually(lambda: made(api, set(CLUSTERS)))
        with Sharing(api, leases, "c") as third:
            eventually(third.is_ready)
            assert (third.holds(), third.knows(), third.value("leader")) == (set(), set(), 0)
            assert third.parts.health.stuck() == []


def test_before_the_leases_are_known_it_is_not_ready(api: Watched) -> None:
    found = Sharing(api, Leases(), "a").routes["/readyz"]("")
    assert (found.status, found.body) == (503, b"not everything is listed yet: the leases of the other operators\n")


def test_while_one_leads_alone_those_that_share_write_nothing(api: Watched) -> None:
    leases = Leases()
    body = {"metadata": {"name": LEASE_NAME}, "spec": {"holderIdentity": "alone", "leaseDurationSeconds": 15}}
    leases.send(Request("create", "leases", "ops", body=body))
    with Sharing(api, leases, "a") as first:
        eventually(lambda: sum(verb == "list" for verb, _ in leases.requests) > 10)
        assert (first.holds(), api.writes, leases.holder(LEASE_NAME)) == (set(), [], "alone")
        eventually(first.is_ready)
