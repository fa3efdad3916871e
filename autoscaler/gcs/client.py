"""Talking to the GCS of one Ray head: its demand, our reports, and draining a node.

Raw gRPC on service ``ray.rpc.autoscaler.AutoscalerStateService``, for heads of Ray 2.9 and later. A GCS checks some of
its input by aborting, so three inputs must never be sent, and no method here can send them: a last-seen state version
other than 0 and a node id of other than 28 bytes end the head, a drain without a reason ends that raylet.

All clients of a process share one thread with an event loop: gRPC's other way to have many calls under way costs a
thread per head that does not answer.
"""

from __future__ import annotations

import asyncio
import functools
import math
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, TypeVar

import grpc
import grpc.aio

from autoscaler.model import RayState, ReportedState

from .convert import NODE_ID_BYTES, ImplausibleAnswerError, ray_state
from .errors import MAX_MESSAGE_CHARACTERS, GcsError
from .protos import autoscaler_pb2
from .report import fill_report

T = TypeVar("T")

SERVICE: str = autoscaler_pb2.DESCRIPTOR.services_by_name["AutoscalerStateService"].full_name
CALL_SECONDS = 2.0
# A raylet is asked before the GCS answers.
DRAIN_SECONDS = 5.0
# 10,000 nodes are 4.4 MiB. A message of empty messages takes 24 times its size in memory: 120 MiB, for one answer at a
# time.
MAX_ANSWER_BYTES = 5 * 2**20
# Larger answers are read on a thread of their own, one after the other, so that no other answer waits for them.
# The cost of reading one puts the next question off: see pacing.
LARGE_ANSWER_BYTES = 256 * 2**10

_CHANNEL_OPTIONS = (
    ("grpc.max_receive_message_length", MAX_ANSWER_BYTES),
    ("grpc.max_send_message_length", MAX_ANSWER_BYTES),
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
        self._ending: set[asyncio.Task[None]] = set()
        self._closed = False

    def state(self) -> RayState:
        """What the head knows and wants. ``taken_at`` is when it was asked.

        Raises:
            GcsError: no answer, or not one of a Ray head.
        """
        return _submit(self._state()).result()

    def begin_state(self, done: Callable[[RayState | GcsError], None]) -> None:
        """``state`` without waiting: ``done`` is called once, on the event loop's thread, and must not block it."""
        _submit(self._state()).add_done_callback(lambda future: done(_outcome(future)))

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
        _submit(self._call("ReportAutoscalingState", request, self._call_seconds)).result()

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
        reply = _parsed("DrainNodeReply", _submit(self._call("DrainNode", request, DRAIN_SECONDS)).result())
        return DrainAnswer(reply.is_accepted, reply.rejection_reason_message[:MAX_MESSAGE_CHARACTERS])

    def close(self) -> None:
        """End the connection and every call under way; later calls fail as unreachable. Does not wait."""
        _submit(self._close())

    async def _state(self) -> RayState:
        taken_at = self._clock()
        # The last-seen version is left at 0: versions start again with the head, and one ahead of it ends it.
        answer = await self._call(
            "GetClusterResourceState", autoscaler_pb2.GetClusterResourceStateRequest(), self._call_seconds
        )
        if len(answer) <= LARGE_ANSWER_BYTES:
            return _read(answer, taken_at)
        return await asyncio.get_running_loop().run_in_executor(_large_answers(), _read, answer, taken_at)

    async def _call(self, method: str, request: Any, seconds: float) -> bytes:
        if self._closed:
            raise GcsError("unreachable", "the client is closed")
        channel = self._channel = self._channel or self._connect()
        path, serialize = f"/{SERVICE}/{method}", type(request).SerializeToString
        call: grpc.aio.UnaryUnaryMultiCallable[Any, bytes] = channel.unary_unary(path, serialize)
        try:
            answer: bytes = await call(request, timeout=seconds, metadata=self._metadata())
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED and self._channel is channel:
                # The peer may be gone silently: the next call gets a new connection, others finish on this one.
                self._channel = None
                self._end(channel, grace=DRAIN_SECONDS)
            raise GcsError.of(error) from None
        except asyncio.CancelledError:
            raise GcsError("unreachable", "the client was closed") from None
        return answer

    def _connect(self) -> grpc.aio.Channel:
        ours = self._credentials
        if ours.ca is None:
            return grpc.aio.insecure_channel(self._address, options=_CHANNEL_OPTIONS)
        theirs = grpc.ssl_channel_credentials(ours.ca, ours.key, ours.certificate)
        return grpc.aio.secure_channel(self._address, theirs, options=_CHANNEL_OPTIONS)

    def _metadata(self) -> tuple[tuple[str, str], ...]:
        token = self._credentials.token
        return (("authorization", f"Bearer {token}"),) if token else ()

    def _end(self, channel: grpc.aio.Channel, grace: float | None) -> None:
        task = asyncio.get_running_loop().create_task(channel.close(grace))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def _close(self) -> None:
        self._closed = True
        if self._channel:
            channel, self._channel = self._channel, None
            await channel.close()


def _read(answer: bytes, taken_at: float) -> RayState:
    """What an answer says, and the seconds of CPU that reading it took.

    Raises:
        GcsError: it is no answer of a Ray head.
    """
    started = time.thread_time()
    try:
        reply = _parsed("GetClusterResourceStateReply", answer)
        state = ray_state(reply.cluster_resource_state, taken_at)
    except GcsError as error:
        error.cost = time.thread_time() - started
        raise
    except ImplausibleAnswerError as error:
        raise GcsError("invalid", str(error), time.thread_time() - started) from None
    return replace(state, cost=time.thread_time() - started)


@functools.cache
def _large_answers() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="gcs-large")


def _parsed(message: str, answer: bytes) -> Any:
    """Raises GcsError if the bytes are no such message."""
    try:
        return getattr(autoscaler_pb2, message).FromString(answer)
    except Exception as error:  # google.protobuf.message.DecodeError is a ValueError in some releases only
        raise GcsError("invalid", f"not a {message}: {error}") from None


def _outcome(future: Future[RayState]) -> RayState | GcsError:
    error = future.exception()
    if error is None:
        return future.result()
    return error if isinstance(error, GcsError) else GcsError("invalid", repr(error))


@functools.cache
def _event_loop() -> asyncio.AbstractEventLoop:
    """gRPC's asyncio support has one completion queue per process, so one loop serves it best."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="gcs", daemon=True).start()
    return loop


def _submit(coroutine: Coroutine[Any, Any, T]) -> Future[T]:
    return asyncio.run_coroutine_threadsafe(coroutine, _event_loop())
