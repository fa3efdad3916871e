"""The operator may be killed after any single write: nobody can tell from what it leaves behind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from controller.objects.claim import build_claim
from controller.objects.labels import HEAD, KIND_LABEL, WORKER, WORKER_LABEL
from controller.raycluster.head_recovery import Storage
from tests.support.builders import NOW_TEXT, cluster, raw_spec
from tests.support.slices import slice_spec
from tests.support.world import World


def lose_head(world: World) -> None:
    world.fail(HEAD)


def lose_worker(world: World) -> None:
    world.fail(WORKER)


def change_head(world: World) -> None:
    world.user(raw_spec(headStartRayCommands=["ray start --head -v"]))


def change_workers(world: World) -> None:
    world.user(raw_spec(workers=3, workerStartRayCommands=["ray start -v"]))


def nothing(world: World) -> None:
    """Just the first start."""


def retire_idle(world: World) -> None:
    """The idle timeout of both workers is over, and the minimum does not ask for them."""
    world.user(raw_spec(workers=0))
    world.idle = 301.0
    world.now += 301


def drain_busy(world: World) -> None:
    """One of two workers at work has to go, because of maxWorkers; it finishes before its deadline."""
    world.ray()
    assert world.heads.state
    world.heads.busy = {n.node_id for n in world.heads.state.nodes}
    world.user(raw_spec(workers=1, maxWorkers=1))


def suspend(world: World) -> None:
    """One of two workers is at work, and finishes before its deadline."""
    world.ray()
    assert world.heads.state
    world.heads.busy = {world.heads.state.nodes[0].node_id}
    world.user(raw_spec(suspend=True))


def suspend_at_the_start(world: World) -> None:
    """The first pods are there and do not run yet."""
    fresh(world)
    world.step()
    world.tell()
    world.user(raw_spec(suspend=True))


def resume(world: World) -> None:
    """All pods were gone."""
    world.user(raw_spec(suspend=True))
    world.settle()
    world.api.writes.clear()
    world.user(raw_spec())


def resume_halfway(world: World) -> None:
    """The workers have just been told to go."""
    world.user(raw_spec(suspend=True))
    world.tell()
    world.ray()
    world.step()
    world.api.writes.clear()
    world.user(raw_spec())


def fresh(world: World) -> None:
    """Nothing of it is there yet."""
    for kind in ("pods", "services"):
        for name in world.api.names(kind):
            world.api.remove(kind, "ray", name)
    world.api.put("rayclusters", {**world.api.objects["rayclusters", "ray", "example"], "status": {}})
    world.tell()


FIRST_STORIES = [
    *(nothing, lose_head, lose_worker, change_head, change_workers, retire_idle, drain_busy),
    *(suspend, suspend_at_the_start, resume, resume_halfway),
]


def recover_from_an_end(world: World) -> None:
    """The head's container ends; what it knew is on its volume."""
    world.fail(HEAD)


def recover_from_a_delete(world: World) -> None:
    """Somebody deletes the head's pod: another one comes when it is gone."""
    pod = world.pod(HEAD)
    world.api.put("pods", {**pod, "metadata": {**pod["metadata"], "deletionTimestamp": NOW_TEXT}})


def recover_twice(world: World) -> None:
    """The next head ends as well, with a worker."""
    world.fail(HEAD)
    world.tell()
    world.step()
    world.kubelet()
    world.kubelet()
    world.fail(HEAD)
    world.fail(WORKER)


def change_a_head_that_recovers(world: World) -> None:
    world.user(RECOVERING | {"headStartRayCommands": ["ray start --head -v"]})


def begin_with_a_claim(world: World) -> None:
    """The first start of a cluster whose claim an earlier one has left."""
    made = build_claim(cluster(RECOVERING), Storage(retain=True))
    world.api.put("persistentvolumeclaims", {**made, "status": {"phase": "Bound"}})


def begin_with_a_found_claim(world: World) -> None:
    """The first start of a cluster for which a person has made the claim."""
    made = build_claim(cluster(RECOVERING), Storage(retain=True))
    made["metadata"]["labels"] = {}
    world.api.put("persistentvolumeclaims", {**made, "status": {"phase": "Bound"}})


def begin_with_slices(world: World) -> None:
    """The first start of a cluster whose workers have two hosts each."""


def lose_a_host(world: World) -> None:
    """One of two hosts ends: the other one goes, and both are made again."""
    world.fail(WORKER)


def lose_a_host_for_good(world: World) -> None:
    """One of two hosts is deleted without a trace."""
    world.api.remove("pods", "ray", world.pod(WORKER)["metadata"]["name"])


def retire_idle_slices(world: World) -> None:
    """The idle timeout of all hosts is over."""
    world.user(slice_spec(0))
    world.idle = 301.0
    world.now += 301


def drain_a_busy_slice(world: World) -> None:
    """One host of each worker is at work, and one worker has to go, because of maxWorkers."""
    world.ray()
    assert world.heads.state
    world.heads.busy = {n.node_id for n in world.heads.state.nodes if n.instance_id.endswith("-0")}
    world.user(slice_spec(1, maxWorkers=1))


def change_slices(world: World) -> None:
    world.user(slice_spec(2, workerStartRayCommands=["ray start -v"]))


SLICES = [lose_a_host, lose_a_host_for_good, retire_idle_slices, drain_a_busy_slice, change_slices]
RECOVERING = raw_spec(headRecovery={"storage": {"size": "1Gi"}})
RECOVERIES = [recover_from_an_end, recover_from_a_delete, recover_twice, change_a_head_that_recovers]
BEGINNINGS = (begin_with_a_claim, begin_with_a_found_claim)
STORIES = [*FIRST_STORIES, *RECOVERIES, *BEGINNINGS, begin_with_slices, *SLICES]


