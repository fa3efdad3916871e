"""Raw requests to the kube-apiserver: JSON in, JSON out, errors with the server's own words.

The kubernetes package reads kubeconfigs; its typed models are not used, because they cost several times more CPU per
object, and its watch helper neither resumes after errors nor notices a dead peer.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any, Literal, Protocol
from urllib.parse import quote, urlencode, urlsplit

import orjson
import urllib3

from controller.raycluster.model import API_VERSION, PLURAL

from .access import Access, AccessError, by_kubeconfig, in_cluster
from .decode import decode
from .wire import Answer, Wire, Wires, written

Verb = Literal["get", "list", "watch", "create", "update", "patch", "delete"]

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
# What an answer is to be: the object, or its metadata alone where the server can leave the rest out.
WHOLE = "application/json"
# The reason of an answer that is longer than the request allows.
TOO_LARGE = "TooLarge"
METADATA_ONLY = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1, application/json"
_CONNECT_SECONDS = 5.0
READ_SECONDS = 30.0
# etcd takes objects of 1.5 MB; what is ten times as long is no event.
MAX_EVENT_BYTES = 16 * 2**20
# Resources outside the core group -> their group and version.
_GROUPS = {PLURAL: API_VERSION, "leases": "coordination.k8s.io/v1", "jobs": "batch/v1"}
_METHODS: Mapping[Verb, str] = {"create": "POST", "update": "PUT", "patch": "PATCH", "delete": "DELETE"}

# The API server derives from it the manager that managedFields name for this process's writes.
_USER_AGENT = f"python-urllib3/{metadata.version('urllib3')}"
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


@dataclass(frozen=True)
class Request:
    """One request to the API server, in its own terms: a verb, what it is about, and what goes with it.

    ``resource``: the plural (``pods``). ``namespace``: empty for all namespaces. ``name``: empty for a collection.
    ``group``: with its version, where it is not that of the operator's own resource of this name. ``body``: a value, or
    bytes that are JSON already. ``accept``: WHOLE or METADATA_ONLY. ``max_bytes``: of the answer; 0 for any number.
    """

    verb: Verb
    resource: str
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    query: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    content_type: str = "application/json"
    group: str = ""
    accept: str = WHOLE
    max_bytes: int = 0

    @property
    def method(self) -> str:
        """The HTTP method."""
        return _METHODS.get(self.verb, "GET")

    @property
    def writes(self) -> bool:
        """Whether it asks for a change."""
        return self.verb in _METHODS

    @property
    def full_resource(self) -> str:
        """The resource with its subresource, as RBAC names it: ``pods``, ``rayclusters/status``."""
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource

    @property
    def path(self) -> str:
        """The URL path."""
        group = self.group or _GROUPS.get(self.resource)
        base = f"/apis/{group}" if group else "/api/v1"
        namespace = f"namespaces/{quote(self.namespace)}" if self.namespace else ""
        parts = (namespace, self.resource, quote(self.name), self.subresource)
        return "/".join([base, *(part for part in parts if part)])


class Client(Protocol):
    """What sends requests to the API server."""

    def send(self, request: Request) -> dict[str, Any]:
        """The parsed answer.

        Raises:
            ApiError: the server refused, or did not answer in time.
        """


class WatchClient(Client, Protocol):
    """A client that can also keep a watch open."""

    def watch(self, request: Request, read_seconds: float) -> Iterator[dict[str, Any]]:
        """The events of a watch, until the server ends it. ``read_seconds``: the longest silence to wait through.

        Raises:
            ApiError: the server refused, the connection broke, or a line is not JSON.
        """


class HttpClient:
    """A connection pool to one API server, safe to use from many threads. A WatchClient."""

    def __init__(self, access: Access, connections: int = 48, read_seconds: float = READ_SECONDS) -> None:
        self._access = access
        self._host = access.host
        pools = access.pools(connections, _SOCKET_OPTIONS)
        self._wires = Wires(pools, self._host, connections, _CONNECT_SECONDS)
        self._authority = urlsplit(self._host).netloc
        self._read_seconds = read_seconds

    @classmethod
    def from_environment(cls, context: str | None = None, read_seconds: float = READ_SECONDS) -> HttpClient:
        """As the pod that this runs in, else by the kubeconfig. An answer may take ``read_seconds``.

        Raises:
            kubernetes.config.ConfigException: neither is there.
        """
        try:
            access = in_cluster()
        except AccessError:
            access = by_kubeconfig(context)
        return cls(access, read_seconds=read_seconds)

    def send(self, request: Request) -> dict[str, Any]:
        """See Client."""
        wire = self._asked(request, self._read_seconds)
        try:
            answer = wire.answer()
            data = _whole(answer.body, request.max_bytes)
        except ApiError:
            wire.close()
            raise
        except OSError as error:
            # What is left of an answer would be taken for the beginning of the next one.
            wire.close()
            raise self._no_answer(error) from error
        if answer.persistent:
            self._wires.give_back(wire)
        else:
            wire.close()
        if answer.status >= 400:
            raise _error(answer, data)
        return _parse(data)

    def watch(self, request: Request, read_seconds: float) -> Iterator[dict[str, Any]]:
        """See WatchClient."""
        wire = self._asked(request, read_seconds)
        try:
            answer = wire.answer()
            if answer.status >= 400:
                raise _error(answer, b"".join(answer.body))
            for line in _lines(answer.body):
                yield _parse(line)
        except OSError as error:
            self._wires.clear()
            raise ApiError(0, "ConnectionLost", str(error)) from error
        finally:
            wire.close()

    def _asked(self, request: Request, read_seconds: float) -> Wire:
        """A connection on which the request has been sent."""
        target = request.path + (f"?{urlencode(request.query)}" if request.query else "")
        body = _written(request.body)
        data = written(request.method, self._wires.prefix + target, self._headers(request, body), body)
        try:
            return self._wires.ask(data, read_seconds)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise self._no_answer(error) from error

    def _headers(self, request: Request, body: bytes | None) -> dict[str, str]:
        try:
            # Asked for each request: a token may have been renewed.
            credentials = self._access.headers()
        except (AccessError, OSError) as error:
            raise ApiError(0, "NoToken", f"the service account's token cannot be read: {error}") from error
        headers = {"Host": self._authority, "User-Agent": _USER_AGENT, "Accept": request.accept}
        if body is not None:
            headers["Content-Type"] = request.content_type
        return {**headers, **credentials}

    def _no_answer(self, error: Exception) -> ApiError:
        # What broke one connection may have taken the peer of every idle one too, and each of those would cost
        # a request's whole patience to find out.
        self._wires.clear()
        return ApiError(0, "NoAnswer", f"{self._host} does not answer: {error}")


def _written(body: Any) -> bytes | None:
    return body if body is None or isinstance(body, bytes) else orjson.dumps(body)


def _lines(body: Iterator[bytes]) -> Iterator[bytes]:
    pending = b""
    for piece in body:
        *lines, pending = (pending + piece).split(b"\n")
        yield from (line for line in lines if line.strip())
        if len(pending) > MAX_EVENT_BYTES:
            raise ApiError(0, "NotJson", f"an event of a watch is longer than {MAX_EVENT_BYTES} bytes")


def _whole(body: Iterator[bytes], max_bytes: int) -> bytes:
    if not max_bytes:
        return b"".join(body)
    pieces, size = [], 0
    for piece in body:
        pieces.append(piece)
        size += len(piece)
        if size > max_bytes:
            raise ApiError(0, TOO_LARGE, f"the answer has more than {max_bytes} bytes")
    return b"".join(pieces)


def _parse(data: bytes) -> dict[str, Any]:
    try:
        parsed = decode(data)
    except orjson.JSONDecodeError as error:
        raise ApiError(0, "NotJson", f"the API server's answer is not JSON: {error}") from error
    if not isinstance(parsed, dict):
        raise ApiError(0, "NotJson", "the API server's answer is not a JSON object")
    return parsed


def _error(answer: Answer, data: bytes) -> ApiError:
    # A date, which HTTP allows too, is not what an API server says.
    given = answer.headers.get("retry-after", "")
    retry_after = float(given) if given.isdecimal() else 0.0
    try:
        parsed = orjson.loads(data)
        reason, message = parsed.get("reason") or "", parsed.get("message") or ""
    except (orjson.JSONDecodeError, AttributeError):
        reason, message = "", data.decode(errors="replace")[:500]
    return ApiError(answer.status, reason, message, retry_after)
