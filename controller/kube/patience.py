"""Leaves an API server alone for as long as it asks for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from .client import ApiError, Client, Request

# No server is left alone for longer, whatever it says.
LONGEST_SECONDS = 60.0


class PatientClient:
    """``client``, which after an answer with a Retry-After sends nothing about that namespace for as long: requests
    raise the same ApiError meanwhile. Other namespaces do not wait: a webhook of one may have said so.
    """

    def __init__(self, client: Client, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._clock = clock
        self._lock = threading.Lock()
        # Namespace -> until when nothing is sent, and the answer that asked for it.
        self._closed: dict[str, tuple[float, ApiError]] = {}

    def send(self, request: Request) -> dict[str, Any]:
        """See Client."""
        self._wait_over(request.namespace)
        try:
            return self._client.send(request)
        except ApiError as error:
            if error.retry_after > 0:
                with self._lock:
                    until = self._clock() + min(error.retry_after, LONGEST_SECONDS)
                    self._closed[request.namespace] = (until, error)
            raise

    def _wait_over(self, namespace: str) -> None:
        with self._lock:
            until, said = self._closed.get(namespace, (0.0, None))
            left = until - self._clock()
            if said is None:
                return
            if left <= 0:
                del self._closed[namespace]
                return
        raise ApiError(said.status, said.reason, said.message, left)
