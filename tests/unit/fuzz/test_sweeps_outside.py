"""Every odd value in every place of a status that anyone has written, and of a watch's event, one at a time."""

from __future__ import annotations

import copy
import itertools
import threading
from collections.abc import Iterator
from typing import Any

from controller.kube.client import Request
from controller.kube.store import Store
from controller.kube.watch import Watcher
from controller.objects.views import PodView
from tests.support.builders import raw_pod, raw_spec
from tests.support.world import World
from tests.unit.fuzz.engine import ODD, as_sent, assert_no_exception_in, bounded
from tests.unit.fuzz.test_objects import pod_status
from tests.unit.fuzz.test_sweeps import EVERY, places, replaced
from tests.unit.status.test_status_schema import everything

# There are fewer places than in a spec.
OFTEN = max(EVERY // 2, 1)


def test_each_odd_value_in_each_place_of_a_status() -> None:
    world = World(raw_spec(idleTermination={"minutes": 60}))
    world.turns(4)
    whole = everything()
    pairs = itertools.product(places(whole), ODD)
    for path, odd in itertools.islice(pairs, 0, None, OFTEN):
        found = copy.deepcopy(next(iter(world.api.of("rayclusters"))))
        # The head is the one that the status knows, so that the rest of it counts.
        known = {**whole, "head": {**whole["head"], "uid": found["status"]["head"]["uid"]}}
        found["status"] = as_sent(replaced(known, path, odd))
        with bounded(f"{odd!r:.40} at {path}"):
            world.api.put("rayclusters", found)
            try:
                world.turns(2)
            except Exception as error:
                raise AssertionError(f"{odd!r:.60} at {path}") from error
        assert_no_exception_in([world.status, world.api.events])
        world.api.events.clear()


class Telling:
    """A server that tells of one event, then of a pod that is as it should be."""

    def __init__(self, event: Any) -> None:
        self.pod = raw_pod(name="well", uid="well", namespace="ray", resourceVersion="12")
        self.event, self.stop, self.listed = event, threading.Event(), 0

    def send(self, request: Request) -> dict[str, Any]:
        self.listed += 1
        return {"items": [self.pod] if self.listed > 1 else [], "metadata": {"resourceVersion": str(8 + self.listed)}}

    def watch(self, request: Request, read_seconds: float) -> Iterator[dict[str, Any]]:
        if self.listed == 1:
            yield self.event
        yield {"type": "ADDED", "object": self.pod}
        self.stop.set()
        yield {"type": "ADDED", "object": self.pod}


class Patient(threading.Event):
    """Is never waited for."""

    def wait(self, timeout: float | None = None) -> bool:
        return self.is_set()


def test_each_odd_value_in_each_place_of_a_watch_event() -> None:
    pod = raw_pod(name="odd", uid="odd", namespace="ray", resourceVersion="11")
    pod["spec"] = {"containers": [{"name": "ray-node"}], "tolerations": [{"key": "a", "operator": "Exists"}]}
    pod["status"] = pod_status(pod)
    event = {"type": "MODIFIED", "object": pod}
    for path, odd in itertools.islice(itertools.product(places(event), ODD), 0, None, OFTEN):
        server = Telling(as_sent(replaced(event, path, odd)))
        server.stop = Patient()
        store: Store[PodView] = Store(lambda p: p.cluster, lambda key: None, ("ray",))
        with bounded(f"{odd!r:.40} at {path}"):
            try:
                Watcher(server, "pods", "ray", store, PodView.from_object, stop=server.stop).run()
            except Exception as error:
                raise AssertionError(f"{odd!r:.60} at {path}") from error
        assert "well" in {p.name for p in store.all()}, f"{odd!r:.60} at {path}"
