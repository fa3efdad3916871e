"""Why a head did not do what was asked."""

from __future__ import annotations

from typing import Literal

import grpc
import grpc.aio

ErrorKind = Literal["unreachable", "unauthenticated", "timeout", "invalid"]
MAX_MESSAGE_CHARACTERS = 300
_KINDS: dict[grpc.StatusCode, ErrorKind] = {
    grpc.StatusCode.UNAVAILABLE: "unreachable",
    grpc.StatusCode.CANCELLED: "unreachable",
    grpc.StatusCode.UNAUTHENTICATED: "unauthenticated",
    grpc.StatusCode.PERMISSION_DENIED: "unauthenticated",
    grpc.StatusCode.DEADLINE_EXCEEDED: "timeout",
}


class GcsError(Exception):
    """A head did not do what was asked.

    ``kind``: ``unreachable`` (nothing answers there), ``unauthenticated`` (it wants other credentials), ``timeout``
    (it may still have acted), ``invalid`` (it refused the request, or its answer is none).
    """

    def __init__(self, kind: ErrorKind, message: str, cost: float = 0.0) -> None:
        text = "".join(c if c.isprintable() else " " for c in message[:MAX_MESSAGE_CHARACTERS])
        super().__init__(f"{kind}: {text}")
        self.kind: ErrorKind = kind
        # Seconds of CPU that it took to find out.
        self.cost = cost
        self.message = text

    def bare(self) -> GcsError:
        """The same for keeping: a traceback holds the answer that was refused."""
        return GcsError(self.kind, self.message, self.cost)

    @classmethod
    def of(cls, error: grpc.aio.AioRpcError) -> GcsError:
        """What a gRPC status means."""
        if error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED:
            return TooLargeError("invalid", error.details() or error.code().name)
        return cls(_KINDS.get(error.code(), "invalid"), error.details() or error.code().name)


class TooLargeError(GcsError):
    """The answer is larger than the connection takes."""
