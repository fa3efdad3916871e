"""How much of what heads have answered is kept: all answers together have a bound, and each owner of heads a share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

# The least that is counted, and by which part a large answer may grow without being counted anew.
LEAST_BYTES = 1_024
PARTS = 8
# Of an owner, however many there are: some hundred nodes.
LEAST_SHARE = 64 * 2**10


class Kept(Generic[K]):
    """In bytes of answers; as values they take three to thirteen times that. For one thread at a time.

    ``room``: what all may take. ``owner``: of the head with a key. The answers of one owner always fit if they are
    within its share, the room by the number of owners. More is kept while there is room, and then for as long as it
    does not grow: nobody loses room to those that come later. Never more than twice the room is taken.
    """

    def __init__(self, room: int, owner: Callable[[K], Hashable]) -> None:
        self._room = room
        self._owner = owner
        self._sizes: dict[K, int] = {}
        self._of: Counter[Hashable] = Counter()

    def takes(self, key: K, size: int) -> bool:
        """Whether the answer of a head may be kept in place of its last one; it is counted then."""
        owner, before, size = self._owner(key), self._sizes.get(key, 0), _rounded(size)
        own = self._of[owner] - before + size
        everything = self._of.total() - before + size
        share = max(LEAST_SHARE, self._room // (len(self._of) + (owner not in self._of)))
        if size > before and everything > (2 * self._room if own <= share else self._room):
            return False
        self._sizes[key] = size
        self._of[owner] = own
        return True

    def drop(self, key: K) -> None:
        """Nothing of this head is kept."""
        size, owner = self._sizes.pop(key, 0), self._owner(key)
        self._of[owner] -= size
        if not self._of[owner]:
            del self._of[owner]


def _rounded(size: int) -> int:
    """The same for sizes that differ by little."""
    step = max(LEAST_BYTES, (1 << max(size, 1).bit_length() - 1) // PARTS)
    return -(-size // step) * step
