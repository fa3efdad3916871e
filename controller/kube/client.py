"""Raw requests to the kube-apiserver: JSON in, JSON out, errors with the server's own words.

The kubernetes package finds the configuration and authenticates; its typed models are not used, because they cost
several times more CPU per object, and its watch helper neither resumes after errors nor notices a dead peer.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlencode

import orjson
import urllib3
from kubernetes import client, config

from controller.raycluster.model import API_VERSION, PLURAL

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
_CONNECT_SECONDS = 5.0
READ_SECONDS = 30.0

# A peer that vanished without a word is noticed within half a minute, on idle watches too.
_SOCKET_OPTIONS = [
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 10),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 25_000),
]


class ApiError(Exception):
    """An answer that is no success.

    ``status`` is the HTTP status, 0 when there was no answer at all; ``retry_after`` the seconds that the server asks
    to be left alone.
    """

    def __init__(self, status: int, reason: str, message: str, retry_after: float = 0.0) -> None:
        super().__init__(f"{status} {reason}: {message}" if status else message)
        self.status = status
        self.reason = reason
        self.message = message
        self.retry_after = retry_after


class Api:
    """A connection pool to one API server, safe to use from many threads."""

    def __init__(
        self, configuration: client.Configuration, connections: int = 48, read_seconds: float = READ_SECONDS
    ) -> None:
        configuration.connection_pool_maxsize = connections
        configuration.socket_options = _SOCKET_OPTIONS
        self._configuration = configuration
        self._pool: urllib3.PoolManager = client.ApiClient(configuration).rest_client.pool_manager
        self._host = configuration.host.rstrip("/")
        self._read_seconds = read_seconds

    @classmethod
    def from_environment(cls, context: str | None = None, read_seconds: float = READ_SECONDS) -> Api:
        """In-cluster configuration where there is one, else the kubeconfig. An answer may take ``read_seconds``.

        Raises:
            kubernetes.config.ConfigException: neither is there.
        """
        configuration = client.Configuration()
        try:
            config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        except config.ConfigException:
            config.load_kube_config(  # type: ignore[no-untyped-call]
                context=context, client_configuration=configuration
            )
        return cls(configuration, read_seconds=read_seconds)

    def request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
    ) -> dict[str, Any]:
        """One request, its answer parsed.

        Raises:
            ApiError: the server refused, or did not answer in time.
        """
        response = self._send(
            method,
            path,
            query,
            body=orjson.dumps(body) if body is not None else None,
            headers={"Content-Type": content_type},
            timeout=urllib3.Timeout(connect=_CONNECT_SECONDS, read=self._read_seconds),
        )
        if response.status >= 400:
            raise _error(response, response.data)
        parsed: dict[str, Any] = _parse(response.data)
        return parsed

    def stream(self, path: str, query: Mapping[str, str], read_seconds: float) -> Iterator[dict[str, Any]]:
        """The events of a watch, until the server ends it.

        Raises:
            ApiError: the server refused, the connection broke, or a line is not JSON.
        """
        timeout = urllib3.Timeout(connect=_CONNECT_SECONDS, read=read_seconds)
        response = self._send("GET", path, query, timeout=timeout, preload_content=False)
        try:
            if response.status >= 400:
                raise _error(response, response.read())
            for line in _lines(response):
                yield _parse(line)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            self._suspect_connections()
            raise ApiError(0, "ConnectionLost", str(error)) from error
        finally:
            # A half-read stream cannot go back into the pool.
            response.close()

    def _send(self, method: str, path: str, query: Mapping[str, str] | None, **options: Any) -> Any:
        headers: dict[str, str] = {"Accept": "application/json", **options.pop("headers", {})}
        try:
            # Asked for each request: it re-reads a service account token that has been rotated.
            settings: Any = self._configuration.auth_settings()
        except (config.ConfigException, OSError) as error:
            raise ApiError(0, "NoToken", f"the service account's token cannot be read: {error}") from error
        headers |= {s["key"]: s["value"] for s in settings.values() if s["in"] == "header"}
        url = self._host + path + (f"?{urlencode(query)}" if query else "")
        try:
            return self._pool.request(method, url, headers=headers, retries=False, **options)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            self._suspect_connections()
            raise ApiError(0, "NoAnswer", f"{self._host} does not answer: {error}") from error

    def _suspect_connections(self) -> None:
        # What broke one connection may have taken the peer of every idle one too, and each of those would cost
        # a request's whole patience to find out.
        self._pool.clear()


def path_of(resource: str, namespace: str = "", name: str = "", subresource: str = "") -> str:
    """The URL path of ``rayclusters``, or of a core resource such as ``pods``."""
    base = f"/apis/{API_VERSION}" if resource == PLURAL else "/api/v1"
    parts = [f"namespaces/{quote(namespace)}" if namespace else "", resource, quote(name), subresource]
    return "/".join([base, *(part for part in parts if part)])


def _lines(response: Any) -> Iterator[bytes]:
    pending = b""
    for chunk in response.stream(65536, decode_content=True):
        *lines, pending = (pending + chunk).split(b"\n")
        yield from (line for line in lines if line.strip())


def _parse(data: bytes) -> dict[str, Any]:
    try:
        parsed = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise ApiError(0, "NotJson", f"the API server's answer is not JSON: {error}") from error
    if not isinstance(parsed, dict):
        raise ApiError(0, "NotJson", "the API server's answer is not a JSON object")
    return parsed


def _error(response: Any, data: bytes) -> ApiError:
    # A date, which HTTP allows too, is not what an API server says.
    given = response.headers.get("Retry-After", "")
    retry_after = float(given) if given.isdecimal() else 0.0
    try:
        parsed = orjson.loads(data)
        reason, message = parsed.get("reason") or "", parsed.get("message") or ""
    except (orjson.JSONDecodeError, AttributeError):
        reason, message = "", data.decode(errors="replace")[:500]
    return ApiError(response.status, reason, message, retry_after)
