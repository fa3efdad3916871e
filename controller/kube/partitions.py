"""How several operators share the RayClusters: in PARTITIONS parts, each of which one process holds by a Lease.

Which part a cluster is in never changes, whatever the number of operators: so two operators cannot disagree about it.
What a change of their number moves are parts, one Lease at a time. Pure.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from controller.raycluster.model import Key

from .lease import LEASE_NAME, LEASE_SECONDS, LOOK_SECONDS, Record

# Fixed for good: with another number, operators of two versions would both take a cluster for theirs.
PARTITIONS = 16
# A part that was lost is left to those who have less than their share for a moment, one that nobody has held yet for
# as long as other operators take to start.
LATE_SECONDS = 2 * LOOK_SECONDS
FIRST_LATE_SECONDS = LEASE_SECONDS
# The one who holds it asks the others for parts.
WANTED = f"{LEASE_NAME}-wanted"


@lru_cache(maxsize=65_536)
def partition_of(cluster: Key) -> int:
    """The part that a cluster is in."""
    digest = hashlib.blake2b("/".join(cluster).encode(errors="surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") % PARTITIONS


def lease_of(partition: int) -> str:
    """The name of a part's Lease."""
    return f"{LEASE_NAME}-part-{partition}"


NAMES = tuple(lease_of(partition) for partition in range(PARTITIONS))


@dataclass(frozen=True)
class Seen:
    """A Lease, None where there is none, and the moment after which it was not seen to change."""

    record: Record | None
    at: float

    @property
    def free_at(self) -> float:
        """When anyone may take it, if it does not change."""
        held = self.record is not None and self.record.holder
        return self.at + self.record.seconds if self.record and held else self.at


@dataclass(frozen=True)
class View:
    """What one process knows when it decides. ``leaving``: parts it is about to give up, or its last write ends."""

    me: str
    share: int
    now: float
    parts: Mapping[int, Seen]
    wanted: Seen
    leaving: frozenset[int] = frozenset()

    @property
    def mine(self) -> list[int]:
        """The parts that are this process's, and stay so."""
        return [p for p, s in self.parts.items() if s.record and s.record.holder == self.me and p not in self.leaving]

    @property
    def free(self) -> list[int]:
        """The parts that are nobody's."""
        return [p for p, s in self.parts.items() if not (s.record and s.record.holder == self.me) and self.is_free(p)]

    def is_free(self, partition: int) -> bool:
        """Whether a part's time has run out, or it has no holder."""
        return self.now >= self.parts[partition].free_at

    def holders(self) -> dict[str, int]:
        """How many parts each other process holds."""
        found: dict[str, int] = {}
        for partition, seen in self.parts.items():
            if seen.record and seen.record.holder not in ("", self.me) and not self.is_free(partition):
                found[seen.record.holder] = found.get(seen.record.holder, 0) + 1
        return found


@dataclass(frozen=True)
class Moves:
    """What to do about the Leases. ``want``: ask the others for parts."""

    take: Sequence[int] = ()
    give: Sequence[int] = ()
    want: bool = False


def share_of(operators: int) -> int:
    """How many parts each of several operators holds at least."""
    return max(1, PARTITIONS // operators)


def decide(view: View) -> Moves:
    """Which parts to take, which to give up. Renewals are no decision."""
    liked = _order(view.me)
    mine, free = len(view.mine), sorted(view.free, key=liked.index)
    missing = max(0, view.share - mine)
    take = free[:missing] + _late(view, free[missing:])
    more = any(count > view.share for count in view.holders().values())
    return Moves(take, _give(view, liked), want=bool(missing and not take and more))


def _late(view: View, free: Sequence[int]) -> list[int]:
    """Parts that nobody has taken who is to have more; those who hold some take the same number each."""

    def late_at(seen: Seen) -> float:
        return seen.free_at + (LATE_SECONDS if seen.record else FIRST_LATE_SECONDS)

    late = [p for p in free if view.now >= late_at(view.parts[p])]
    takers = 1 + len(view.holders())
    return late[: -(-len(late) // takers)]


def _give(view: View, liked: Sequence[int]) -> list[int]:
    """What this process has above its share, as far as the one who asks has less than that."""
    asks = view.wanted.record.holder if view.wanted.record and view.now < view.wanted.free_at else ""
    if asks in ("", view.me):
        return []
    mine = sorted(view.mine, key=liked.index)
    number = min(len(mine) - view.share, view.share - view.holders().get(asks, 0))
    return mine[-number:] if number > 0 else []


@lru_cache(maxsize=64)
def _order(identity: str) -> tuple[int, ...]:
    """In which order a process takes parts. Each has another one, so that two rarely ask for the same."""

    def weight(partition: int) -> bytes:
        return hashlib.blake2b(f"{identity}/{partition}".encode(), digest_size=8).digest()

    return tuple(sorted(range(PARTITIONS), key=weight))
