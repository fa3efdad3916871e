"""Leases with the API server's optimistic concurrency."""

from __future__ import annotations

import copy
import itertools
import threading
from collections.abc import Callable
from typing import Any

from controller.kube.client import ApiError, Request


class Leases:
    """All leases of one namespace. ``fault``: called before a request is carried out; may raise ApiError.

    ``lost``: called after; may raise too, when the answer does not arrive.
    """

    def __init__(self) -> None:
        self.found: dict[str, dict[str, Any]] = {}
        self.requests: list[tuple[str, str]] = []
        self.fault: Callable[[Request], None] = lambda request: None
        self.lost: Callable[[Request], None] = lambda request: None
        self._versions = itertools.count(1)
        self._lock = threading.Lock()

    def send(self, request: Request) -> dict[str, Any]:
        """See Client."""
        assert request.resource == "leases"
        self.fault(request)
        with self._lock:
            answer = self._carried_out(request)
        self.lost(request)
        return answer

    def holder(self, name: str) -> str:
        """Who holds a lease; empty when nobody does."""
        return str(self.found.get(name, {}).get("spec", {}).get("holderIdentity", ""))

    def _carried_out(self, request: Request) -> dict[str, Any]:
        name = request.name or (request.body or {}).get("metadata", {}).get("name", "")
        self.requests.append((request.verb, name))
        known = self.found.get(name)
        if request.verb == "list":
            return {"metadata": {"resourceVersion": "1"}, "items": copy.deepcopy(list(self.found.values()))}
        if request.verb == "create" and known:
            raise ApiError(409, "AlreadyExists", "")
        if request.verb != "create" and known is None:
            raise ApiError(404, "NotFound", "")
        if request.verb == "update" and request.body["metadata"]["resourceVersion"] != _version(known):
            raise ApiError(409, "Conflict", "")
        if request.writes:
            made = copy.deepcopy(request.body)
            made["metadata"]["resourceVersion"] = str(next(self._versions))
            self.found[name] = made
        return copy.deepcopy(self.found[name])


def _version(lease: dict[str, Any] | None) -> str:
    return str(lease["metadata"]["resourceVersion"]) if lease else ""
