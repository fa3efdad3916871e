"""What is written on pods so that autoscalers of nodes leave them alone, from pass to pass."""

from __future__ import annotations

from typing import Any

from autoscaler.model import RayState
from controller.objects.labels import HEAD, WORKER
from controller.raycluster.model import Json
from tests.fakes.heads import node
from tests.support.builders import NAMESPACE, NOW, raw_spec
from tests.support.world import World, well

SAFE, KARPENTER = "cluster-autoscaler.kubernetes.io/safe-to-evict", "karpenter.sh/do-not-disrupt"
OURS = "cluster.ray.io/do-not-disrupt"
BOTH = {"head": True, "busyWorkers": True}


def spec(field: Json | None = None, annotations: Json | None = None) -> dict[str, Any]:
    raw = raw_spec(1, **({"doNotDisrupt": field} if field else {}))
    for pod_type in raw["podTypes"]:
        pod_type["podConfig"]["metadata"]["annotations"] = dict(annotations or {})
    return raw


def settled(world: World) -> int:
    """Passes until nothing is written any more. Returns the number of writes to pods."""
    writes = 0
    for _ in range(9):
        world.tell()
        before = world.api.writes.count(("PATCH", "pods"))
        world.step()
        new = world.api.writes.count(("PATCH", "pods")) - before
        writes += new
        if not new:
            return writes
    raise AssertionError("it goes on writing")


def said(world: World, kind: str) -> dict[str, str]:
    name = world.pod(kind)["metadata"]["name"]
    annotations = world.api.objects["pods", NAMESPACE, name]["metadata"]["annotations"]
    return {n: annotations[n] for n in (SAFE, KARPENTER, OURS) if n in annotations}


def at_work(world: World, idle: float | None = None) -> None:
    world.joins = False
    world.now = NOW + 1000
    name = world.pod(WORKER)["metadata"]["name"]
    world.heads.state = RayState("s", 0.0, (node(1, name, "worker-node", idle=idle),))


ALL = {SAFE: "false", KARPENTER: "true", OURS: "true"}


def test_pods_are_annotated_while_they_run_and_lose_it_when_the_field_goes() -> None:
    world = well(spec())
    uids = {kind: world.pod(kind)["metadata"]["uid"] for kind in (HEAD, WORKER)}
    at_work(world)
    world.user(spec(BOTH))
    assert settled(world) == 2
    assert (said(world, HEAD), said(world, WORKER)) == (ALL, ALL)
    at_work(world, idle=61.0)
    assert settled(world) == 1
    assert said(world, WORKER) == {}
    world.user(spec())
    assert settled(world) == 1
    assert said(world, HEAD) == {}
    assert uids == {kind: world.pod(kind)["metadata"]["uid"] for kind in (HEAD, WORKER)}


def test_a_new_head_has_the_annotations_from_the_start() -> None:
    world = well(spec(BOTH))
    assert said(world, HEAD) == ALL
    assert settled(world) == 0


def test_annotations_of_the_pod_config_win_and_stay() -> None:
    world = well(spec(BOTH, {SAFE: "true"}))
    assert said(world, HEAD) == {**ALL, SAFE: "true"}
    world.user(spec(None, {SAFE: "true"}))
    assert settled(world) == 1
    assert said(world, HEAD) == {SAFE: "true"}


def test_short_tasks_with_pauses_cost_one_write() -> None:
    world = well(spec(BOTH))
    writes = 0
    for turn in range(40):
        at_work(world, idle=None if turn % 2 else 20.0)
        world.now = NOW + 1000 + 30 * turn
        writes += settled(world)
    assert writes == 1
