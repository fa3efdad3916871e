"""A kube-apiserver that fails on demand: plain HTTP in, the real server behind it, faults in between.

A test gives the proxy's kubeconfig to the operator and scripts what goes wrong by ``Fault`` objects, whose hooks see
every request, answer and watch event. Every request that reached the server is in ``requests`` with its code.

Connections are served by a thread each. With ``serial`` writes are carried out one at a time, so that "after the k-th
write" has one meaning.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeVar

from .apiserver import Answer, ApiServer, Request

Event = bytes
F = TypeVar("F", bound="Fault")
# What nobody waits for any more gives up its thread in the end.
FROZEN_SECONDS = 300.0


class Cut(Exception):  # noqa: N818 - not an error, an order
    """Raised by a hook: close the connection without another byte."""


class Frozen(Exception):  # noqa: N818
    """Raised by a hook: keep the connection open and never send another byte, as a peer that is gone would."""


class Fault:
    """What goes wrong. Hooks run on the connections' threads; each may raise Cut or Frozen."""

    def before(self, request: Request) -> Answer | None:
        """An answer in the server's place: the request is then not carried out."""

    def answered(self, request: Request, answer: Answer) -> Answer:
        """The server has carried the request out; what to forward as its answer."""
        return answer

    def forwarded(self, request: Request, answer: Answer) -> None:
        """The answer has been sent."""

    def event(self, stream: Stream, event: Event) -> list[Event]:
        """What to forward of a watch when the server sent this line. May block to hold the stream back."""
        return [event]


class Stream:
    """One watch on its way to the operator."""

    def __init__(self, request: Request, handler: _Handler) -> None:
        self.request = request
        self._handler = handler
        self._lock = threading.Lock()
        self._ended = False

    def send(self, event: Event) -> None:
        """Forward a line, whatever it is."""
        self._write(b"%x\r\n%b\n\r\n" % (len(event) + 1, event))

    def end(self) -> None:
        """As the server ends a watch whose time is over."""
        self._write(b"0\r\n\r\n")
        self._ended = True
        self._handler.hang_up()

    def _write(self, data: bytes) -> None:
        with self._lock:
            if not self._ended:
                self._handler.write(data)


