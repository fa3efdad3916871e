"""Lists of objects that are large: no answer of more than some megabytes is read, and no object is missed."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from kubernetes import client as kubernetes_client

from controller.kube.access import Configured
from controller.kube.client import TOO_LARGE, ApiError, HttpClient, Request
from controller.kube.pages import PAGE_BYTES, PAGE_BYTES_OF, PAGE_SIZE, pages
from controller.kube.wire import Wire
from tests.unit.fuzz.test_streams import Connection, stream


class Server:
    """Objects of some sizes, listed as an API server lists them."""

    def __init__(self, *sizes: int) -> None:
        self.sizes = sizes
        self.read: list[int] = []
        self.requests = 0

    def send(self, request: Request) -> dict[str, Any]:
        self.requests += 1
        first, limit = int(request.query.get("continue", "0")), int(request.query["limit"])
        found = self.sizes[first : first + limit]
        if request.max_bytes and sum(found) > request.max_bytes:
            raise ApiError(0, TOO_LARGE, "too large")
        self.read.append(sum(found))
        left = first + limit < len(self.sizes)
        metadata = {"resourceVersion": "9", **({"continue": str(first + limit)} if left else {})}
        return {"items": [{"number": first + n} for n in range(len(found))], "metadata": metadata}


def listed(server: Server, resource: str = "pods") -> list[int]:
    return [item["number"] for page in pages(server, Request("list", resource)) for item in page["items"]]


@pytest.mark.parametrize(("resource", "requests"), [("pods", 4), ("rayclusters", 22), ("nodes", 11)])
def test_pages_of_ordinary_objects_become_as_long_as_they_may_be(resource: str, requests: int) -> None:
    """The first RayClusters come 25 at a time, and later ones 100: one may have 1.5 MB."""
    server = Server(*[2_000] * 4 * PAGE_SIZE)
    assert listed(server, resource) == list(range(4 * PAGE_SIZE))
    assert server.requests == requests


@pytest.mark.parametrize("size", [16_000, 50_000, 400_000])
def test_where_all_objects_are_large_few_pages_are_read_in_vain(size: int) -> None:
    """A page that is thrown away costs the API server as much as one that is read."""
    server = Server(*[size] * 3_000)
    assert listed(server) == list(range(3_000))
    least = 3_000 * size / PAGE_BYTES
    assert len(server.read) < 2 * least
    assert server.requests - len(server.read) < 0.25 * least + 2


@pytest.mark.parametrize("resource", ["pods", "rayclusters"])
@pytest.mark.parametrize("first", [0, 7, 300])
def test_no_page_is_read_that_is_too_large_and_after_large_objects_pages_grow_again(resource: str, first: int) -> None:
    sizes = [1_500_000 if first <= n < first + 40 else 2_000 for n in range(2_000)]
    server = Server(*sizes)
    assert listed(server, resource) == list(range(2_000))
    assert max(server.read) <= PAGE_BYTES_OF.get(resource, PAGE_BYTES)
    assert server.requests < 150


def test_one_object_alone_is_read_whatever_its_size() -> None:
    server = Server(10, 12 * 2**20, 10)
    assert listed(server) == [0, 1, 2]


def test_any_other_refusal_is_no_reason_for_smaller_pages() -> None:
    class Gone(Server):
        def send(self, request: Request) -> dict[str, Any]:
            raise ApiError(410, "Expired", "the continue token is too old")

    with pytest.raises(ApiError, match="too old"):
        listed(Gone())


class Endless(Connection):
    """An answer whose end never comes, and how much of it has been read."""

    sent = 0
    closed = False

    def recv(self, size: int, /) -> bytes:
        if not self.sent:
            self.sent = 1
            return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        self.sent += 1000
        return b"3e8\r\n" + b" " * 1000 + b"\r\n"

    def close(self) -> None:
        self.closed = True


class Answering(HttpClient):
    """A server whose answer comes by one connection."""

    def __init__(self, wire: Wire) -> None:
        super().__init__(Configured(kubernetes_client.Configuration(host="http://127.0.0.1:1")))
        self.wire = wire

    def _asked(self, request: Request, read_seconds: float) -> Wire:
        return self.wire


def test_an_answer_that_is_too_large_is_not_read_to_its_end() -> None:
    connection = Endless(b"", Random(1))
    with pytest.raises(ApiError) as refused:
        Answering(Wire(connection)).send(Request("list", "pods", max_bytes=10_000))
    assert refused.value.reason == TOO_LARGE
    assert connection.sent < 20_000 and connection.closed


def test_an_answer_that_is_as_large_as_it_may_be_is_read() -> None:
    wire = stream(b'{"a": 1}', Random(1), "complete")
    assert Answering(wire).send(Request("list", "pods", max_bytes=8)) == {"a": 1}
