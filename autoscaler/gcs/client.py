"""Talking to the GCS of one Ray head: its demand, our reports, and draining a node.

Raw gRPC on service ``ray.rpc.autoscaler.AutoscalerStateService``, for heads of Ray 2.9 and later. A GCS checks some of
its input by aborting, so three inputs must never be sent, and no method here can send them: a last-seen state version
other than 0 and a node id of other than 28 bytes end the head, a drain without a reason ends that raylet. Nor is a job
or an actor ever asked for by its id.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, TypeVar

import grpc
import grpc.aio

from autoscaler.model import RayState, RayUsage, ReportedState

from .convert import NODE_ID_BYTES
from .errors import MAX_MESSAGE_CHARACTERS, GcsError, TooLargeError
from .loop import begin, submit
from .parts import MalformedError, read_in_parts
from .protos import autoscaler_pb2
from .reading import LARGE_ANSWER_BYTES, read, state_of
from .report import fill_report
from .turns import Used, large_answers
from .usage import usage_of

T = TypeVar("T")

SERVICE: str = autoscaler_pb2.DESCRIPTOR.services_by_name["AutoscalerStateService"].full_name
CALL_SECONDS = 2.0
# A raylet is asked before the GCS answers.
DRAIN_SECONDS = 5.0
# 10,000 nodes are 4.4 MiB. An answer takes three times its size while it is read; see ``turns`` for how many are.
MAX_ANSWER_BYTES = 5 * 2**20

_CHANNEL_OPTIONS = (
    ("grpc.max_send_message_length", MAX_ANSWER_BYTES),
    # A head may send what nobody has asked for, and that waits here. By itself gRPC takes ever more of it: 20 MiB of
    # one head.
    ("grpc.http2.bdp_probe", 0),
    ("grpc.http2.lookahead_bytes", 64 * 2**10),
    # Pacing is the poller's: gRPC would wait up to two minutes before it connects to a head that is back.
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 2000),
    ("grpc.max_reconnect_backoff_ms", 1000),
    # A new channel must mean a new connection.
    ("grpc.use_local_subchannel_pool", 1),
    # Heads are pods beside us: no proxy from the environment, nothing asked of DNS but addresses.
    ("grpc.enable_http_proxy", 0),
    ("grpc.service_config_disable_resolution", 1),
)


@dataclass(frozen=True)
class Credentials:
    """How a head wants to be spoken to. Neither secrets nor certificates show in its repr.

    ``token``: sent as ``authorization: Bearer``. ``ca``, ``certificate``, ``key``: PEM. Ray's TLS is mutual, so
    either all three are given or none.

    Raises:
        ValueError: a token that no header can carry, or TLS in part.
    """

    token: str | None = field(default=None, repr=False)
    ca: bytes | None = field(default=None, repr=False)
    certificate: bytes | None = field(default=None, repr=False)
    key: bytes | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.token is not None and not (self.token and all("!" <= c <= "~" for c in self.token)):
            raise ValueError("the token is empty or holds characters that no header can carry")
        if len({part is None for part in (self.ca, self.certificate, self.key)}) > 1:
            raise ValueError("TLS to a Ray head needs all of CA, certificate and key")


class DrainReason(Enum):
    """Why a node is drained. Ray refuses IDLE for a node that has work, and obeys PREEMPTION always.

    The values are those of ``ray.rpc.autoscaler.DrainNodeReason``.
    """

    IDLE = 1
    PREEMPTION = 2


@dataclass(frozen=True)
class DrainAnswer:
    """What became of a drain. A node unknown to the head is ``accepted`` too; ``why`` says why one was refused."""

    accepted: bool
    why: str = ""


class GcsClient:
    """One head. Methods may be called from any thread but the one that ``begin_state`` answers on."""

    def __init__(
        self,
        address: str,
        credentials: Credentials | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall_ns: Callable[[], int] = time.time_ns,
        call_seconds: float = CALL_SECONDS,
    ) -> None:
        self._address = address
        self._credentials = credentials or Credentials()
        self._clock = clock
        self._wall_ns = wall_ns
        self._call_seconds = call_seconds
        self._version = 0
        self._lock = threading.Lock()
        # Used on the event loop's thread only.
        self._channel: grpc.aio.Channel | None = None
        # Methods whose last answer was large, the connections for such answers, and how long their turns took of late.
        self._large: set[str] = set()
        self._beside: set[grpc.aio.Channel] = set()
        self._used = Used()
        self._ending: set[asyncio.Task[None]] = set()
        self._closed = False

    def state(self) -> RayState:
        """What the head knows and wants. ``taken_at`` is when it was asked.

        Raises:
            GcsError: no answer, or not one of a Ray head.
        """
        return submit(self._state()).result()

    def begin_state(self, done: Callable[[RayState | GcsError], None]) -> None:
        """``state`` without waiting: ``done`` is called once, on the event loop's thread, and must not block it."""
        begin(self._state(), done)

    def begin_usage(self, done: Callable[[RayUsage | GcsError], None]) -> None:
        """Who uses the cluster, without waiting: ``done`` is called as that of ``begin_state`` is."""
        begin(self._usage(), done)

    def report(self, report: ReportedState) -> None:
        """Send the head what ``ray status`` and the dashboard show of the autoscaler.

        Versions are the time, because a head drops those lower than it has seen, from whichever process they came.

        Raises:
            GcsError: the head may not have taken it.
        """
        with self._lock:
            self._version = max(self._version + 1, self._wall_ns())
            version = self._version
        request = autoscaler_pb2.ReportAutoscalingStateRequest()
        fill_report(request.autoscaling_state, report, version)
        submit(self._call("ReportAutoscalingState", request, self._call_seconds)).result()

    def drain(self, node_id: bytes, *, reason: DrainReason, message: str, deadline: float = 0) -> DrainAnswer:
        """Ask the head to let nothing new start on a node, and to end it once nothing runs there.

        ``deadline``: Unix seconds by which the node will be gone; Ray passes it to workers and does not enforce it.

        Raises:
            ValueError: an input that would end Ray processes, or that Ray refuses.
            GcsError: the node may be draining, or not.
        """
        if type(node_id) is not bytes or len(node_id) != NODE_ID_BYTES:
            raise ValueError(f"a node id is {NODE_ID_BYTES} raw bytes")
        if not isinstance(reason, DrainReason):
            raise ValueError("a drain needs a reason")
        if not (math.isfinite(deadline) and 0 <= deadline < 1e12):
            raise ValueError("a deadline is Unix seconds")
        request = autoscaler_pb2.DrainNodeRequest(
            node_id=node_id,
            reason=reason.value,
            reason_message=message[:MAX_MESSAGE_CHARACTERS],
            deadline_timestamp_ms=math.floor(deadline * 1000),
        )
        answer = submit(self._call("DrainNode", request, DRAIN_SECONDS)).result()
        try:
            reply = read_in_parts(autoscaler_pb2.DrainNodeReply, answer)
        except MalformedError as error:
            raise GcsError("invalid", str(error)) from None
        return DrainAnswer(reply.is_accepted, reply.rejection_reason_message[:MAX_MESSAGE_CHARACTERS])

    def close(self) -> None:
        """End the connection and every call under way; later calls fail as unreachable. Does not wait."""
        submit(self._close())

    async def _state(self) -> RayState:
        # The last-seen version is left at 0: versions start again with the head, and one ahead of it ends it.
        request = autoscaler_pb2.GetClusterResourceStateRequest()
        state, cost = await self._ask(SERVICE, "GetClusterResourceState", request, state_of)
        return replace(state, cost=cost)

    async def _usage(self) -> RayUsage:
        return await usage_of(self._ask, self._clock())

    async def _ask(
        self, service: str, method: str, request: Any, reader: Callable[[bytes, float], T]
    ) -> tuple[T, float]:
        """What ``reader`` makes of the answer and of when it was asked for, and the seconds of CPU that it took.

        Large answers come by a connection that takes them, and take turns with those of other heads. That an answer is
        large shows when it does not come by the usual one.
        """
        asked_at = self._clock()

        def reading(answer: bytes) -> T:
            if len(answer) <= LARGE_ANSWER_BYTES // 2:
                self._large.discard(method)
            return reader(answer, asked_at)

        # No variable here holds the answer: see ``read``.
        if method not in self._large:
            try:
                return await read(await self._call(method, request, self._call_seconds, service), reading)
            except TooLargeError:
                self._large.add(method)
        async with large_answers().turn(self._used):
            asked_at = self._clock()
            return await read(await self._call_beside(method, request, service), reading)

    async def _call(self, method: str, request: Any, seconds: float, service: str = SERVICE) -> bytes:
        if self._closed:
            raise GcsError("unreachable", "the client is closed")
        channel = self._channel = self._channel or self._connect(LARGE_ANSWER_BYTES)
        try:
            return await self._send(channel, f"/{service}/{method}", request, seconds)
        except GcsError as error:
            if error.kind == "timeout" and self._channel is channel:
                # The peer may be gone silently: the next call gets a new connection, others finish on this one.
                self._channel = None
                self._end(channel, grace=DRAIN_SECONDS)
            raise

    async def _call_beside(self, method: str, request: Any, service: str) -> bytes:
        """``_call`` for a large answer, by a connection of its own that ends with it, and whose memory is free then."""
        if self._closed:
            raise GcsError("unreachable", "the client is closed")
        channel = self._connect(MAX_ANSWER_BYTES)
        self._beside.add(channel)
        try:
            return await self._send(channel, f"/{service}/{method}", request, self._call_seconds)
        finally:
            self._beside.discard(channel)
            await channel.close()

    async def _send(self, channel: grpc.aio.Channel, path: str, request: Any, seconds: float) -> bytes:
        serialize = type(request).SerializeToString
        call: grpc.aio.UnaryUnaryMultiCallable[Any, bytes] = channel.unary_unary(path, serialize)
        try:
            answer: bytes = await call(request, timeout=seconds, metadata=self._metadata())
        except grpc.aio.AioRpcError as error:
            raise GcsError.of(error) from None
        except asyncio.CancelledError:
            raise GcsError("unreachable", "the client was closed") from None
        return answer

    def _connect(self, largest: int) -> grpc.aio.Channel:
        """A connection that takes answers of so many bytes."""
        ours, options = self._credentials, (("grpc.max_receive_message_length", largest), *_CHANNEL_OPTIONS)
        if ours.ca is None:
            return grpc.aio.insecure_channel(self._address, options=options)
        theirs = grpc.ssl_channel_credentials(ours.ca, ours.key, ours.certificate)
        return grpc.aio.secure_channel(self._address, theirs, options=options)

    def _metadata(self) -> tuple[tuple[str, str], ...]:
        token = self._credentials.token
        return (("authorization", f"Bearer {token}"),) if token else ()

    def _end(self, channel: grpc.aio.Channel, grace: float | None) -> None:
        task = asyncio.get_running_loop().create_task(channel.close(grace))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def _close(self) -> None:
        self._closed = True
        channels, self._channel = [self._channel, *self._beside], None
        for channel in filter(None, channels):
            await channel.close()
