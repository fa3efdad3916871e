"""A cluster is made again under its name while some of the earlier one is still there."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support.apiserver import JSON_PATCH
from tests.support.kube import eventually
from tests.support.namespace import Namespace
from tests.support.stage import NAME, Stage, made, up

SERVICE = f"{NAME}-ray-head"


@pytest.fixture
def stage(environment: Mapping[str, str], tmp_path: Path) -> Stage:
    return Stage(environment, tmp_path)


def keep(space: Namespace, resource: str, name: str) -> None:
    """Whatever deletes the object, it stays for the time being."""
    patch = [{"op": "add", "path": "/metadata/finalizers", "value": ["example.com/keep"]}]
    space.server.ask("PATCH", space.path(resource, name), patch, JSON_PATCH)


def let_go(space: Namespace, resource: str, name: str) -> None:
    """It may go now."""
    patch = [{"op": "remove", "path": "/metadata/finalizers"}]
    space.server.ask("PATCH", space.path(resource, name), patch, JSON_PATCH)


def delete(space: Namespace, policy: str) -> None:
    """As kubectl delete does with ``--cascade``."""
    space.server.ask("DELETE", f"{space.path('rayclusters', NAME)}?propagationPolicy={policy}")


def gone(space: Namespace) -> bool:
    """The RayCluster is not there any more, not even on its way out."""
    return not space.server.ask("GET", space.path("rayclusters"))["items"]


def says(space: Namespace, reason: str, words: str) -> bool:
    """The cluster is not ready, and says why."""
    ready = space.condition(NAME, "Ready")
    return bool(ready) and (ready["status"], ready["reason"]) == ("False", reason) and words in ready["message"]


def test_a_service_of_the_earlier_cluster_is_named_and_its_end_noticed(stage: Stage, example: dict[str, Any]) -> None:
    with stage:
        up(stage, example)
        keep(stage.space, "services", SERVICE)
        delete(stage.space, "Background")
        # The garbage collector of a Kubernetes that has just started learns of new kinds within half a minute.
        eventually(lambda: gone(stage.space) and not stage.space.pods(), within=120)
        stage.space.make(copy.deepcopy(example))
        eventually(lambda: says(stage.space, "Waiting", f"{SERVICE} from before this cluster is still being deleted"))
        let_go(stage.space, "services", SERVICE)
        eventually(lambda: stage.space.settled(NAME, 2))
        assert stage.proxy.changes() == made(3) + made(3)


def test_nothing_is_made_for_a_cluster_that_waits_for_its_pods_to_go(stage: Stage, example: dict[str, Any]) -> None:
    """Deleted in the foreground, it is there until the last of them has gone; and it is even edited."""
    with stage:
        up(stage, example)
        worker = stage.space.pods("worker")[0]["metadata"]["name"]
        keep(stage.space, "pods", worker)
        delete(stage.space, "Foreground")
        eventually(lambda: not stage.space.pods())
        stage.space.edit(NAME, ("podTypes/1/minWorkers", 3))
        let_go(stage.space, "pods", worker)
        eventually(lambda: gone(stage.space))
        stage.space.make(copy.deepcopy(example))
        eventually(lambda: stage.space.settled(NAME, 2))
        assert stage.proxy.changes() == made(3) + made(3)


def test_what_a_user_left_behind_on_purpose_is_named_and_not_touched(stage: Stage, example: dict[str, Any]) -> None:
    """The earlier cluster's pods and Service have no owner any more: only a person can say whose they are."""
    with stage:
        up(stage, example)
        left = {p["metadata"]["name"] for p in stage.space.pods()}
        delete(stage.space, "Orphan")
        eventually(lambda: gone(stage.space))
        stage.space.make(copy.deepcopy(example))
        eventually(lambda: says(stage.space, "Refused", f"{SERVICE} exists and is not this cluster's"))
        eventually(lambda: len(stage.space.pods()) == 6)
        assert left < {p["metadata"]["name"] for p in stage.space.pods()}
        for name in left:
            stage.space.delete("pods", name)
        stage.space.delete("services", SERVICE)
        eventually(lambda: stage.space.settled(NAME, 2))
        assert stage.proxy.changes() == made(3) + made(3)