def spec_of(story: Callable[[World], None]) -> dict[str, Any] | None:
    """The cluster that a story begins with."""
    if story in (*SLICES, begin_with_slices):
        return slice_spec(2)
    return RECOVERING if story in (*RECOVERIES, *BEGINNINGS) else None


def play(story: Callable[[World], None], dies_after: int | None) -> World:
    world = World(spec_of(story))
    if story not in (nothing, *BEGINNINGS, begin_with_slices):
        world.settle()
        world.api.writes.clear()
    story(world)
    world.api.dies_after = dies_after
    world.settle()
    return world


@pytest.mark.parametrize("story", STORIES)
def test_dying_after_any_write_changes_neither_the_end_nor_the_number_of_creates_and_deletes(
    story: Callable[[World], None],
) -> None:
    """The process is killed after each write in turn; a new one that knows nothing takes over."""
    expected = play(story, None)
    for number in range(1, len(expected.api.writes) + 1):
        world = play(story, number)
        assert world.deaths == 1
        for kind in (("POST", "pods"), ("DELETE", "pods"), ("POST", "services"), ("POST", "persistentvolumeclaims")):
            assert world.api.writes.count(kind) == expected.api.writes.count(kind), (number, kind)
        assert len(world.api.names("pods")) == len(expected.api.names("pods"))
        for field in ("phase", "autoscalerRetries", "podTypes", "readyWorkers", "observedGeneration"):
            assert world.status[field] == expected.status[field], (number, field)


def test_the_stories_of_scale_down_are_what_they_say() -> None:
    """Consent, note and delete are all among the writes after which the process is killed."""
    retired, drained = play(retire_idle, None), play(drain_busy, None)
    assert [w for w in retired.api.writes if w[1] != "rayclusters"] == [("DRAIN", "nodes"), ("DELETE", "pods")] * 2
    assert [w for w in drained.api.writes if w[1] != "rayclusters"] == [
        ("PATCH", "pods"),
        ("DRAIN", "nodes"),
        ("DELETE", "pods"),
    ]
    assert [len(world.api.names("pods")) for world in (retired, drained)] == [1, 2]


def groups(world: World) -> dict[str, set[str]]:
    """Worker -> the uids of its pods."""
    found: dict[str, set[str]] = {}
    for pod in world.api.of("pods"):
        if pod["metadata"]["labels"][KIND_LABEL] == WORKER and "deletionTimestamp" not in pod["metadata"]:
            found.setdefault(pod["metadata"]["labels"][WORKER_LABEL], set()).add(pod["metadata"]["uid"])
    return found


@pytest.mark.parametrize("story", [begin_with_slices, lose_a_host, lose_a_host_for_good, change_slices])
def test_workers_of_two_hosts_are_whole_whenever_the_process_dies(story: Callable[[World], None]) -> None:
    """The one that has lost a host is replaced whole, the other one is not touched."""
    for number in range(1, len(play(story, None).api.writes) + 1):
        world = World(slice_spec(2))
        if story is not begin_with_slices:
            world.settle()
        before = groups(world)
        world.api.writes.clear()
        story(world)
        world.api.dies_after = number
        world.settle()
        after = groups(world)
        assert [len(hosts) for hosts in after.values()] == [2, 2]
        kept = sum(hosts in after.values() for hosts in before.values())
        assert kept == (1 if story in (lose_a_host, lose_a_host_for_good) else 0)
        mixed = [hosts for hosts in after.values() for old in before.values() if hosts & old and hosts != old]
        assert not mixed


@pytest.mark.parametrize("story", RECOVERIES)
def test_a_life_with_a_recovery_keeps_its_workers(story: Callable[[World], None]) -> None:
    """Only the head's pods are made again, and the one worker that ended itself."""
    world = World(RECOVERING)
    world.settle()
    before = {p["metadata"]["uid"] for p in world.api.of("pods") if p["metadata"]["labels"][KIND_LABEL] == WORKER}
    world.api.writes.clear()
    story(world)
    world.settle()
    after = {p["metadata"]["uid"] for p in world.api.of("pods") if p["metadata"]["labels"][KIND_LABEL] == WORKER}
    lost = 1 if story is recover_twice else 0
    assert len(before & after) == 2 - lost
    assert world.api.writes.count(("POST", "pods")) == (3 if story is recover_twice else 1)
    assert world.status["phase"] == "Running"
    # A second head that ends before it is known is no second loss.
    assert world.status["autoscalerRetries"] == (0 if story is change_a_head_that_recovers else 1)


def test_a_claim_that_an_earlier_cluster_left_is_taken_over() -> None:
    world = play(begin_with_a_claim, None)
    (claim,) = world.api.of("persistentvolumeclaims")
    (owner,) = world.api.of("rayclusters")
    assert claim["metadata"]["ownerReferences"][0]["uid"] == owner["metadata"]["uid"]
    assert ("POST", "persistentvolumeclaims") not in world.api.writes


def test_a_claim_that_a_person_made_is_used_and_stays_with_nobody() -> None:
    world = play(begin_with_a_found_claim, None)
    (claim,) = world.api.of("persistentvolumeclaims")
    assert claim["metadata"]["labels"] == {"ray-cluster-name": "example"}
    assert not claim["metadata"].get("ownerReferences")
    assert ("POST", "persistentvolumeclaims") not in world.api.writes
