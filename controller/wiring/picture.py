"""How complete is what the stores hold: all of it, or what belongs to the parts that this process holds."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from controller.kube.holdings import Holdings
from controller.kube.leadership import Leadership
from controller.kube.partitions import partition_of
from controller.kube.store import Stores
from controller.raycluster.model import PLURAL, Key

# What has to be listed before a cluster is reconciled.
NEEDED = frozenset({PLURAL, "pods", "services"})


class Picture(Protocol):
    """What is known of the API server's content, as far as a pass depends on it."""

    def complete(self, cluster: Key) -> bool:
        """Everything about a cluster is known that there is; before that nothing may be decided about it."""

    def missing(self) -> str:
        """What has still to be listed; empty when all is."""


class WholePicture:
    """Of every cluster of the scopes (namespaces, or "" for all)."""

    def __init__(self, stores: Stores, scopes: Collection[str]) -> None:
        self._stores = stores
        self._scopes = scopes

    def complete(self, cluster: Key) -> bool:
        """See Picture."""
        return self._stores.listed(cluster.namespace)

    def missing(self) -> str:
        """See Picture."""
        return ", ".join(scope or "all namespaces" for scope in self._scopes if not self._stores.listed(scope))


@dataclass(eq=False)
class Sight:
    """What one set of watches sees: the parts that were held when it began, as long as they are held without a break.

    ``stop``: ends its watches. ``unlisted``: by scope, the resources that have not been listed yet.
    """

    holdings: Holdings
    rights: Mapping[int, Leadership]
    unlisted: dict[str, set[str]]
    stop: threading.Event = field(default_factory=threading.Event)

    def sees(self, cluster: Key) -> bool:
        """Whether what the watches bring about a cluster is kept."""
        return self.sees_part(partition_of(cluster))

    def sees_part(self, part: int) -> bool:
        """The same for each cluster of a part."""
        right = self.holdings.held().get(part)
        return right is not None and self.rights.get(part) is right

    def listed(self, resource: str, scope: str) -> bool:
        """A resource was listed in a scope. Whether this was the last one that was missing there."""
        missing = self.unlisted[scope]
        was_missing = resource in missing
        missing.discard(resource)
        return was_missing and not missing

    def covers(self, cluster: Key) -> bool:
        """Whether everything about a cluster is known."""
        unlisted = self.unlisted.get("", self.unlisted.get(cluster.namespace, NEEDED))
        return not unlisted and self.sees(cluster)


class PartialPicture:
    """Of the clusters in the parts that are held. One sight follows another; the last listed one serves meanwhile."""

    def __init__(self, holdings: Holdings, scopes: Collection[str]) -> None:
        self._holdings = holdings
        self._scopes = scopes
        self._lock = threading.Lock()
        self.sights: tuple[Sight, ...] = ()
        self._looked = False

    def complete(self, cluster: Key) -> bool:
        """See Picture."""
        return any(sight.covers(cluster) for sight in self.sights)

    def missing(self) -> str:
        """See Picture."""
        if not self._looked:
            return "the leases of the other operators"
        listed = [sight for sight in self.sights if not any(sight.unlisted.values())]
        parts = sorted(part for part in self._holdings.held() if not any(s.sees_part(part) for s in listed))
        return f"the parts {', '.join(map(str, parts))} of all clusters" if parts else ""

    def looked(self) -> None:
        """The API server has answered which operator holds what."""
        self._looked = True

    def begin(self) -> Sight:
        """A new sight, of what is held now. Those that are still unlisted end: it will see all that they would."""
        rights = self._holdings.held()
        sight = Sight(self._holdings, rights, {scope: set(NEEDED) for scope in self._scopes if rights})
        with self._lock:
            for other in self.sights:
                if any(other.unlisted.values()):
                    other.stop.set()
            self._keep(sight)
        return sight

    def settled(self, sight: Sight) -> None:
        """A sight has listed everything: those before it are not needed any more."""
        with self._lock:
            for other in self.sights[: self.sights.index(sight)] if sight in self.sights else ():
                other.stop.set()
            self._keep()

    def end(self) -> None:
        """Nothing is watched any more."""
        with self._lock:
            for sight in self.sights:
                sight.stop.set()

    def _keep(self, *more: Sight) -> None:
        self.sights = (*(s for s in self.sights if not s.stop.is_set()), *more)
