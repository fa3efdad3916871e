"""A refusal with 409 or 422 is not taken for a pod that is gone: an admission webhook may choose any code."""

from __future__ import annotations

import pytest

from autoscaler.provider import TransientError
from controller.kube.client import ApiError
from controller.objects.labels import HEAD_UID_ANNOTATION, WORKER
from tests.conformance.node_provider import A, made
from tests.fakes.api import FakeApi
from tests.support.builders import NAMESPACE, raw_spec
from tests.support.world import World, well
from tests.unit.reconcile.test_provider_conformance import kubernetes

DENIED = 'admission webhook "pdb.example.com" denied the request: try later'


def deny(world: FakeApi, method: str, resource: str, code: int) -> None:
    """The webhook refuses requests of this kind."""
    error = ApiError(code, "Conflict", DENIED)
    world.refuse = lambda m, r, _: error if (m, r) == (method, resource) else None


def test_a_deletion_that_a_webhook_refuses_with_a_conflict_has_not_happened() -> None:
    api = FakeApi()
    provider = kubernetes(api)
    (node,) = made(provider, A)
    deny(api, "DELETE", "pods", 409)
    with pytest.raises(TransientError, match="try later"):
        provider.terminate(node)
    assert list(provider.nodes()) == [node]
    api.refuse = lambda *_: None
    provider.terminate(node)
    assert list(provider.nodes()) == []


@pytest.mark.parametrize("gone", [True, False], ids=["no pod has the name", "another pod has the name"])
def test_a_deletion_that_meets_a_conflict_for_a_pod_that_is_gone_is_done(gone: bool) -> None:
    api = FakeApi()
    provider = kubernetes(api)
    (node,) = made(provider, A)
    api.remove("pods", NAMESPACE, A.name)
    if not gone:
        made(kubernetes(api), A)
    provider.terminate(node)
    assert list(provider.nodes()) == []


def test_workers_that_a_webhook_keeps_for_a_while_are_replaced_once_it_agrees() -> None:
    world = well(raw_spec(2))
    before = {p["metadata"]["uid"] for p in world.api.of("pods")}
    deny(world.api, "DELETE", "pods", 409)
    start = ["ray start --address=$RAY_HEAD_IP:6379 --num-cpus=1"]
    world.user(raw_spec(2, workerStartRayCommands=start))
    world.turns(12)
    world.api.refuse = lambda *_: None
    world.settle()
    after = {p["metadata"]["uid"] for p in world.api.of("pods")}
    assert len(after & before) == 1, "the head alone stays"


@pytest.mark.parametrize("code", [409, 422])
def test_a_head_that_cannot_be_told_to_workers_is_told_later_and_less_and_less_often(code: int) -> None:
    world = World(raw_spec(1))
    deny(world.api, "PATCH", "pods", code)
    world.turns(3)
    assert world.step().retry
    assert ("try later" in world.condition("Ready")["message"]) == (code == 422)
    world.api.refuse = lambda *_: None
    world.turns(3)
    assert world.pod(WORKER)["metadata"]["annotations"][HEAD_UID_ANNOTATION]


def test_a_status_that_a_webhook_refuses_with_a_conflict_is_written_later() -> None:
    world = World(raw_spec(0))
    deny(world.api, "PATCH", "rayclusters", 409)
    with pytest.raises(ApiError, match="try later"):
        world.step()
