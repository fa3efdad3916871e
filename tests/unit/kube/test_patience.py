"""A server that asks to be left alone for some seconds is left alone."""

from __future__ import annotations

from typing import Any

import pytest

from controller.kube.client import ApiError, Request
from controller.kube.patience import LONGEST_SECONDS, PatientClient

POST = Request("create", "pods", "busy", body={})


class Server:
    """Answers everything, or everything with one error. ``asked``: the namespaces of what reached it."""

    def __init__(self) -> None:
        self.error: ApiError | None = None
        self.asked: list[str] = []

    def send(self, request: Request) -> dict[str, Any]:
        self.asked.append(request.namespace)
        if self.error:
            raise self.error
        return {}


class Asked:
    def __init__(self, retry_after: float) -> None:
        self.now, self.server = 100.0, Server()
        self.client = PatientClient(self.server, lambda: self.now)
        self.server.error = ApiError(429, "TooManyRequests", "slow down", retry_after)
        with pytest.raises(ApiError):
            self.client.send(POST)
        self.server.error = None
        self.server.asked.clear()


@pytest.mark.parametrize("seconds", [1.0, 10.0, 1e9, float("inf")])
def test_nothing_is_sent_about_the_namespace_for_so_long_a_minute_at_most(seconds: float) -> None:
    asked = Asked(seconds)
    least = min(seconds, LONGEST_SECONDS)
    for at in (0.0, least / 2, least - 0.1):
        asked.now = 100 + at
        with pytest.raises(ApiError, match="slow down") as raised:
            asked.client.send(POST)
        assert raised.value.status == 429
        assert raised.value.retry_after == pytest.approx(least - at)
    assert asked.server.asked == []
    asked.now = 100 + least
    asked.client.send(POST)
    assert asked.server.asked == ["busy"]


def test_other_namespaces_do_not_wait() -> None:
    asked = Asked(30.0)
    asked.client.send(Request("create", "pods", "other", body={}))
    assert asked.server.asked == ["other"]


def test_an_error_without_the_wish_closes_nothing() -> None:
    asked = Asked(0.0)
    asked.client.send(POST)
    assert asked.server.asked == ["busy"]
