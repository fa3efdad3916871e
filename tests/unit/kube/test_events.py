"""Events are said once and then counted, and one that cannot be posted holds up nothing."""

from __future__ import annotations

from typing import Any

import pytest

from controller.kube.client import ApiError, Request
from controller.kube.events import NORMAL, REPEAT_SECONDS, WARNING, Events
from tests.support.builders import NOW, NOW_TEXT, UID, cluster

Call = tuple[str, str, dict[str, Any]]


class EventApi:
    """Keeps what is posted; ``error`` is raised for the next request."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.error: ApiError | None = None

    def send(self, request: Request) -> dict[str, Any]:
        self.calls.append((request.method, request.name or request.resource, request.body))
        error, self.error = self.error, None
        if error:
            raise error
        return {}


class Said:
    """Events on an API and a clock of the test's own."""

    def __init__(self) -> None:
        self.now = NOW
        self.api = EventApi()
        self.events = Events(self.api, lambda: self.now)

    def post(self, message: str = "no room", once: str = "", kind: str = WARNING) -> None:
        self.events.post(cluster(), kind, "Unschedulable", message, once)

    @property
    def methods(self) -> list[str]:
        return [method for method, _, _ in self.api.calls]


@pytest.fixture
def said() -> Said:
    return Said()


def test_an_event_is_about_the_cluster_and_names_who_says_it(said: Said) -> None:
    said.post()
    ((method, resource, body),) = said.api.calls
    assert (method, resource) == ("POST", "events")
    assert body["involvedObject"] == {
        "apiVersion": "cluster.ray.io/v1",
        "kind": "RayCluster",
        "namespace": "ray",
        "name": "example",
        "uid": UID,
    }
    assert (body["type"], body["reason"], body["message"], body["count"]) == ("Warning", "Unschedulable", "no room", 1)
    assert body["source"] == {"component": "ray-operator"}
    assert (body["firstTimestamp"], body["lastTimestamp"]) == (NOW_TEXT, NOW_TEXT)


def test_the_same_thing_again_soon_is_not_said_and_later_it_is_counted(said: Said) -> None:
    said.post()
    said.now += REPEAT_SECONDS - 1
    said.post()
    said.now += 1
    said.post()
    (_, _, first), (method, name, news) = said.api.calls
    assert (method, name) == ("PATCH", first["metadata"]["name"])
    assert news == {"count": 2, "lastTimestamp": "2023-11-14T22:13:30Z"}


def test_other_words_other_kinds_and_other_clusters_are_other_events(said: Said) -> None:
    said.post()
    said.post("no image")
    said.post(kind=NORMAL)
    said.events.post(cluster(uid="later"), WARNING, "Unschedulable", "no room")
    assert said.methods == ["POST"] * 4
    assert len({body["metadata"]["name"] for _, _, body in said.api.calls}) == 4


def test_a_counted_event_that_the_api_server_has_forgotten_is_posted_anew_with_its_count(said: Said) -> None:
    said.post()
    said.now += 3600
    said.api.error = ApiError(404, "NotFound", "gone")
    said.post()
    assert said.methods == ["POST", "PATCH", "POST"]
    assert said.api.calls[-1][2]["count"] == 2


def test_what_is_said_once_in_a_clusters_life_has_a_name_that_every_process_gives_it(
    said: Said, caplog: pytest.LogCaptureFixture
) -> None:
    other = Said()
    said.post(once="3/head")
    said.now += 3600
    said.post("in other words", once="3/head")
    other.api.error = ApiError(409, "AlreadyExists", "there")
    with caplog.at_level("DEBUG"):
        other.post(once="3/head")
    assert said.methods == other.methods == ["POST"]
    assert said.api.calls[0][2]["metadata"]["name"] == other.api.calls[0][2]["metadata"]["name"]
    assert "could not post" not in caplog.text


def test_an_event_that_cannot_be_posted_is_only_missed(said: Said, caplog: pytest.LogCaptureFixture) -> None:
    said.api.error = ApiError(403, "Forbidden", "no")
    with caplog.at_level("DEBUG"):
        said.post()
    assert "example,ray: no room" in caplog.text
    assert "could not post the event Unschedulable: " in caplog.text


def test_a_message_is_as_long_as_the_api_server_takes(said: Said) -> None:
    said.post("x" * 5000)
    assert len(said.api.calls[0][2]["message"]) == 1024


@pytest.mark.parametrize(("status", "posts"), [(500, 2), (0, 2), (403, 1), (409, 1)])
def test_an_event_that_is_posted_once_is_posted_again_when_it_was_lost(said: Said, status: int, posts: int) -> None:
    """Not where it may not be said at all, or was said by an earlier process."""
    said.api.error = ApiError(status, "AlreadyExists" if status == 409 else "", "no")
    for _ in range(3):
        said.post(once="3/head")
    assert said.methods == ["POST"] * posts
