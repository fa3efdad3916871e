"""HTTP/1.1 with an API server, over connections that urllib3 makes and that httptools reads.

The standard library reads headers with its parser for mail, and urllib3 wraps each answer in several objects: together
most of what a request costs. Connecting, with certificates, proxies and socket options, stays with urllib3.
"""

from __future__ import annotations

import select
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import httptools
import urllib3

_RECEIVED = 65536
# The server's own headers have a few hundred bytes; proxies add some.
MAX_HEAD_BYTES = 65536


class WireError(OSError):
    """The answer is not HTTP/1.1, or ends before it is complete."""


class Socket(Protocol):
    """What is needed of a socket."""

    def sendall(self, data: bytes, /) -> None: ...
    def recv(self, size: int, /) -> bytes: ...
    def settimeout(self, seconds: float | None, /) -> None: ...
    def close(self) -> None: ...
    def fileno(self) -> int: ...


@dataclass(frozen=True)
class Answer:
    """``headers``: their names in lower case. ``body``: piece by piece, as it comes; OSError when it breaks off.

    ``persistent``: after all of the body the connection can carry another exchange.
    """

    status: int
    headers: Mapping[str, str]
    persistent: bool
    body: Iterator[bytes]


def written(method: str, target: str, headers: Mapping[str, str], body: bytes | None) -> bytes:
    """A request as it is sent. ``target``: path and query, quoted."""
    length = {} if body is None else {"Content-Length": str(len(body))}
    lines = [f"{name}: {value}\r\n" for name, value in {**headers, **length}.items()]
    return f"{method} {target} HTTP/1.1\r\n{''.join(lines)}\r\n".encode("latin-1") + (body or b"")


class _Reader:
    """Reads the answers of one connection, one after the other. The public methods are httptools' callbacks."""

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self.begin()

    def begin(self) -> None:
        """Read another answer."""
        self.headers: dict[str, str] = {}
        self.pieces: list[bytes] = []
        self.status = 0
        self.is_persistent = self.is_complete = False

    def feed(self, data: bytes) -> None:
        """Read what was received; nothing when the connection has ended.

        Raises:
            WireError: it is no answer, or the answer is not complete.
        """
        if data:
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserError as error:
                raise WireError(f"not an answer of HTTP/1.1: {error.__context__ or error}") from error
        elif self.status and not self.headers.keys() & {"content-length", "transfer-encoding"}:
            self.is_complete = True
        else:
            raise WireError("the connection ended before the answer was complete")

    def on_message_begin(self) -> None:
        if self.is_complete:
            raise WireError("more than one answer came")
        self.headers.clear()

    def on_header(self, name: bytes, value: bytes) -> None:
        # Not those after the body.
        if not self.status:
            self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        # Those of 1xx come before the answer.
        self.status = status if status >= 200 else 0
        self.is_persistent = self._parser.should_keep_alive()

    def on_body(self, body: bytes) -> None:
        self.pieces.append(body)

    def on_message_complete(self) -> None:
        self.is_complete = self.status > 0


class Wire:
    """One connection. It carries one exchange at a time: ``ask``, then ``answer`` and all of its body."""

    def __init__(self, sock: Socket) -> None:
        self._sock = sock
        self._reader = _Reader()

    def ask(self, request: bytes, read_seconds: float) -> None:
        """Send a request. ``read_seconds``: the longest silence to wait through for its answer.

        Raises:
            OSError: the connection broke.
        """
        self._sock.settimeout(read_seconds)
        self._sock.sendall(request)

    def answer(self) -> Answer:
        """The beginning of the answer.

        Raises:
            OSError: the connection broke, or what comes is no answer.
        """
        reader, received = self._reader, 0
        reader.begin()
        while not reader.status:
            if received > MAX_HEAD_BYTES:
                raise WireError("the headers of an answer do not end")
            data = self._sock.recv(_RECEIVED)
            received += len(data)
            reader.feed(data)
        return Answer(reader.status, reader.headers, reader.is_persistent, self._body())

    def _body(self) -> Iterator[bytes]:
        reader = self._reader
        while True:
            pieces, reader.pieces = reader.pieces, []
            yield from pieces
            if reader.is_complete:
                return
            reader.feed(self._sock.recv(_RECEIVED))

    def is_idle(self) -> bool:
        """Nothing has come since the last answer: not even the end of the connection."""
        poll = select.poll()
        poll.register(self._sock.fileno(), select.POLLIN)
        return not poll.poll(0)

    def close(self) -> None:
        """End it."""
        self._sock.close()


class Wires:
    """Connections to one server that wait for their next exchange. Safe to use from many threads."""

    def __init__(self, pools: urllib3.PoolManager, host: str, most: int, connect_seconds: float) -> None:
        # urllib3 has no public way to a connection without a request on it; these two methods are those of all 2.x.
        self._pool: Any = pools.connection_from_url(host)
        self._most = most
        self._connect_seconds = connect_seconds
        self._idle: list[Wire] = []
        weakref.finalize(self, _close, self._idle)
        # A proxy for plain HTTP is told the server in each request.
        self.prefix = host if self._pool.proxy and self._pool.scheme == "http" else ""

    def ask(self, request: bytes, read_seconds: float) -> Wire:
        """Send a request over a connection that works as far as can be known, a new one if need be.

        Raises:
            OSError, urllib3.exceptions.HTTPError: there is none to be had, or it broke.
        """
        wire = self._take()
        try:
            wire.ask(request, read_seconds)
        except OSError:
            wire.close()
            raise
        return wire

    def _take(self) -> Wire:
        while self._idle:
            try:
                wire = self._idle.pop()
            except IndexError:
                break
            if wire.is_idle():
                return wire
            wire.close()
        made = self._pool._new_conn()
        made.timeout = self._connect_seconds
        # What urllib3 does before the first request on a connection.
        if self._pool.proxy and self._pool.scheme == "https":
            self._pool._prepare_proxy(made)
        else:
            made.connect()
        return Wire(made.sock)

    def give_back(self, wire: Wire) -> None:
        """It has carried a whole exchange, and can carry another one."""
        if len(self._idle) < self._most:
            self._idle.append(wire)
        else:
            wire.close()

    def clear(self) -> None:
        """Use none of those that wait."""
        _close(self._idle)


def _close(wires: list[Wire]) -> None:
    while wires:
        try:
            wires.pop().close()
        except IndexError:
            # Another thread was faster.
            return
