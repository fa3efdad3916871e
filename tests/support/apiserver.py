"""The real API server, asked directly: by the proxy for the operator, and by tests that play users and kubelets."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import urllib3
from kubernetes import client, config

MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


@dataclass(frozen=True)
class Answer:
    """What came, or is to come, back. ``cut``: only this many bytes of the body are sent before the connection ends."""

    code: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})
    cut: int | None = None

    @property
    def done(self) -> bool:
        """The server did what it was asked."""
        return self.code < 300


@dataclass(frozen=True)
class Request:
    """One request in the API's own words; ``verb`` is list, watch, get, create, update, patch or delete."""

    method: str
    target: str
    body: bytes
    content_type: str
    verb: str
    resource: str
    namespace: str
    name: str
    query: Mapping[str, str]

    @property
    def writes(self) -> bool:
        """It changes something if it is carried out."""
        return self.verb in _VERBS.values() and "dryRun" not in self.query

    @classmethod
    def parse(cls, method: str, target: str, body: bytes = b"", content_type: str = "application/json") -> Request:
        """Read a request line; paths are ``/api/v1/...`` or ``/apis/<group>/<version>/...``."""
        url = urlsplit(target)
        query = dict(parse_qsl(url.query))
        parts = url.path.strip("/").split("/")
        parts = parts[2:] if parts[0] == "api" else parts[3:]
        scoped = len(parts) > 2 and parts[0] == "namespaces"
        namespace, parts = (parts[1], parts[2:]) if scoped else ("", parts)
        resource, name, sub = (*parts, "", "", "")[:3]
        reads = "get" if name else "watch" if query.get("watch") in ("true", "1") else "list"
        resource = f"{resource}/{sub}" if sub else resource
        return cls(method, target, body, content_type, _VERBS.get(method, reads), resource, namespace, name, query)


class ApiServer:
    """The server that a kubeconfig names, as its user or as somebody that this user may impersonate."""

    def __init__(self, kubeconfig: str, impersonate: str = "") -> None:
        configuration = client.Configuration()
        config.load_kube_config(kubeconfig, client_configuration=configuration)  # type: ignore[no-untyped-call]
        configuration.connection_pool_maxsize = 64
        self._pool: urllib3.PoolManager = client.ApiClient(configuration).rest_client.pool_manager
        self._url = configuration.host.rstrip("/")
        self._headers = {"Accept": "application/json", **({"Impersonate-User": impersonate} if impersonate else {})}
        # Of a user with a token; others have a certificate.
        if token := configuration.get_api_key_with_prefix("authorization"):
            self._headers["Authorization"] = token

    def send(self, request: Request) -> Answer:
        """Carry a request out."""
        headers = {**self._headers, "Content-Type": request.content_type}
        url = self._url + request.target
        found = self._pool.request(request.method, url, body=request.body or None, headers=headers, retries=False)
        return Answer(found.status, found.data, _kept(found.headers))

    def follow(self, request: Request) -> tuple[Answer, Iterator[bytes]]:
        """Start a watch: its answer, and the lines to come if the answer is a success."""
        found = self._pool.request(
            "GET", self._url + request.target, headers=self._headers, preload_content=False, retries=False
        )
        if found.status >= 300:
            return Answer(found.status, found.read(), _kept(found.headers)), iter(())
        return Answer(found.status, b"", _kept(found.headers)), _lines(found)

    def ask(self, method: str, target: str, body: Any = None, content_type: str = "application/json") -> dict[str, Any]:
        """One request by a test.

        Raises:
            AssertionError: the server refused.
        """
        data = json.dumps(body).encode() if body is not None else b""
        answer = self.send(Request.parse(method, target, data, content_type))
        assert answer.done, f"{method} {target}: {answer.body.decode()[:300]}"
        parsed: dict[str, Any] = json.loads(answer.body)
        return parsed


def _kept(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: headers[name] for name in ("Content-Type", "Retry-After") if name in headers}


def _lines(found: Any) -> Iterator[bytes]:
    pending = b""
    try:
        for chunk in found.stream(65536):
            *lines, pending = (pending + chunk).split(b"\n")
            yield from (line for line in lines if line)
    finally:
        found.close()
