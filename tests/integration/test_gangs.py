"""Gangs against a real API server: the pods of each placement group carry one name and their number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any
from uuid import uuid4

import pytest

from tests.support.apiserver import ApiServer
from tests.support.groups import wait_for_groups
from tests.support.kube import eventually
from tests.support.namespace import Namespace
from tests.support.operator import OperatorProcess

NAME = "example-cluster"
GROUP, SIZE = "kueue.x-k8s.io/pod-group-name", "kueue.x-k8s.io/pod-group-total-count"


@pytest.fixture
def space(environment: Mapping[str, str]) -> Iterator[Namespace]:
    """A namespace whose heads run as soon as they are there; its workers wait."""
    made = Namespace(ApiServer(environment["KUBECONFIG"]), f"gangs-{uuid4().hex[:8]}")
    made.create()
    made.kubelet(heads_only=True)
    yield made
    made.stop()
    made.server.ask("DELETE", f"/api/v1/namespaces/{made.name}")


def cluster(example: dict[str, Any]) -> dict[str, Any]:
    """The example, without workers of its own, and with the template for Kueue."""
    example["spec"] |= {
        "maxWorkers": 20,
        "gang": {"labels": {GROUP: "$(GANG_NAME)"}, "annotations": {SIZE: "$(GANG_SIZE)"}},
    }
    example["spec"]["podTypes"][1] |= {"minWorkers": 0, "maxWorkers": 20, "rayResources": {"CPU": 1}}
    return example


def gangs(space: Namespace) -> Counter[tuple[str | None, str | None]]:
    """How many workers carry which name and number."""
    found = [pod["metadata"] for pod in space.pods("worker")]
    return Counter((m["labels"].get(GROUP), m["annotations"].get(SIZE)) for m in found)


def complete(space: Namespace) -> bool:
    """Two gangs, each with four pods that say so."""
    found = gangs(space)
    return sorted(found.values()) == [4, 4] and {size for _, size in found} == {"4"}


def test_two_placement_groups_are_two_gangs(
    space: Namespace, operator_of: OperatorProcess, example: dict[str, Any]
) -> None:
    space.make(cluster(example))
    wait_for_groups(space)
    eventually(lambda: complete(space))


def test_an_operator_that_is_killed_in_between_completes_the_same_gangs(
    space: Namespace, operator_of: OperatorProcess, example: dict[str, Any]
) -> None:
    space.make(cluster(example))
    wait_for_groups(space)
    begun = eventually(lambda: gangs(space))
    operator_of.kill()
    first = {name for name, _ in begun}
    operator_of.start()
    eventually(lambda: complete(space))
    assert {name for name, _ in gangs(space)} >= first


@pytest.fixture
def operator_of(environment: Mapping[str, str], space: Namespace) -> Iterator[OperatorProcess]:
    """The operator of the namespace."""
    process = OperatorProcess(environment, space.name)
    process.start()
    yield process
    process.stop()
    process.close()
