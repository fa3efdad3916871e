"""Answers that are kept for the next one who asks the same, in so much memory and no more."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Hashable, Mapping
from threading import Lock
from typing import Any, Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

# What a value takes beside its text, about, and what its place in a collection does.
_BYTES, _PLACE_BYTES = 100, 40
# The part of the room that one answer may take.
_PARTS = 8


class Remembered(Generic[K, V]):
    """The answers of ``find``, those that were asked for last. Safe to use from many threads.

    ``room``: bytes, about, for questions and answers together. What people write decides how large they are, so that
    a number of them is no bound.
    """

    def __init__(self, find: Callable[[K], V], room: int) -> None:
        self._find = find
        self._room = room
        self._left = room
        self._lock = Lock()
        self._known: OrderedDict[K, tuple[V, int]] = OrderedDict()

    def of(self, asked: K) -> V:
        """What ``find`` answers, or has answered. What it raises is not kept."""
        with self._lock:
            if asked in self._known:
                self._known.move_to_end(asked)
                return self._known[asked][0]
        found = self._find(asked)
        size = weight((asked, found), self._room // _PARTS)
        if size <= self._room // _PARTS:
            self._keep(asked, found, size)
        return found

    def _keep(self, asked: K, found: V, size: int) -> None:
        with self._lock:
            _, before = self._known.pop(asked, (None, 0))
            self._known[asked] = found, size
            self._left += before - size
            while self._left < 0:
                _, (_, oldest) = self._known.popitem(last=False)
                self._left += oldest


def weight(value: Any, most: int) -> int:
    """How many bytes a value and all that is in it take, about; more than ``most`` for any that takes more."""
    pending, seen, size = [value], set[int](), 0
    while pending and size <= most:
        found = pending.pop()
        # Parts are shared, small numbers by all.
        if id(found) in seen or isinstance(found, int):
            continue
        seen.add(id(found))
        parts = _parts(found)
        size += _BYTES + (len(found) if isinstance(found, str) else _PLACE_BYTES * len(parts))
        pending += parts
    return size


def _parts(value: Any) -> Collection[Any]:
    if isinstance(value, Mapping):
        return (*value, *value.values())
    if isinstance(value, tuple | list | set | frozenset):
        return value
    return getattr(value, "__dict__", {}).values()
