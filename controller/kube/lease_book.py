"""The leases of one namespace that a process looks at and writes: all of them at a time.

A holder's right counts from a moment that is surely before the last change of its Lease: when the request for that
change began, or, if another process made it, when this one began to look last and had not seen it yet.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import Executor

from .client import ApiError, Client, Request
from .lease import DEADLINE_SECONDS, LEASE_SECONDS, RENEW_SECONDS, RESOURCE, LeaseWriter, Record
from .partitions import Seen


class LeaseBook:
    """What is known of the leases with these names. Used by one thread at a time.

    ``clock``: steady seconds. ``wall``: seconds since the epoch, for people. ``threads``: what writes them, used by
    nothing else.
    """

    def __init__(
        self,
        client: Client,
        namespace: str,
        names: Sequence[str],
        *,
        clock: Callable[[], float],
        wall: Callable[[], float],
        threads: Executor,
    ) -> None:
        self._client = client
        self._namespace = namespace
        self._names = names
        self._clock = clock
        self._writer = LeaseWriter(client, namespace, wall)
        self._threads = threads
        self._seen: dict[str, Seen] = {}
        self._proven: dict[str, float] = {}
        self._asked = -math.inf

    def look(self) -> None:
        """Ask for all of them.

        Raises:
            ApiError: the API server refuses, or does not answer.
        """
        asked, before = self._clock(), self._asked
        answer = self._client.send(Request("list", RESOURCE, self._namespace))
        found = {item["metadata"]["name"]: Record.of(item) for item in answer.get("items") or ()}
        now, self._asked = self._clock(), asked
        for name in self._names:
            record = found.get(name)
            if name not in self._seen or self._seen[name].record != record:
                # Nothing is known about the time before the first look.
                self._proven[name] = before if name in self._seen else -math.inf
                held = record is None and not self.is_of(name, "") and self.seen(name).record is not None
                # Somebody has deleted it, which its holder need not know yet.
                self._seen[name] = Seen(record, now + LEASE_SECONDS if held else now)

    def seen(self, name: str) -> Seen:
        """A lease as it was when it was seen or written last; one that has to be looked at again first is nobody's."""
        return self._seen.get(name, Seen(None, math.inf))

    def is_of(self, name: str, holder: str) -> bool:
        """Whether it was its holder then."""
        record = self.seen(name).record
        return record is not None and record.holder == holder

    def until(self, name: str, holder: str) -> float:
        """Up to when its holder may act on that."""
        return self._proven.get(name, -math.inf) + DEADLINE_SECONDS if self.is_of(name, holder) else -math.inf

    def due(self, name: str, holder: str, now: float) -> bool:
        """Whether its holder renews it now."""
        return now >= self.seen(name).at + RENEW_SECONDS or self.until(name, holder) == -math.inf

    def write(self, wanted: Sequence[tuple[str, str]], on_written: Callable[[], None] = lambda: None) -> list[ApiError]:
        """Give leases these holders, "" for none, side by side. Returns what was in the way.

        Whatever was changed by another meanwhile keeps what it has. ``on_written``: one has been written, as a thread
        of its own says: it does not wait for the others.
        """

        def write(name: str, holder: str) -> ApiError | None:
            error = self._write(name, holder)
            on_written()
            return error

        return [error for error in self._threads.map(lambda w: write(*w), wanted) if error is not None]

    def close(self) -> None:
        """Nothing more is written."""
        self._threads.shutdown()

    def _write(self, name: str, holder: str) -> ApiError | None:
        asked, seen = self._clock(), self.seen(name)
        try:
            record = self._writer.write(name, seen.record, holder=holder, seconds=LEASE_SECONDS if holder else 1)
        except ApiError as error:
            if error.status != 409 and not (error.status == 404 and seen.record):
                return error
            return None
        self._seen[name], self._proven[name] = Seen(record, self._clock()), asked
        return None
