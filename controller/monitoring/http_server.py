"""What the operator serves: metrics, health and a status page. Nothing here accepts anything but GET and HEAD.

Any client that reaches the port may connect, so everything is bounded: connections at a time, the seconds that one may
last, the size of a request. Nothing a client sends is more than looked up. When all connections are taken, the oldest
of those that have not finished their request makes room: clients that connect and stay silent never keep probes out.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer
from typing import Any

log = logging.getLogger(__name__)

MAX_CONNECTIONS = 32
MAX_SECONDS = 10.0
TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True)
class Reply:
    """What is answered."""

    body: bytes
    content_type: str = TEXT
    status: int = 200


# From the request's Accept header to an answer.
Route = Callable[[str], Reply]


@dataclass(frozen=True)
class Tls:
    """The files of the server's certificate and key, PEM. They are read again when they change."""

    certificate: Path
    key: Path


class Server:
    """Serves ``routes`` (path -> answer) at ``host`` (empty: everywhere) and ``port`` (0: any that is free).

    Raises:
        OSError: the address cannot be had.
        ssl.SSLError: certificate and key do not fit, or are none.
    """

    def __init__(self, host: str, port: int, routes: Mapping[str, Route], tls: Tls | None = None) -> None:
        self._server = _BoundedServer(host, port, routes, _Certificates(tls) if tls else None)
        self._thread = threading.Thread(target=self._server.serve_forever, name="http", daemon=True)

    @property
    def port(self) -> int:
        """Where it listens."""
        number: int = self._server.server_address[1]
        return number

    def start(self) -> None:
        """Serve until ``stop``."""
        self._thread.start()

    def stop(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()


class _BoundedServer(ThreadingHTTPServer):
    daemon_threads = True
    # A client that is slow to go away must not hold up the end.
    block_on_close = False

    def __init__(self, host: str, port: int, routes: Mapping[str, Route], certificates: _Certificates | None) -> None:
        # Every address, of both kinds where there are both.
        host = host or ("::" if socket.has_dualstack_ipv6() else "")
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.routes = routes
        self._certificates = certificates
        self._lock = threading.Lock()
        # Open connections, and since when, the oldest first; and those of them whose request is being answered.
        self._open: dict[Any, float] = {}
        self._answering: set[Any] = set()
        super().__init__((host, port), _Handler)

    def server_bind(self) -> None:
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        # Not HTTPServer's: that one asks DNS for the host's name.
        TCPServer.server_bind(self)

    def get_request(self) -> tuple[Any, Any]:
        connection, address = self.socket.accept()
        connection.settimeout(MAX_SECONDS)
        if self._certificates:
            # The handshake comes with the first read, in the connection's own thread.
            context = self._certificates.context()
            connection = context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return connection, address

    def verify_request(self, request: Any, client_address: Any) -> bool:
        with self._lock:
            if len(self._open) >= MAX_CONNECTIONS:
                leaving = next((c for c in self._open if c not in self._answering), None)
                if leaving is None:
                    return False
                self._open.pop(leaving)
                _hang_up(leaving)
            self._open[request] = time.monotonic()
            return True

    def answering(self, request: Any) -> None:
        """The connection's request is complete: it keeps its place until it has its answer."""
        with self._lock:
            if request in self._open:
                self._answering.add(request)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._open.pop(request, None)
            self._answering.discard(request)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """Called twice a second: end what has lasted too long, at whatever pace it trickles."""
        oldest = time.monotonic() - MAX_SECONDS
        with self._lock:
            late = [connection for connection, since in self._open.items() if since < oldest]
        for connection in late:
            _hang_up(connection)

    def handle_error(self, request: Any, client_address: Any) -> None:
        # Clients go away, or speak no TLS: nothing that needs attention.
        log.debug("a connection to the metrics port failed", exc_info=True)


def _hang_up(connection: Any) -> None:
    """End a connection; the thread that reads from it comes to its end."""
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    server: _BoundedServer
    server_version, sys_version = "ray-operator", ""

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def _answer(self, with_body: bool) -> None:
        self.server.answering(self.connection)
        reply = self._reply()
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.content_type)
        self.send_header("Content-Length", str(len(reply.body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        # The page has styles and nothing else: whatever name finds its way into it cannot run.
        self.send_header(
            "Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
        )
        self.end_headers()
        if with_body:
            self.wfile.write(reply.body)

    def _reply(self) -> Reply:
        route = self.server.routes.get(self.path.partition("?")[0])
        if route is None:
            return Reply(f"nothing here; there are {', '.join(self.server.routes)}\n".encode(), status=404)
        try:
            return route(self.headers.get("Accept", ""))
        except Exception:
            log.exception("serving %s failed", self.path.partition("?")[0])
            return Reply(b"the operator failed to answer; its log says why\n", status=500)

    def log_message(self, *_: Any) -> None:
        """Probes and scrapes come every few seconds: they are not news."""


class _Certificates:
    """A TLS context that follows its files: certificates are renewed while the operator runs."""

    def __init__(self, tls: Tls) -> None:
        self._tls = tls
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._read = 0.0
        self.context()

    def context(self) -> ssl.SSLContext:
        newest = max(file.stat().st_mtime for file in (self._tls.certificate, self._tls.key))
        if newest != self._read:
            self._context.load_cert_chain(self._tls.certificate, self._tls.key)
            self._read = newest
        return self._context
