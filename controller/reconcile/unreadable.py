"""Objects that cannot be read: users see it where they look for it, in a metric and in the RayCluster's Events."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, Protocol

from controller.kube.events import WARNING
from controller.kube.well_formed import MalformedError, metadata_of
from controller.raycluster.model import PLURAL, Key, RayCluster

from .worker import Owner


class Counter(Protocol):
    """A metric with one label."""

    def labels(self, resource: str, /) -> Any:
        """The counter of one resource."""


class SetAside:
    """What becomes known of objects that cannot be read: a metric counts them, and a RayCluster gets an Event.

    ``writers``: the executor of one cluster. ``owner_of``: what may write about it.
    """

    def __init__(self, counter: Counter, writers: Callable[[Key], Executor], owner_of: Callable[[Key], Owner]) -> None:
        self._counter = counter
        self._writers = writers
        self._owner_of = owner_of

    def of(self, resource: str) -> Callable[[Any, Exception], None]:
        """What a watch of this resource calls with each object, and with what is wrong with it. It does not wait."""
        counter = self._counter.labels(resource)

        def set_aside(obj: Any, error: Exception) -> None:
            counter.inc()
            cluster = _named(obj) if resource == PLURAL else None
            if cluster and self._owner_of(cluster.key).leadership.leads():
                self._writers(cluster.key).submit(self._post, cluster, error)

        return set_aside

    def _post(self, cluster: RayCluster, error: Exception) -> None:
        why = str(error) if isinstance(error, MalformedError) else "a field is missing or has the wrong type"
        message = f"The RayCluster cannot be read: {why}. The operator does not touch it until it changes."
        self._owner_of(cluster.key).events.post(cluster, WARNING, "ReadFailed", message)


def _named(obj: Any) -> RayCluster | None:
    metadata = metadata_of(obj)
    namespace, name, uid = (metadata.get(part) for part in ("namespace", "name", "uid"))
    if not (isinstance(namespace, str) and isinstance(name, str) and isinstance(uid, str)):
        return None
    return RayCluster(Key(namespace, name), uid, resource_version=0, generation=0, deleting=False, spec={}, status={})