class Proxy:
    """Listens on a port of loopback from ``start`` to ``stop``."""

    def __init__(self, server: ApiServer, folder: Path, *, serial: bool = False) -> None:
        self.server = server
        self.faults: list[Fault] = []
        self.requests: list[tuple[Request, int]] = []
        self.refused = 0
        self.down = False
        self.streams: set[Stream] = set()
        self.handlers: set[_Handler] = set()
        self.writing: contextlib.AbstractContextManager[Any] = threading.Lock() if serial else contextlib.nullcontext()
        self.stopped = threading.Event()
        self._http = _Server(self)
        port = self._http.server_address[1]
        self.kubeconfig = folder / f"proxy-{port}.json"
        self.kubeconfig.write_text(json.dumps(_kubeconfig(port)))

    def start(self) -> None:
        """Serve."""
        threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """Close everything."""
        self.stopped.set()
        self._http.shutdown()
        self._http.server_close()
        self.cut()

    @contextlib.contextmanager
    def fault(self, fault: F) -> Iterator[F]:
        """Have something go wrong for a while."""
        self.faults.append(fault)
        try:
            yield fault
        finally:
            self.faults.remove(fault)

    def count(self, wanted: Callable[[Request], bool]) -> int:
        """How many such requests the server carried out."""
        return sum(wanted(request) for request, code in list(self.requests) if code < 300)

    def changes(self) -> Counter[tuple[str, str]]:
        """CREATEs and DELETEs carried out, per resource; Events are told apart from work."""
        done = (r for r, code in list(self.requests) if code < 300 and r.writes and r.resource != "events")
        return Counter((r.verb, r.resource) for r in done if r.verb in ("create", "delete"))

    def cut(self) -> None:
        """End every connection there is, and whatever is still on its way through."""
        for handler in list(self.handlers):
            handler.fate = Cut
            handler.hang_up()
        self.streams.clear()

    def freeze(self) -> None:
        """Every connection there is stays open and dead. New ones work."""
        for handler in list(self.handlers):
            handler.fate = Frozen
        self.streams.clear()

    def interject(self, event: Event, resource: str) -> int:
        """Send a line on every open watch of a resource. Returns how many there are."""
        streams = [s for s in list(self.streams) if s.request.resource == resource]
        for stream in streams:
            stream.send(event)
        return len(streams)

    def end_streams(self) -> None:
        """As a server that shuts down in good order."""
        for stream in list(self.streams):
            stream.end()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, proxy: Proxy) -> None:
        self.proxy = proxy
        super().__init__(("127.0.0.1", 0), _Handler)

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Refuse connections while the API server is to be down."""
        self.proxy.refused += self.proxy.down
        return not self.proxy.down

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.fate: type[Exception] | None = None
        self.proxy = self.server.proxy
        self.proxy.handlers.add(self)

    def finish(self) -> None:
        self.proxy.handlers.discard(self)
        with contextlib.suppress(OSError):
            super().finish()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """The proxy keeps its own record."""

    def hang_up(self) -> None:
        """Close the connection, from any thread."""
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def write(self, data: bytes) -> None:
        """Send bytes, unless the connection's fate is another."""
        self._obey()
        self.wfile.write(data)

    def _obey(self) -> None:
        if self.fate:
            raise self.fate

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length) if length else b""
        request = Request.parse(self.command, self.path, body, self.headers.get("Content-Type") or "application/json")
        try:
            if request.verb == "watch":
                self._watch(request)
            elif request.writes:
                with self.proxy.writing:
                    self._pass(request)
            else:
                self._pass(request)
        except (Cut, OSError):
            self.close_connection = True
        except Frozen:
            self.close_connection = True
            self.proxy.stopped.wait(FROZEN_SECONDS)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815 - names of the base class

    def _pass(self, request: Request) -> None:
        answer = self._before(request)
        if answer is None:
            answer = self.proxy.server.send(request)
            self.proxy.requests.append((request, answer.code))
            for fault in list(self.proxy.faults):
                answer = fault.answered(request, answer)
        self._answer(answer)
        for fault in list(self.proxy.faults):
            fault.forwarded(request, answer)

    def _before(self, request: Request) -> Answer | None:
        self._obey()
        answers = (fault.before(request) for fault in list(self.proxy.faults))
        return next((answer for answer in answers if answer), None)

    def _answer(self, answer: Answer) -> None:
        self._obey()
        self.send_response(answer.code)
        for name, value in {**answer.headers, "Content-Length": str(len(answer.body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.write(answer.body[: answer.cut])
        if answer.cut is not None:
            raise Cut

    def _watch(self, request: Request) -> None:
        answer = self._before(request)
        lines: Iterator[bytes] = iter(())
        if answer is None:
            answer, lines = self.proxy.server.follow(request)
            self.proxy.requests.append((request, answer.code))
        if not answer.done:
            return self._answer(answer)
        self.send_response(answer.code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        stream = Stream(request, self)
        self.proxy.streams.add(stream)
        try:
            self._forward(stream, lines)
        finally:
            self.proxy.streams.discard(stream)

    def _forward(self, stream: Stream, lines: Iterator[bytes]) -> None:
        for line in lines:
            self._obey()
            events = [line]
            for fault in list(self.proxy.faults):
                events = [forwarded for event in events for forwarded in fault.event(stream, event)]
            for event in events:
                stream.send(event)
        stream.end()


def _kubeconfig(port: int) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "proxy", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "users": [{"name": "nobody", "user": {}}],
        "contexts": [{"name": "proxy", "context": {"cluster": "proxy", "user": "nobody"}}],
        "current-context": "proxy",
    }
