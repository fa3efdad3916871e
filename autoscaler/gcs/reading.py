"""Reads the bytes that a head has answered, where that holds nobody else up, and says what it cost."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TypeVar

from autoscaler.model import RayState

from .convert import ImplausibleAnswerError, ray_state
from .errors import GcsError
from .parts import MalformedError, read_in_parts
from .protos import autoscaler_pb2

T = TypeVar("T")

# Larger answers are read on a thread of their own, one after the other, so that no other answer waits for them.
# The cost of reading one puts the next question off: see pacing.
LARGE_ANSWER_BYTES = 256 * 2**10


async def read(answer: bytes, reader: Callable[[bytes], T]) -> tuple[T, float]:
    """What an answer says, and the seconds of CPU that reading it took.

    Raises:
        GcsError: it is no answer of a Ray head; its ``cost`` is set. The answer is free then: a traceback keeps what
            the functions in it hold, and errors are kept for long.
    """
    try:
        if len(answer) <= LARGE_ANSWER_BYTES:
            return timed(answer, reader)
        return await asyncio.get_running_loop().run_in_executor(_large_answers(), timed, answer, reader)
    except GcsError as error:
        refused = error.bare()
    del answer
    raise refused


def state_of(answer: bytes, taken_at: float) -> RayState:
    """The state that a ``GetClusterResourceStateReply`` holds.

    Raises:
        MalformedError: it is none.
        ImplausibleAnswerError: nor can it be one of a Ray head.
    """
    reply = read_in_parts(autoscaler_pb2.GetClusterResourceStateReply, answer)
    return replace(ray_state(reply.cluster_resource_state, taken_at), size=len(answer))


def timed(answer: bytes, reader: Callable[[bytes], T]) -> tuple[T, float]:
    """``read`` on this thread."""
    started = time.thread_time()
    try:
        return reader(answer), time.thread_time() - started
    except GcsError as error:
        error.cost = time.thread_time() - started
        raise
    except (MalformedError, ImplausibleAnswerError) as error:
        raise GcsError("invalid", str(error), time.thread_time() - started) from None


@functools.cache
def _large_answers() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="gcs-large")
