"""The process's view of one kind of object: fed by a watch and by the answers to its own writes.

Reads never call the API. Two rules make the view safe to decide on:

* **Forward only.** An object never goes back to an older resourceVersion, and what is known to be gone
  never comes back, whatever past is replayed. (resourceVersions of one resource are ordered: KEP-5504.)
* **Own writes at once.** What the API server answered to a create, patch or delete is applied as soon as it is
  known, so that a pass never repeats what an earlier one did, however late the watch is.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

from controller.objects.claim import ClaimView
from controller.objects.cleanup import CleanupView
from controller.objects.views import PodView, ServiceView
from controller.raycluster.model import Key, RayCluster

from .index import Gone, Index, Progress, Stored
from .nodes import Nodes

T = TypeVar("T", bound=Stored)


class Store(Generic[T]):
    """Objects by (namespace, name), indexed by the cluster they belong to. Safe to use from many threads.

    ``cluster_of`` names the cluster to look at when an object changes; ``notify`` gets that key on every change.
    ``scopes`` are the namespaces that will be listed, or "" for all; ``on_listed`` gets each one, once it has been.
    """

    def __init__(
        self,
        cluster_of: Callable[[T], Key],
        notify: Callable[[Key], None],
        scopes: Collection[str] = ("",),
        on_listed: Callable[[str], None] = lambda scope: None,
    ) -> None:
        self._notify = notify
        self._on_listed = on_listed
        self._lock = threading.Lock()
        self._index = Index(cluster_of)
        self._gone = Gone()
        self._progress = Progress()
        self._unlisted = set(scopes)

    def listed(self, namespace: str) -> bool:
        """What is known of a namespace is all there is; before that, what is missing may well exist."""
        with self._lock:
            return not self._unlisted & {"", namespace}

    def get(self, key: Key) -> T | None:
        """The object, or None."""
        with self._lock:
            return self._index.get(key)

    def all(self, scope: str = "") -> list[T]:
        """The objects of a scope (a namespace, or "" for all), in no particular order."""
        with self._lock:
            return self._index.all(scope)

    def __len__(self) -> int:
        with self._lock:
            return len(self._index)

    def of_cluster(self, cluster: Key) -> list[T]:
        """Every object of a cluster, in no particular order."""
        with self._lock:
            return self._index.of_cluster(cluster)

    def replace(
        self,
        objects: Iterable[T],
        resource_version: int,
        scope: str,
        covers: Callable[[Key], bool] = lambda cluster: True,
    ) -> None:
        """Take over a complete list of a scope (a namespace, or "" for all) as of ``resource_version``.

        ``covers``: the clusters whose objects are in the list.
        """
        listed = {obj.key: obj for obj in objects}
        changed: set[Key] = set()
        with self._lock:
            for old in self._index.all(scope):
                # Younger than the list: one of our own writes, which the watch will still deliver.
                missing = old.key not in listed and old.resource_version <= resource_version
                if missing and covers(self._index.cluster_of(old)):
                    self._gone.add(old.uid, resource_version)
                    changed |= self._index.drop(old.key)
            for obj in listed.values():
                changed |= self._put(obj)
            self._progress.reach(resource_version, scope)
            first = scope in self._unlisted
            self._unlisted.discard(scope)
        self._tell(changed)
        if first:
            self._on_listed(scope)

    def leave_out(self, clusters: Callable[[Key], bool]) -> None:
        """Know nothing of these clusters any more, whether their objects exist or not."""
        with self._lock:
            left = [obj.key for obj in self._index.all("") if clusters(self._index.cluster_of(obj))]
            changed = set().union(*(self._index.drop(key) for key in left))
        self._tell(changed)

    def watched(self, obj: T, scope: str) -> None:
        """The watch says that an object is new or has changed."""
        with self._lock:
            changed = self._put(obj)
            self._progress.reach(obj.resource_version, scope)
        self._tell(changed)

    def deleted(self, obj: T, scope: str) -> None:
        """The watch says that an object is gone. A younger object under its name stays."""
        with self._lock:
            old = self._index.get(obj.key)
            gone = old is not None and (old.uid == obj.uid or old.resource_version <= obj.resource_version)
            changed = self._index.drop(obj.key) if gone else set()
            self._gone.add(obj.uid, obj.resource_version)
            self._progress.reach(obj.resource_version, scope)
        self._tell(changed)

    def bookmark(self, resource_version: int, scope: str) -> None:
        """The watch has delivered everything up to here: a bookmark, or an object in a version that is held."""
        with self._lock:
            self._progress.reach(resource_version, scope)

    def written(self, obj: T) -> None:
        """The API server answered this object to one of our own writes."""
        with self._lock:
            known = self._index.get(obj.key) is not None
            # Not here, though the watch is past it: it has been deleted since.
            if known or obj.resource_version > self._progress.of(obj.key):
                self._put(obj)

    def removal_asked(self, key: Key, uid: str) -> None:
        """Our delete of this incarnation was accepted, or met nothing: it is on its way out."""
        with self._lock:
            old = self._index.get(key)
            if old is not None and old.uid == uid and not old.deleting:
                self._index.put(replace(old, deleting=True))  # type: ignore[type-var]

    def _put(self, obj: T) -> set[Key]:
        """Keep a state that is newer than what is known. Returns the clusters to look at."""
        old = self._index.get(obj.key)
        # The answer to a create may be metadata alone: then the same version may say more.
        more = getattr(obj, "whole", True) and not getattr(old, "whole", True)
        newest = -1 if old is None else old.resource_version - 1 if more else old.resource_version
        if self._gone.covers(obj) or obj.resource_version <= newest:
            return set()
        if old is not None and old.uid == obj.uid and old.deleting and not obj.deleting:
            # A deletion cannot be taken back: an event from before it keeps the mark.
            obj = replace(obj, deleting=True)  # type: ignore[type-var]
        return self._index.put(obj)

    def _tell(self, changed: set[Key]) -> None:
        for cluster in changed:
            self._notify(cluster)


def sharing_spec(cluster: RayCluster, clusters: Store[RayCluster]) -> RayCluster:
    """The cluster, with the spec that is held already where it is the same one.

    A spec may have a megabyte, and each change of the status brings another copy of it.
    """
    known = clusters.get(cluster.key)
    same = known is not None and (known.uid, known.generation) == (cluster.uid, cluster.generation)
    return replace(cluster, spec=known.spec) if known and same and known.spec == cluster.spec else cluster


def _no_claims() -> Store[ClaimView]:
    return Store(lambda c: c.cluster, lambda _: None)


def _no_cleanups() -> Store[CleanupView]:
    return Store(lambda j: j.cluster, lambda _: None)


@dataclass(frozen=True)
class Stores:
    """Everything the operator knows of the API server's content. ``claims``, ``cleanups``: only some clusters need them
    listed. ``nodes``: those that are being emptied, where that is watched.
    """

    clusters: Store[RayCluster]
    pods: Store[PodView]
    services: Store[ServiceView]
    claims: Store[ClaimView] = field(default_factory=_no_claims)
    cleanups: Store[CleanupView] = field(default_factory=_no_cleanups)
    nodes: Nodes = field(default_factory=Nodes, kw_only=True)

    def claims_wanted(self, scope: str) -> bool:
        """Whether a cluster of a scope keeps its head's store on a volume: an older role has no right to claims."""
        return any("headRecovery" in cluster.spec for cluster in self.clusters.all(scope))

    def cleanups_wanted(self, scope: str) -> bool:
        """Whether a cluster of a scope keeps what its head knows in a Redis: an older role has no right to Jobs."""
        specs = (cluster.spec.get("headRecovery") for cluster in self.clusters.all(scope))
        return any(isinstance(recovery, dict) and recovery.get("redis") for recovery in specs)

    def keys(self, scope: str) -> set[Key]:
        """Every cluster that there is something to do about, though it may be gone."""
        return {c.key for c in self.clusters.all(scope)} | {j.cluster for j in self.cleanups.all(scope)}

    def leave_out(self, clusters: Callable[[Key], bool]) -> None:
        """See Store."""
        for store in (self.pods, self.services, self.claims, self.cleanups, self.clusters):
            store.leave_out(clusters)

    def listed(self, namespace: str) -> bool:
        """The picture of a namespace is complete; before that nothing may be decided there."""
        return all(s.listed(namespace) for s in (self.clusters, self.pods, self.services))
