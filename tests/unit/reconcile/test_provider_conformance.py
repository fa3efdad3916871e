"""Both node providers keep the contract; the Kubernetes one also what only matters with pods."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from autoscaler.provider import (
    ConflictError,
    ForbiddenError,
    InvalidNodeError,
    Launch,
    NodeProvider,
    ProviderError,
    TransientError,
)
from controller.kube.client import ApiError
from controller.kube.store import Store
from controller.objects.pod import build_pod
from controller.objects.views import PodView
from controller.raycluster.model import Key, parse_spec
from controller.reconcile.pod_provider import KubernetesNodeProvider, typed
from tests.conformance.node_provider import A, NodeProviderContract, made
from tests.fakes.api import FakeApi, InlineExecutor
from tests.fakes.node_provider import InMemoryNodeProvider
from tests.support.builders import NAMESPACE, cluster

Make = Callable[[FakeApi], KubernetesNodeProvider]


def kubernetes(api: FakeApi) -> KubernetesNodeProvider:
    of = cluster()
    spec = parse_spec(of.spec)

    def body_of(launch: Launch) -> dict[str, Any]:
        return build_pod(of, spec, spec.worker_types[0], launch.name)

    pods: Store[PodView] = Store(lambda p: p.cluster, lambda key: None)
    return KubernetesNodeProvider(api, pods, of, body_of, InlineExecutor())


class TestInMemory(NodeProviderContract):
    @pytest.fixture
    def provider(self) -> NodeProvider:
        return InMemoryNodeProvider()

    @pytest.fixture
    def limited(self) -> NodeProvider:
        return InMemoryNodeProvider(quota=2)


class TestKubernetes(NodeProviderContract):
    @pytest.fixture
    def provider(self) -> NodeProvider:
        return kubernetes(FakeApi())

    @pytest.fixture
    def limited(self) -> NodeProvider:
        return kubernetes(FakeApi(pod_quota=2))


def test_a_pod_made_by_an_earlier_process_is_taken_over() -> None:
    api = FakeApi()
    (first,) = made(kubernetes(api), A)
    assert made(kubernetes(api), A) == [first]
    assert api.writes == [("POST", "pods")]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"ownerReferences": []}, id="owner"),
        pytest.param({"labels": {}}, id="label removed, so that no watch shows it"),
    ],
)
def test_a_name_taken_by_somebody_elses_pod_is_a_conflict(change: dict[str, Any]) -> None:
    api = FakeApi()
    made(kubernetes(api), A)
    pod = next(api.of("pods"))
    api.put("pods", {**pod, "metadata": {**pod["metadata"], **change}})
    (outcome,) = kubernetes(api).launch([A])
    assert isinstance(outcome.error, ConflictError)
    assert A.name in str(outcome.error)


def test_a_name_that_is_freed_while_being_looked_at_is_asked_for_again_later() -> None:
    api = FakeApi()
    made(kubernetes(api), A)
    api.refuse = lambda method, *_: ApiError(404, "NotFound", "gone") if method == "GET" else None
    (outcome,) = kubernetes(api).launch([A])
    assert isinstance(outcome.error, TransientError)


def test_a_terminated_pod_that_takes_its_time_is_deleted_only_once() -> None:
    api = FakeApi()
    provider = kubernetes(api)
    (node,) = made(provider, A)
    provider.terminate(node)
    assert api.objects["pods", NAMESPACE, A.name]["metadata"]["deletionTimestamp"]
    provider.terminate(node)
    assert api.writes.count(("DELETE", "pods")) == 1


def test_pods_of_an_earlier_cluster_of_this_name_are_not_its_nodes() -> None:
    api = FakeApi()
    provider = kubernetes(api)
    made(provider, A)
    pod = next(api.of("pods"))
    pod["metadata"]["ownerReferences"][0]["uid"] = "earlier"
    provider._pods.watched(PodView.from_object(api.put("pods", pod)), "")
    assert provider._pods.get(Key(NAMESPACE, A.name)) is not None
    assert list(provider.nodes()) == []


def test_a_refused_termination_says_why() -> None:
    api = FakeApi()
    provider = kubernetes(api)
    (node,) = made(provider, A)
    api.refuse = lambda *_: ApiError(403, "Forbidden", "pods is forbidden: no delete")
    with pytest.raises(ForbiddenError, match="no delete"):
        provider.terminate(node)
    assert list(provider.nodes()) == [node]


@pytest.mark.parametrize(
    ("status", "message", "error"),
    [
        (403, "denied by a webhook", ForbiddenError),
        (400, "bad", InvalidNodeError),
        (422, "spec.containers[0].image: Required value", InvalidNodeError),
        (404, "namespace not found", InvalidNodeError),
        (409, "Operation cannot be fulfilled on resourcequotas: the object has been modified", TransientError),
        (429, "slow down", TransientError),
        (500, "oops", TransientError),
        (0, "no answer", TransientError),
    ],
)
def test_refusals_become_typed_errors_in_the_servers_words(
    status: int, message: str, error: type[ProviderError]
) -> None:
    found = typed(ApiError(status, "", message))
    assert (type(found), str(found)) == (error, message)


def launches_of(kind: str, count: int) -> list[Launch]:
    return [Launch(f"{kind}-{number}", kind) for number in range(count)]


def test_of_a_type_that_is_refused_a_hundred_are_tried_and_of_others_all() -> None:
    api = FakeApi()
    tried: list[str] = []

    def refuse(method: str, _: str, name: str) -> ApiError | None:
        tried.append(name)
        return ApiError(403, "Forbidden", "exceeded quota: gpus") if name.startswith("refused") else None

    api.refuse = refuse
    wanted = [*launches_of("refused", 250), *launches_of("other", 3)]
    outcomes = kubernetes(api).launch(wanted)
    assert [o.launch for o in outcomes] == wanted
    assert [o.launch.node_type for o in outcomes if o.node] == ["other"] * 3
    assert {str(o.error) for o in outcomes[:250]} == {"exceeded quota: gpus"}
    assert len(tried) == 100 + 3
