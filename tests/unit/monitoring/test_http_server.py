"""What the operator's port answers, and whom it does not wait for."""

from __future__ import annotations

import http.client
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from controller.monitoring import http_server as module
from controller.monitoring.http_server import Reply, Server, Tls
from tests.support.kube import eventually


def fail(_: str) -> Reply:
    raise RuntimeError("a defect")


ROUTES = {"/": lambda accept: Reply(f"accepts {accept}".encode()), "/fails": fail}


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server("127.0.0.1", 0, ROUTES)
    made.start()
    yield made
    made.stop()


def ask(server: Server, method: str = "GET", path: str = "/", body: bytes | None = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.request(method, path, body, {"Accept": "text/html"})
    answer = connection.getresponse()
    connection.close()
    return answer.status, answer.read()


def test_known_paths_are_answered_and_others_named(server: Server) -> None:
    assert ask(server) == (200, b"accepts text/html")
    assert ask(server, path="/?x=1") == (200, b"accepts text/html")
    assert ask(server, "HEAD") == (200, b"")
    assert ask(server, path="/../etc/passwd") == (404, b"nothing here; there are /, /fails\n")


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
def test_nothing_is_taken(server: Server, method: str) -> None:
    assert ask(server, method, body=b"{}")[0] == 501


def test_a_defect_is_an_answer_too_and_is_logged(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    assert ask(server, path="/fails")[0] == 500
    assert "a defect" in caplog.text
    assert ask(server)[0] == 200


def test_a_page_may_run_nothing(server: Server) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.request("GET", "/")
    headers = connection.getresponse().headers
    connection.close()
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert (headers["X-Content-Type-Options"], headers["Cache-Control"]) == ("nosniff", "no-store")
    assert headers["Server"].strip() == "ray-operator"


def idle(server: Server) -> socket.socket:
    """A client that connects and says nothing."""
    return socket.create_connection(("127.0.0.1", server.port), timeout=10)


def test_clients_that_trickle_are_ended(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = [idle(server), idle(server)]
    for client in slow:
        client.sendall(b"GET / HT")
    eventually(lambda: len(server._server._open) == 2)
    monkeypatch.setattr(module, "MAX_SECONDS", 0.0)
    assert [client.recv(1) for client in slow] == [b"", b""]
    monkeypatch.setattr(module, "MAX_SECONDS", 10.0)
    eventually(lambda: not server._server._open)
    assert ask(server)[0] == 200
    for client in slow:
        client.close()


def test_the_oldest_silent_client_makes_room_for_a_probe(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_CONNECTIONS", 2)
    oldest = idle(server)
    eventually(lambda: len(server._server._open) == 1)
    second = idle(server)
    eventually(lambda: len(server._server._open) == 2)
    assert ask(server)[0] == 200
    assert oldest.recv(1) == b""
    second.sendall(b"GET / HTTP/1.0\r\n\r\n")
    assert second.recv(8) == b"HTTP/1.0"
    oldest.close()
    second.close()


def test_silent_clients_beyond_all_limits_keep_no_probe_out(server: Server) -> None:
    silent = [idle(server) for _ in range(4 * module.MAX_CONNECTIONS)]
    assert [ask(server)[0] for _ in range(16)] == [200] * 16
    assert len(server._server._open) <= module.MAX_CONNECTIONS
    for client in silent:
        client.close()


def test_a_request_that_is_being_answered_keeps_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_CONNECTIONS", 1)
    asked, answer = threading.Event(), threading.Event()

    def slow(_: str) -> Reply:
        asked.set()
        answer.wait(10)
        return Reply(b"at last")

    server = Server("127.0.0.1", 0, {"/": slow})
    server.start()
    try:
        first = idle(server)
        first.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert asked.wait(10)
        refused = idle(server)
        assert refused.recv(1) == b""
        answer.set()
        assert first.recv(8) == b"HTTP/1.0"
        first.close()
        refused.close()
    finally:
        server.stop()


def certificate(directory: Path, name: str) -> Tls:
    """A certificate for loopback and its key."""
    tls = Tls(directory / "tls.crt", directory / "tls.key")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    files = ["-out", str(tls.certificate), "-keyout", str(tls.key)]
    subject = ["-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "1"]
    subprocess.run([*command, *files, *subject], check=True, capture_output=True)
    return tls


def name_served(server: Server, ca: Path) -> str:
    """The common name of the certificate that a client that trusts ``ca`` meets, having been answered."""
    context = ssl.create_default_context(cafile=str(ca))
    connection = http.client.HTTPSConnection("127.0.0.1", server.port, timeout=60, context=context)
    connection.request("GET", "/")
    assert connection.sock
    found: str = dict(pair[0] for pair in connection.sock.getpeercert()["subject"])["commonName"]  # type: ignore
    assert connection.getresponse().status == 200
    connection.close()
    return found


def test_tls_follows_its_files_and_plain_http_gets_nothing(tmp_path: Path) -> None:
    tls = certificate(tmp_path, "first")
    server = Server("127.0.0.1", 0, ROUTES, tls)
    server.start()
    try:
        assert name_served(server, tls.certificate) == "first"
        certificate(tmp_path, "second")
        assert name_served(server, tls.certificate) == "second"
        with pytest.raises((http.client.HTTPException, OSError)):
            ask(server)
        silent = idle(server)
        assert name_served(server, tls.certificate) == "second"
        silent.close()
    finally:
        server.stop()


def test_files_that_are_no_certificate_are_an_error_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"tls\.crt"):
        Server("127.0.0.1", 0, ROUTES, Tls(tmp_path / "tls.crt", tmp_path / "tls.key"))
