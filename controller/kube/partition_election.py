"""One of several operators that share the RayClusters: takes, renews and gives up the Leases of parts.

Each part's Lease works as that of a single leader (``election``): whoever holds it may write about the part for
DEADLINE_SECONDS after it began to ask for its last renewal, and another takes it LEASE_SECONDS after it saw the last
change. What is given up is given up after the last write about it has ended.

The Lease of a single leader is held by all of them together, under one name, and renewed by whoever sees that it is
due. So an operator that leads alone, of whatever version, stands by as long as there is one that shares, and the other
way round.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor

from controller.clock import steady_clock

from .client import ApiError, Client
from .holdings import Holdings
from .leadership import Leadership
from .lease import LEASE_NAME, LOOK_SECONDS, keep_turning
from .lease_book import LeaseBook
from .partitions import NAMES, WANTED, Moves, View, decide, lease_of, share_of

log = logging.getLogger(__name__)

TOGETHER = "ray-operators-with-shards"


class PartitionElection:
    """One process. ``turn`` and ``release`` are called from one thread at a time.

    ``on_change`` is called when the parts that this process holds, or may write about, have changed. ``on_look``: the
    API server has answered who holds what. ``on_failure``: a request has failed. ``clock``: steady seconds, that of
    ``holdings``. ``wall``: seconds since the epoch, for people. ``threads``: what writes leases, used by nothing else.
    """

    def __init__(
        self,
        client: Client,
        namespace: str,
        identity: str,
        operators: int,
        holdings: Holdings,
        *,
        on_change: Callable[[], None],
        on_look: Callable[[], None] = lambda: None,
        on_failure: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = steady_clock,
        wall: Callable[[], float] = time.time,
        threads: Executor | None = None,
    ) -> None:
        self._namespace = namespace
        self._me = identity
        self._share = share_of(operators)
        self._holdings = holdings
        self._on_change = on_change
        self._on_look = on_look
        self._on_failure = on_failure
        self._clock = clock
        names = (LEASE_NAME, WANTED, *NAMES)
        threads = threads or ThreadPoolExecutor(len(names), thread_name_prefix="leases")
        self._book = LeaseBook(client, namespace, names, clock=clock, wall=wall, threads=threads)
        self._leaving: dict[int, Leadership] = {}
        self._told: dict[int, tuple[Leadership, bool]] = {}
        self._complaint = ""
        self._lapsed = False
        self._counting = threading.Lock()

    def turn(self) -> float:
        """Look at the leases, and do what is due about them. Returns the seconds until the next turn."""
        self._tell()
        try:
            self._book.look()
            self._on_look()
            self._act()
            self._complaint = ""
        except ApiError as error:
            self._fail(error)
        self._tell()
        return LOOK_SECONDS

    def run(self, stop: threading.Event, on_turn: Callable[[], None]) -> None:
        """Turn until ``stop`` is set. ``on_turn`` is called before each turn."""
        keep_turning(self.turn, stop, on_turn, LOOK_SECONDS)

    def release(self) -> None:
        """Give up what is held, so that others take it at once; what is still being written about expires instead."""
        self._holdings.resign()
        rights = {**self._holdings.held(), **self._leaving}
        names = [*(lease_of(part) for part, right in rights.items() if not right.writes()), WANTED]
        mine = [name for name in names if self._book.is_of(name, self._me)]
        if errors := self._book.write([(name, "") for name in mine]):
            log.warning("not all leases in %s were released; they expire: %s", self._namespace, errors[0])
        self._book.close()

    def _act(self) -> None:
        for part in [p for p in self._holdings.held() if not self._is_mine(p)]:
            self._holdings.lose(part)
        # Only when it is seen to be given up: the answer to the request may have been lost.
        self._leaving = {part: right for part, right in self._leaving.items() if self._is_mine(part)}
        # What a request has brought whose answer was lost.
        self._count_on()
        now = self._clock()
        moves = self._moves(now)
        for part in moves.give:
            self._leaving[part] = self._holdings.held()[part]
            self._holdings.lose(part)
        taken = [(lease_of(part), self._me) for part in moves.take]
        wanted = [*self._together(now), *self._left(), *self._kept(now), *taken, *self._asked_for(moves, now)]
        if errors := self._book.write(wanted, self._count_on):
            raise errors[0]

    def _moves(self, now: float) -> Moves:
        seen = {part: self._book.seen(name) for part, name in enumerate(NAMES)}
        leaving = frozenset(self._leaving)
        view = View(self._me, self._share, now, seen, self._book.seen(WANTED), leaving)
        if now < self._book.until(LEASE_NAME, TOGETHER):
            return decide(view)
        # One that leads alone has begun: holding parts is no use any more.
        alone = self._book.seen(LEASE_NAME)
        other = alone.record is not None and alone.record.holder not in ("", TOGETHER) and now < alone.free_at
        return Moves(give=tuple(self._holdings.held())) if other else Moves()

    def _together(self, now: float) -> list[tuple[str, str]]:
        """The Lease that all who share hold together, if it is to be written."""
        is_held = self._book.is_of(LEASE_NAME, TOGETHER)
        due = self._book.due(LEASE_NAME, TOGETHER, now) if is_held else now >= self._book.seen(LEASE_NAME).free_at
        return [(LEASE_NAME, TOGETHER)] if due else []

    def _left(self) -> list[tuple[str, str]]:
        """What is given up, and was written about for the last time."""
        return [(lease_of(part), "") for part, right in self._leaving.items() if not right.writes()]

    def _kept(self, now: float) -> list[tuple[str, str]]:
        names = [lease_of(part) for part in self._holdings.held()]
        names += [lease_of(part) for part, right in self._leaving.items() if right.writes()]
        return [(name, self._me) for name in names if self._book.due(name, self._me, now)]

    def _asked_for(self, moves: Moves, now: float) -> list[tuple[str, str]]:
        """The Lease of the one who asks the others for parts: taken, kept or given up."""
        mine = self._book.is_of(WANTED, self._me)
        if moves.want:
            due = self._book.due(WANTED, self._me, now) if mine else now >= self._book.seen(WANTED).free_at
            return [(WANTED, self._me)] if due else []
        return [(WANTED, "")] if mine else []

    def _is_mine(self, part: int) -> bool:
        return self._book.is_of(lease_of(part), self._me)

    def _count_on(self) -> None:
        """The right to write about each part, as far as what was written and seen goes."""
        with self._counting:
            together = self._book.until(LEASE_NAME, TOGETHER)
            for part, name in enumerate(NAMES):
                if self._is_mine(part) and part not in self._leaving:
                    right = self._holdings.held().get(part) or self._holdings.gain(part)
                    ran_out = right.hold(min(together, self._book.until(name, self._me)))
                    self._lapsed = self._lapsed or (ran_out and right.leads())

    def _fail(self, error: ApiError) -> None:
        self._on_failure()
        complaint = f"cannot hold leases {LEASE_NAME}-* in {self._namespace}: {error}"
        if error.status == 403:
            complaint += "; the operator's role lacks get, list, create or update on leases there"
        if complaint != self._complaint:
            log.warning("%s", complaint)
            self._complaint = complaint

    def _tell(self) -> None:
        now = {part: (right, right.leads()) for part, right in self._holdings.held().items()}
        # A lapse that is over: what was dropped in it has to be taken up again.
        if now == self._told and not self._lapsed:
            return
        self._told, self._lapsed = now, False
        led = [part for part, (_, leads) in now.items() if leads]
        log.info("%s manages the parts %s", self._me, ", ".join(map(str, sorted(led))) or "none")
        self._on_change()
