"""A head that goes on answering: one question, and answers without end."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

from autoscaler.gcs.client import SERVICE

# Small enough to come by a connection that takes no large ones.
EACH_BYTES = 200_000


class EndlessHead:
    """At these addresses, by default one that is free; close it at the end."""

    def __init__(self, addresses: Sequence[str] = ("127.0.0.1:0",)) -> None:
        self._server = grpc.server(ThreadPoolExecutor(32))
        handlers: dict[str, Any] = {"GetClusterResourceState": grpc.unary_stream_rpc_method_handler(self._answers)}
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
        ports = [self._server.add_insecure_port(address) for address in addresses]
        self.address = f"127.0.0.1:{ports[0]}"
        self._server.start()

    def close(self) -> None:
        """No more answers."""
        self._server.stop(0).wait()

    def _answers(self, request: bytes, context: Any) -> Iterator[bytes]:
        return itertools.repeat(bytes(EACH_BYTES))
