"""Which cluster had its head at an address first.

A head is known by the name of its pod. Such names are unique in their namespace only, and what pods are called follows
from a spec: whoever tries long enough gets a name of another namespace. At one address only one of the two answers.
"""

from __future__ import annotations

from controller.raycluster.model import Key


class Addresses:
    """For one thread at a time."""

    def __init__(self) -> None:
        self._first: dict[str, Key] = {}
        self._of: dict[Key, str] = {}

    def note(self, cluster: Key, address: str) -> None:
        """The cluster's head is there; empty for nowhere."""
        before = self._of.pop(cluster, "")
        if before != address and self._first.get(before) == cluster:
            del self._first[before]
        if address:
            self._of[cluster] = address
            self._first.setdefault(address, cluster)

    def earlier(self, cluster: Key) -> Key | None:
        """The other cluster whose head was at the address of this one's before; None when there is none."""
        first = self._first.get(self._of.get(cluster, ""))
        return None if first == cluster else first
