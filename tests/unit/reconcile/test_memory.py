"""What is remembered of a cluster goes with it: the process does not grow with the clusters that come and go."""

from __future__ import annotations

from collections import deque

import pytest

from autoscaler.model import RayState
from controller.kube.events import REPEAT_SECONDS, Events
from controller.kube.store import Store
from controller.raycluster.model import Key
from tests.support.builders import NAME, NAMESPACE, raw_cluster, raw_spec
from tests.support.world import World
from tests.unit.kube.test_events import Said


def entries(root: object) -> int:
    """How many entries the containers have that the operator's objects hold, beginning with one of them.

    Without those of stores and Events: they keep what is deleted, up to a bound of their own.
    """
    count, met, todo = 0, set(), [root]
    while todo:
        obj = todo.pop()
        if id(obj) in met or isinstance(obj, Store | Events):
            continue
        met.add(id(obj))
        if isinstance(obj, dict):
            count += len(obj)
            todo += [*obj, *obj.values()]
        elif isinstance(obj, list | tuple | set | frozenset | deque):
            count += len(obj)
            todo += obj
        elif type(obj).__module__.partition(".")[0] in ("controller", "autoscaler"):
            todo += vars(obj).values() if hasattr(obj, "__dict__") else ()
    return count


def live_and_die(world: World, name: str) -> int:
    """A cluster comes, runs, is told about and goes. Returns how much is remembered while it runs."""
    key = Key(NAMESPACE, name)
    world.heads.state = RayState("s", 0.0, ())
    world.api.put("rayclusters", raw_cluster(raw_spec(1), name=name))
    for _ in range(4):
        world.tell()
        world.reconciler.reconcile(key)
        world.kubelet()
    most = entries(world.reconciler)
    for kind in ("rayclusters", "pods", "services"):
        for obj in list(world.api.of(kind)):
            if obj["metadata"]["name"].startswith(name):
                world.api.remove(kind, NAMESPACE, obj["metadata"]["name"])
    world.tell()
    world.reconciler.reconcile(key)
    return most


def test_nothing_is_kept_of_clusters_that_are_gone() -> None:
    world = World()
    world.api.remove("rayclusters", NAMESPACE, NAME)
    world.tell()
    before = entries(world.reconciler)
    for number in range(3):
        assert live_and_die(world, f"c{number}") > before + 10
        assert entries(world.reconciler) == before


def test_of_events_only_the_last_ones_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is remembered is counted; one that was said long before is posted anew."""
    monkeypatch.setattr("controller.kube.events._REMEMBERED", 3)
    said = Said()
    for message in ("first", "second", "third", "fourth"):
        said.post(message)
    said.now += REPEAT_SECONDS
    said.post("fourth")
    said.post("first")
    assert said.methods == [*("POST",) * 4, "PATCH", "POST"]
