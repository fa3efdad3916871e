"""What a store keeps: objects by key and by cluster, those that are gone, and how far the watch has come.

None of it is safe to use from several threads; the store holds its lock.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Generic, Protocol, TypeVar

from controller.raycluster.model import Key


class Stored(Protocol):
    """What a store needs to know of an object."""

    @property
    def key(self) -> Key: ...
    @property
    def uid(self) -> str: ...
    @property
    def resource_version(self) -> int: ...
    @property
    def deleting(self) -> bool: ...


T = TypeVar("T", bound=Stored)


class Cache(Protocol[T]):
    """What a watch writes into. The methods are those of Store."""

    def get(self, key: Key) -> T | None: ...
    def replace(
        self, objects: Iterable[T], resource_version: int, scope: str, covers: Callable[[Key], bool]
    ) -> None: ...
    def watched(self, obj: T, scope: str) -> None: ...
    def deleted(self, obj: T, scope: str) -> None: ...
    def bookmark(self, resource_version: int, scope: str) -> None: ...
    def leave_out(self, clusters: Callable[[Key], bool]) -> None: ...


# How many of those that are gone are remembered, the latest ones.
MAX_GONE = 10_000


class Index(Generic[T]):
    """Objects by (namespace, name), and by the cluster they belong to."""

    def __init__(self, cluster_of: Callable[[T], Key]) -> None:
        self.cluster_of = cluster_of
        self._objects: dict[Key, T] = {}
        self._by_cluster: dict[Key, dict[Key, T]] = {}

    def __len__(self) -> int:
        return len(self._objects)

    def get(self, key: Key) -> T | None:
        """The object, or None."""
        return self._objects.get(key)

    def all(self, scope: str) -> list[T]:
        """The objects of a scope (a namespace, or "" for all), in no particular order."""
        return [obj for key, obj in self._objects.items() if scope in ("", key.namespace)]

    def of_cluster(self, cluster: Key) -> list[T]:
        """Every object of a cluster, in no particular order."""
        return list(self._by_cluster.get(cluster, {}).values())

    def put(self, obj: T) -> set[Key]:
        """Keep the object in place of the one under its key. Returns the clusters that either belongs to."""
        clusters = self.drop(obj.key)
        cluster = self.cluster_of(obj)
        self._objects[obj.key] = obj
        self._by_cluster.setdefault(cluster, {})[obj.key] = obj
        return clusters | {cluster}

    def drop(self, key: Key) -> set[Key]:
        """Keep the object no longer. Returns the cluster it belongs to, if there was one."""
        old = self._objects.pop(key, None)
        if old is None:
            return set()
        cluster = self.cluster_of(old)
        members = self._by_cluster[cluster]
        del members[key]
        if not members:
            del self._by_cluster[cluster]
        return {cluster}


class Gone:
    """uid -> the resourceVersion at which an object was known to be gone. One that left the watch's selector may return
    at a later one.
    """

    def __init__(self) -> None:
        self._versions: OrderedDict[str, int] = OrderedDict()

    def add(self, uid: str, resource_version: int) -> None:
        """It is gone as of this version."""
        self._versions[uid] = resource_version
        self._versions.move_to_end(uid)
        if len(self._versions) > MAX_GONE:
            self._versions.popitem(last=False)

    def covers(self, obj: Stored) -> bool:
        """Whether this is a state from before it was gone."""
        return obj.resource_version <= self._versions.get(obj.uid, -1)


class Progress:
    """The watch has delivered everything up to a resourceVersion, per scope."""

    def __init__(self) -> None:
        self._versions: dict[str, int] = {}

    def reach(self, resource_version: int, scope: str) -> None:
        """Everything of the scope up to here has been delivered."""
        self._versions[scope] = max(self._versions.get(scope, 0), resource_version)

    def of(self, key: Key) -> int:
        """Up to where everything about an object has been delivered."""
        return max(self._versions.get(key.namespace, 0), self._versions.get("", 0))
