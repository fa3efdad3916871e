"""Where harm is done: a namespace of its own, by somebody who may create RayClusters and pods there."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from elastic import ray_cluster

from tests.support.apiserver import ApiServer

NAMESPACE = "hostile"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
RAYCLUSTERS = f"/apis/cluster.ray.io/v1/namespaces/{NAMESPACE}/rayclusters"


@dataclass
class Place:
    """Where it is done: the namespace, by its user; the operator's port; ``until`` is set when it is to end."""

    server: ApiServer
    port: int
    until: threading.Event

    def make(self, cluster: dict[str, Any]) -> None:
        """Create a RayCluster; the API server may refuse it."""
        with suppress(AssertionError):
            self.server.ask("POST", RAYCLUSTERS, cluster)

    def again(self, act: Callable[[int], object], every: float = 0.02) -> None:
        """Do it again and again until the end, refused or not."""
        for number in itertools.count():
            if self.until.wait(every):
                return
            with suppress(AssertionError):
                act(number)

    def empty(self) -> None:
        """All that was made goes."""
        for path in (RAYCLUSTERS, PODS):
            self.server.ask("DELETE", path + "?gracePeriodSeconds=0")

    def is_empty(self) -> bool:
        """Whether it has gone."""
        return not any(self.server.ask("GET", path + "?limit=1")["items"] for path in (RAYCLUSTERS, PODS))


def cluster(name: str, most: int = 10, **fields: Any) -> dict[str, Any]:
    """A RayCluster as it should be."""
    kind = {"name": "worker", "maxWorkers": most, "rayResources": {"CPU": 1}, **fields}
    return ray_cluster(name, [kind], maxWorkers=most)
