"""The process's view of one kind of object: fed by a watch and by the answers to its own writes.

Reads never call the API. Two rules make the view safe to decide on:

* **Forward only.** An object never goes back to an older resourceVersion, and what is known to be gone
  never comes back, whatever past is replayed. (resourceVersions of one resource are ordered: KEP-5504.)
* **Own writes at once.** What the API server answered to a create, patch or delete is applied as soon as it is
  known, so that a pass never repeats what an earlier one did, however late the watch is.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from typing import Generic, Protocol, TypeVar

from controller.objects.views import PodView, ServiceView
from controller.raycluster.model import Key, RayCluster


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

# How many of those that are gone are remembered, the latest ones.
MAX_GONE = 10_000


class Store(Generic[T]):
    """Objects by (namespace, name), indexed by the cluster they belong to.

    ``cluster_of`` names the cluster to look at when an object changes; ``notify`` is told that key on every change.
    ``scopes`` are the namespaces that will be listed, or "" for all; ``on_listed`` is told each one, once it has been.
    """

    def __init__(
        self,
        cluster_of: Callable[[T], Key],
        notify: Callable[[Key], None],
        scopes: Collection[str] = ("",),
        on_listed: Callable[[str], None] = lambda scope: None,
    ) -> None:
        self._cluster_of = cluster_of
        self._notify = notify
        self._on_listed = on_listed
        self._lock = threading.Lock()
        self._objects: dict[Key, T] = {}
        self._by_cluster: dict[Key, dict[Key, T]] = {}
        # The watch has delivered everything up to this resourceVersion, per namespace scope.
        self._seen: dict[str, int] = {}
        self._unlisted = set(scopes)
        # uid -> the resourceVersion at which it was known to be gone. One that left the watch's selector may return.
        self._gone: OrderedDict[str, int] = OrderedDict()

    def listed(self, namespace: str) -> bool:
        """What is known of a namespace is all there is; before that, what is missing may well exist."""
        with self._lock:
            return not self._unlisted & {"", namespace}

    def keys(self, scope: str) -> list[Key]:
        """The objects of a scope (a namespace, or "" for all), in no particular order."""
        with self._lock:
            return [key for key in self._objects if _in_scope(key, scope)]

    def get(self, key: Key) -> T | None:
        """The object, or None."""
        with self._lock:
            return self._objects.get(key)

    def all(self) -> list[T]:
        """Every object, in no particular order."""
        with self._lock:
            return list(self._objects.values())

    def __len__(self) -> int:
        with self._lock:
            return len(self._objects)

    def of_cluster(self, cluster: Key) -> list[T]:
        """Every object of a cluster, in no particular order."""
        with self._lock:
            return list(self._by_cluster.get(cluster, {}).values())

    def replace(self, objects: Iterable[T], resource_version: int, scope: str) -> None:
        """Take over a complete list of a scope (a namespace, or "" for all) as of ``resource_version``."""
        listed = {obj.key: obj for obj in objects}
        changed: set[Key] = set()
        with self._lock:
            for key, old in list(self._objects.items()):
                # Younger than the list: one of our own writes, which the watch will still deliver.
                if _in_scope(key, scope) and key not in listed and old.resource_version <= resource_version:
                    self._bury(old.uid, resource_version)
                    changed |= self._drop(key)
            for obj in listed.values():
                changed |= self._put(obj)
            self._seen[scope] = max(self._seen.get(scope, 0), resource_version)
            first = scope in self._unlisted
            self._unlisted.discard(scope)
        self._tell(changed)
        if first:
            self._on_listed(scope)

    def clear(self, scope: str) -> None:
        """The API server knows no such resource any more, so that none of its objects exists."""
        with self._lock:
            changed = set().union(*(self._drop(key) for key in list(self._objects) if _in_scope(key, scope)))
        self._tell(changed)

    def watched(self, obj: T, scope: str) -> None:
        """The watch says that an object is new or has changed."""
        with self._lock:
            changed = self._put(obj)
            self._seen[scope] = max(self._seen.get(scope, 0), obj.resource_version)
        self._tell(changed)

    def deleted(self, obj: T, scope: str) -> None:
        """The watch says that an object is gone. A younger object under its name stays."""
        with self._lock:
            old = self._objects.get(obj.key)
            gone = old is not None and (old.uid == obj.uid or old.resource_version <= obj.resource_version)
            changed = self._drop(obj.key) if gone else set()
            self._bury(obj.uid, obj.resource_version)
            self._seen[scope] = max(self._seen.get(scope, 0), obj.resource_version)
        self._tell(changed)

    def passed(self, resource_version: int, scope: str) -> None:
        """The watch has delivered everything up to here (a bookmark)."""
        with self._lock:
            self._seen[scope] = max(self._seen.get(scope, 0), resource_version)

    def written(self, obj: T) -> None:
        """The API server answered this object to one of our own writes."""
        with self._lock:
            known = obj.key in self._objects
            # Not here, though the watch is past it: it has been deleted since.
            if known or obj.resource_version > self._seen_for(obj.key):
                self._put(obj)

    def removal_asked(self, key: Key, uid: str) -> None:
        """Our delete of this incarnation was accepted, or met nothing: it is on its way out."""
        with self._lock:
            old = self._objects.get(key)
            if old is not None and old.uid == uid and not old.deleting:
                self._set(replace(old, deleting=True))  # type: ignore[type-var]

    def _seen_for(self, key: Key) -> int:
        return max(self._seen.get(key.namespace, 0), self._seen.get("", 0))

    def _put(self, obj: T) -> set[Key]:
        old = self._objects.get(obj.key)
        if obj.resource_version <= self._gone.get(obj.uid, -1):
            return set()
        if old is not None and obj.resource_version <= old.resource_version:
            return set()
        if old is not None and old.uid == obj.uid and old.deleting and not obj.deleting:
            # A deletion cannot be taken back: an event from before it keeps the mark.
            obj = replace(obj, deleting=True)  # type: ignore[type-var]
        changed = {self._cluster_of(old)} if old is not None else set()
        self._set(obj)
        return changed | {self._cluster_of(obj)}

    def _set(self, obj: T) -> None:
        self._drop(obj.key)
        self._objects[obj.key] = obj
        self._by_cluster.setdefault(self._cluster_of(obj), {})[obj.key] = obj

    def _drop(self, key: Key) -> set[Key]:
        old = self._objects.pop(key, None)
        if old is None:
            return set()
        cluster = self._cluster_of(old)
        members = self._by_cluster[cluster]
        del members[key]
        if not members:
            del self._by_cluster[cluster]
        return {cluster}

    def _bury(self, uid: str, resource_version: int) -> None:
        self._gone[uid] = resource_version
        self._gone.move_to_end(uid)
        if len(self._gone) > MAX_GONE:
            self._gone.popitem(last=False)

    def _tell(self, changed: set[Key]) -> None:
        for cluster in changed:
            self._notify(cluster)


def _in_scope(key: Key, scope: str) -> bool:
    return scope in ("", key.namespace)


@dataclass(frozen=True)
class Stores:
    """Everything the operator knows of the API server's content."""

    clusters: Store[RayCluster]
    pods: Store[PodView]
    services: Store[ServiceView]

    def listed(self, namespace: str) -> bool:
        """The picture of a namespace is complete; before that nothing may be decided there."""
        return all(s.listed(namespace) for s in (self.clusters, self.pods, self.services))
