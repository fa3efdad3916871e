"""RayClusters with a user's rights: what each refusal of the API server is told as."""

from __future__ import annotations

import pytest

from controller.kube.as_user import AsUser, UserError
from controller.kube.client import ApiError, Request


class Refusing:
    """Refuses everything."""

    def __init__(self, error: ApiError) -> None:
        self._error = error

    def send(self, request: Request) -> dict[str, object]:
        raise self._error


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ApiError(403, "Forbidden", "not you"), "not you; ask for the right to get rayclusters.cluster.ray.io in the"),
        (ApiError(404, "NotFound", "no such"), "there is no RayCluster a in the namespace ray; ray-operator status -A"),
        (ApiError(404, "", "404 page not found"), "kubectl apply -k manifests/crd"),
        (ApiError(401, "Unauthorized", "Unauthorized"), "does not accept the kubeconfig's credentials"),
        (ApiError(0, "NoAnswer", "https://x does not answer"), "https://x does not answer"),
    ],
)
def test_each_refusal_is_reported_with_a_remedy(error: ApiError, told: str) -> None:
    with pytest.raises(UserError) as failed:
        AsUser(Refusing(error), "ray").cluster("ray", "a")
    assert told in str(failed.value)


def test_pods_that_may_not_be_listed_are_left_out() -> None:
    assert AsUser(Refusing(ApiError(403, "Forbidden", "not you")), "ray").pods("ray", "a=b") is None
    with pytest.raises(UserError):
        AsUser(Refusing(ApiError(0, "NoAnswer", "silence")), "ray").pods("ray", "a=b")
