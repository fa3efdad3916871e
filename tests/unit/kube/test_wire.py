"""HTTP/1.1 as it comes from a server: whole, cut, in pieces of any size; and connections that are used again."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from kubernetes import client

from controller.kube.access import Configured
from controller.kube.client import ApiError, HttpClient, Request
from controller.kube.wire import MAX_HEAD_BYTES, Wire, WireError, written

LONG = b"x" * 100_000
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
ANSWERS = {
    "length": (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, b"hello", True),
    "empty": (b"HTTP/1.1 201 Created\r\ncontent-length:0\r\n\r\n", 201, b"", True),
    "closes": (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi", 200, b"hi", False),
    "old": (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", 200, b"hi", False),
    "until the end": (b"HTTP/1.1 500 Oh no\r\n\r\nwhat it says", 500, b"what it says", False),
    "chunks": (CHUNKED + b"5\r\nhello\r\n1;a=b\r\n!\r\n0\r\n\r\n", 200, b"hello!", True),
    "trailers": (CHUNKED + b"A\r\n0123456789\r\n0\r\nX-Sum: 1\r\n\r\n", 200, b"0123456789", True),
    "no reason": (b"HTTP/1.1 404\r\nContent-Length: 2\r\n\r\n{}", 404, b"{}", True),
    "goes on first": (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", 200, b"hi", True),
}
BROKEN = {
    "nothing": b"",
    "headers cut": b"HTTP/1.1 200 OK\r\nContent-Le",
    "body cut": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
    "chunk cut": CHUNKED + b"5\r\nhel",
    "end of chunks cut": CHUNKED + b"5\r\nhello\r\n",
    "trailers cut": CHUNKED + b"0\r\n",
    "chunk too long": CHUNKED + b"5\r\nhello!\r\n0\r\n\r\n",
    "length is no number": b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello",
    "size is no number": CHUNKED + b"five\r\nhello\r\n0\r\n\r\n",
    "another protocol": b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
    "status is no number": b"HTTP/1.1 abc\r\n\r\n",
    "headers without end": b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * MAX_HEAD_BYTES,
    "line without end": CHUNKED + LONG,
}


class Played(socket.socket):
    """A socket that receives what it is given, in pieces of one size, and then the end."""

    def __init__(self, data: bytes, size: int) -> None:
        super().__init__()
        self._data = data
        self._size = size

    def recv(self, size: int, /, flags: int = 0) -> bytes:
        count = min(size, self._size)
        piece, self._data = self._data[:count], self._data[count:]
        return piece


@pytest.mark.parametrize("size", [1, 2, 7, 100_000])
@pytest.mark.parametrize("case", ANSWERS)
def test_an_answer_is_read_in_pieces_of_any_size(case: str, size: int) -> None:
    data, status, body, persistent = ANSWERS[case]
    with Played(data, size) as played:
        answer = Wire(played).answer()
        assert (answer.status, b"".join(answer.body), answer.persistent) == (status, body, persistent)


@pytest.mark.parametrize("size", [5, 100_000])
@pytest.mark.parametrize("case", BROKEN)
def test_what_is_no_whole_answer_is_an_error(case: str, size: int) -> None:
    with Played(BROKEN[case], size) as played, pytest.raises(WireError):
        b"".join(Wire(played).answer().body)


def test_a_connection_carries_one_answer_after_the_other() -> None:
    """What comes unasked would be taken for the next answer: the connection is of no more use."""
    first, second = ANSWERS["chunks"][0], ANSWERS["length"][0]
    with Played(first + second, len(first)) as played:
        wire = Wire(played)
        assert [b"".join(wire.answer().body) for _ in range(2)] == [b"hello!", b"hello"]
    with Played(first + second, 100_000) as played, pytest.raises(WireError, match="more than one answer"):
        b"".join(Wire(played).answer().body)


def test_a_request_says_how_long_its_body_is() -> None:
    assert written("GET", "/a?b=c", {"Host": "h"}, None) == b"GET /a?b=c HTTP/1.1\r\nHost: h\r\n\r\n"
    assert written("POST", "/a", {}, b"{}") == b"POST /a HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}"


class Handler(BaseHTTPRequestHandler):
    """Answers with what it was asked; ends the connection after an answer, or within one, as the path says."""

    protocol_version = "HTTP/1.1"

    def handle_any(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        body = b'{"port": %d}' % self.client_address[1]
        self.send_response(429 if "refused" in self.path else 200)
        self.send_header("Content-Length", str(len(body) + ("cut" in self.path)))
        self.send_header("Retry-After", "7")
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = "cut" in self.path or "last" in self.path

    do_GET = do_POST = handle_any  # noqa: N815

    def log_message(self, *args: Any) -> None:
        """Nothing."""


@pytest.fixture
def connected() -> Iterator[HttpClient]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        configuration = client.Configuration()
        configuration.host = f"http://127.0.0.1:{server.server_port}"
        yield HttpClient(Configured(configuration), read_seconds=20)
        server.shutdown()


def port(connected: HttpClient, name: str, body: Any = None) -> int:
    return int(connected.send(Request("create" if body else "get", "pods", "ray", name, body=body))["port"])


def test_one_connection_carries_one_request_after_the_other(connected: HttpClient) -> None:
    assert len({port(connected, "a", body) for body in (None, {"a": 1}, b"{}", None)}) == 1


@pytest.mark.parametrize("name", ["cut", "last"])
def test_a_connection_that_has_ended_is_not_used_again(connected: HttpClient, name: str) -> None:
    before = port(connected, "a")
    try:
        assert port(connected, name) == before
    except ApiError as error:
        assert name == "cut" and (error.status, error.reason) == (0, "NoAnswer")
    assert port(connected, "a") != before


def test_a_refusal_is_an_error_with_the_time_to_wait_and_costs_no_connection(connected: HttpClient) -> None:
    before = port(connected, "a")
    with pytest.raises(ApiError) as found:
        port(connected, "refused")
    assert (found.value.status, found.value.retry_after) == (429, 7.0)
    assert port(connected, "a") == before
