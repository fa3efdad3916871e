"""RayClusters that cannot be read: the user sees it where they look for it, in the Events of the RayCluster."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any

from controller.kube.events import WARNING, Events
from controller.kube.well_formed import MalformedError
from controller.raycluster.model import Key, RayCluster


class UnreadableClusters:
    """``writers``: the executor of one cluster. ``leads``: whether this process may write."""

    def __init__(self, events: Events, writers: Callable[[Key], Executor], leads: Callable[[], bool]) -> None:
        self._events = events
        self._writers = writers
        self._leads = leads

    def __call__(self, obj: Any, error: Exception) -> None:
        """Post an Event about an object that was set aside, where its metadata say which one it is. Does not wait."""
        cluster = _named(obj)
        if cluster and self._leads():
            why = str(error) if isinstance(error, MalformedError) else "a field is missing or has the wrong type"
            message = f"The RayCluster cannot be read: {why}. The operator does not touch it until it changes."
            self._writers(cluster.key).submit(lambda: self._events.post(cluster, WARNING, "ReadFailed", message))


def _named(obj: Any) -> RayCluster | None:
    metadata = obj.get("metadata") if isinstance(obj, dict) else None
    about = metadata if isinstance(metadata, dict) else {}
    namespace, name, uid = (about.get(part) for part in ("namespace", "name", "uid"))
    if not (isinstance(namespace, str) and isinstance(name, str) and isinstance(uid, str)):
        return None
    return RayCluster(Key(namespace, name), uid, resource_version=0, generation=0, deleting=False, spec={}, status={})
