"""Leader election on a Lease (``coordination.k8s.io/v1``): of several operators one writes, the others stand by.

The leader renews the lease every RENEW_SECONDS, and may write for DEADLINE_SECONDS after it *began* to ask for
the last renewal that succeeded. A standby takes over once it has seen no change of the lease for
LEASE_SECONDS. Each measures with its own steady clock, so that clocks need not agree; and because a renewal is asked
for before anybody can see it, the leader has stopped LEASE_SECONDS - DEADLINE_SECONDS before anyone takes over.
The times in the Lease are for people.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable

from controller.clock import steady_clock

from .client import ApiError, Client, Request
from .leadership import Leadership
from .lease import (
    DEADLINE_SECONDS,
    LEASE_NAME,
    LOOK_SECONDS,
    RENEW_SECONDS,
    LeaseWriter,
    Record,
    keep_turning,
)

log = logging.getLogger(__name__)


class Election:
    """One candidate. ``turn`` and ``release`` are called from one thread at a time.

    ``on_change`` gets True when this process begins to lead, and False when it has ceased to.
    ``clock``: steady seconds, the same as the leadership's. ``wall``: seconds since the epoch, for people.
    """

    def __init__(
        self,
        client: Client,
        namespace: str,
        identity: str,
        leadership: Leadership,
        *,
        on_change: Callable[[bool], None],
        on_failure: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = steady_clock,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._client = client
        self._namespace = namespace
        self._where = f"{namespace}/{LEASE_NAME}"
        self._identity = identity
        self._leadership = leadership
        self._on_change = on_change
        self._on_failure = on_failure
        self._clock = clock
        self._writer = LeaseWriter(client, namespace, wall)
        # What was seen last, and when it was first seen so.
        self._seen: Record | None = None
        self._seen_at = -math.inf
        self._led = False
        self._conflict = False
        self._complaint = ""

    def turn(self) -> float:
        """Look at the lease, and take or renew it if that is due. Returns the seconds until the next turn."""
        try:
            pause = self._turn()
            self._complaint = ""
        except ApiError as error:
            self._fail(error)
            pause = RENEW_SECONDS
        self._tell()
        return pause

    def run(self, stop: threading.Event, on_turn: Callable[[], None]) -> None:
        """Turn until ``stop`` is set. ``on_turn`` is called before each turn."""
        keep_turning(self.turn, stop, on_turn, RENEW_SECONDS)

    def release(self) -> None:
        """Give the lease up, so that another takes over at once. Call when nothing is being written any more."""
        self._leadership.resign()
        if self._seen is None or self._seen.holder != self._identity:
            return
        try:
            self._writer.write(LEASE_NAME, self._seen, holder="", seconds=1)
            log.info("released the lease %s", self._where)
        except ApiError as error:
            log.warning("the lease %s was not released; it expires by itself: %s", self._where, error)

    def _turn(self) -> float:
        if not self._mine():
            # While this process holds it, no other changes it unless the renewal is late: then the write conflicts.
            self._look()
        seen = self._seen
        if seen and seen.holder and not self._mine():
            left = self._seen_at + seen.seconds - self._clock()
            if left > 0:
                return min(LOOK_SECONDS, left)
        return self._take(seen)

    def _mine(self) -> bool:
        return self._seen is not None and self._seen.holder == self._identity

    def _look(self) -> None:
        try:
            found: Record | None = Record.of(self._client.send(Request("get", "leases", self._namespace, LEASE_NAME)))
        except ApiError as error:
            if error.status != 404:
                raise
            found = None
        if found != self._seen:
            self._seen, self._seen_at = found, self._clock()

    def _take(self, seen: Record | None) -> float:
        """Ask for the lease, or for more of it. The deadline counts from before the question."""
        asked = self._clock()
        try:
            written = self._writer.write(LEASE_NAME, seen, holder=self._identity)
        except ApiError as error:
            if error.status != 409 and not (error.status == 404 and seen):
                raise
            # Somebody else has written it, or removed it: it may be another's by now.
            self._seen = None
            self._leadership.hold(-math.inf)
            # A conflict a second time in a row is no lost race: somebody refuses with this code.
            pause, self._conflict = LOOK_SECONDS if self._conflict else 0.0, True
            return pause
        self._conflict = False
        self._seen, self._seen_at = written, self._clock()
        # A lapse that was not reported yet is reported first: what was dropped in it has to be taken up again.
        self._tell()
        self._leadership.hold(asked + DEADLINE_SECONDS)
        return RENEW_SECONDS

    def _fail(self, error: ApiError) -> None:
        self._on_failure()
        complaint = f"cannot hold the lease {self._where}: {error}"
        if error.status == 403:
            complaint += "; the operator's role lacks get, create or update on leases there"
        if complaint != self._complaint:
            log.warning("%s", complaint)
            self._complaint = complaint

    def _tell(self) -> None:
        leads = self._leadership.leads()
        if leads == self._led:
            return
        self._led = leads
        if leads:
            log.info("%s leads: it holds the lease %s", self._identity, self._where)
        else:
            log.warning("%s lost leadership: it could not keep the lease %s", self._identity, self._where)
        self._on_change(leads)
