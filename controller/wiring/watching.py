"""The watches of one scope: which resources, into which stores, and who is told."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from controller.kube.index import Cache, Stored
from controller.kube.leftovers import JobsWanted
from controller.kube.store import sharing_spec
from controller.kube.watch import Watcher
from controller.objects.claim import ClaimView
from controller.objects.cleanup import SELECTOR, CleanupView
from controller.objects.labels import CLUSTER_LABEL
from controller.objects.nodes import NodeView
from controller.objects.views import PodView, ServiceView
from controller.raycluster.model import PLURAL, Key, RayCluster
from controller.reconcile.unreadable import SetAside

from .parts import Parts, Watched
from .picture import NEEDED

T = TypeVar("T", bound=Stored)

# A watch turns at least twice a minute, or once in that time when the server asks to be left alone.
WATCH_LIMIT_SECONDS = 300.0
WITHOUT_NODES = (
    "without list and watch on nodes a worker is drained once the end of its own pod is announced, not when its node "
    "is about to be emptied; grant the rights, or set --watch-nodes=false"
)


@dataclass(frozen=True)
class Looks:
    """What the watches are for. ``on_listed`` gets the resource and the scope each time that one was listed."""

    stop: threading.Event
    set_aside: SetAside
    sees: Callable[[Key], bool] = lambda cluster: True
    on_listed: Callable[[str, str], None] = lambda resource, scope: None


@dataclass(frozen=True)
class _Kind(Generic[T]):
    """One resource: its store, how an object is read, which ones are asked for, and from when on; see Watcher."""

    resource: str
    store: Cache[T]
    read: Callable[[dict[str, Any]], T]
    selector: str = CLUSTER_LABEL
    wanted: Callable[[str], bool] = lambda scope: True
    without: str = ""


def watch_scope(parts: Parts, scope: str, looks: Looks) -> tuple[list[Watched], list[threading.Thread]]:
    """The watches without which this process is not ready, and the threads of all."""
    stores = parts.stores
    clusters = _Kind(PLURAL, stores.clusters, lambda o: sharing_spec(RayCluster.from_object(o), stores.clusters), "")
    claims = _Kind("persistentvolumeclaims", stores.claims, ClaimView.from_object, wanted=stores.claims_wanted)
    wanted = JobsWanted(parts.connection, stores)
    cleanups = _Kind("jobs", stores.cleanups, CleanupView.from_object, SELECTOR, wanted)
    made = [
        _watch(parts, scope, looks, clusters),
        _watch(parts, scope, looks, _Kind("pods", stores.pods, PodView.from_object)),
        _watch(parts, scope, looks, _Kind("services", stores.services, ServiceView.from_object)),
        _watch(parts, scope, looks, claims),
        _watch(parts, scope, looks, cleanups),
    ]
    # What only some clusters need makes the process unready for none of the others.
    needed: list[Watched] = [watcher for watcher, resource, _ in made if resource in NEEDED]
    return needed, [thread for _, _, thread in made]


def watch_nodes(parts: Parts, looks: Looks) -> threading.Thread:
    """The thread of the one watch that has no namespace. All else does without it; it begins with the first pod."""
    stores = parts.stores
    nodes = _Kind("nodes", stores.nodes, NodeView.from_object, "", lambda _: len(stores.pods) > 0, WITHOUT_NODES)
    return _watch(parts, "", looks, nodes)[2]


def _watch(parts: Parts, scope: str, looks: Looks, kind: _Kind[T]) -> tuple[Watched, str, threading.Thread]:
    name = f"watch-{kind.resource}-{scope or 'all'}"
    loop = parts.health.loop(name, WATCH_LIMIT_SECONDS)
    watcher = Watcher(
        parts.connection.for_watch(kind.resource, scope, loop.turn),
        kind.resource,
        scope,
        kind.store,
        kind.read,
        selector=kind.selector,
        stop=looks.stop,
        on_set_aside=looks.set_aside.of(kind.resource),
        wanted=lambda: kind.wanted(scope),
        sees=looks.sees,
        on_listed=lambda: looks.on_listed(kind.resource, scope),
        without=kind.without,
    )

    def run() -> None:
        watcher.run()
        # It was told to end: another one may follow, or none.
        loop.rest()

    return watcher, kind.resource, threading.Thread(target=run, name=name, daemon=True)
