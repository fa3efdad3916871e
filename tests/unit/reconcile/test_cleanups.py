"""The keys of a cluster go from its Redis when it is deleted, whenever this process dies, and hold nothing up."""

from __future__ import annotations

import copy
import json
import logging
from collections.abc import Callable
from typing import Any

import pytest

from controller.kube.client import ApiError, Request
from controller.kube.leftovers import JobsWanted
from controller.kube.store import Store, Stores
from controller.objects.labels import HEAD, KIND_LABEL
from controller.raycluster.model import RayCluster
from tests.fakes.api import FakeApi
from tests.support.builders import NAME, NAMESPACE, raw_cluster, raw_spec
from tests.support.world import KEY, World

# That of the first object which the fake API server is given.
UID = "uid-100"
REDIS = {"redis": {"address": "r:1", "passwordSecret": {"name": "redis", "key": "password"}}}


def spec(**fields: Any) -> dict[str, Any]:
    return raw_spec(**{"headRecovery": REDIS, **fields})


@pytest.fixture
def world() -> World:
    made = World(spec())
    made.settle()
    made.api.writes.clear()
    made.api.events.clear()
    return made


def jobs(world: World) -> dict[str, bool]:
    """Of the clusters' uids: whether their Job is still suspended."""
    found = {}
    for job in world.api.of("jobs"):
        if "deletionTimestamp" not in job["metadata"]:
            found[job["metadata"]["labels"]["cluster.ray.io/cluster-uid"]] = bool(job["spec"]["suspend"])
    return found


def sweep(world: World) -> None:
    """What Jobs and pods are on their way out are gone."""
    for job in list(world.api.of("jobs")):
        if "deletionTimestamp" in job["metadata"]:
            world.api.remove("jobs", NAMESPACE, job["metadata"]["name"])


def delete(world: World) -> None:
    """The cluster is gone; the garbage collector has not come to its pods."""
    world.api.remove("rayclusters", NAMESPACE, NAME)


def collect(world: World) -> None:
    """The garbage collector."""
    for pod in list(world.api.of("pods")):
        world.api.remove("pods", NAMESPACE, pod["metadata"]["name"])


def turn(world: World) -> float | None:
    world.tell()
    return world.step().look_again_in


def test_a_job_waits_beside_the_cluster(world: World) -> None:
    assert jobs(world) == {UID: True}
    (job,) = world.api.of("jobs")
    # The garbage collector would take it along.
    assert "ownerReferences" not in job["metadata"]
    assert job["metadata"]["labels"]["ray-cluster-name"] == NAME
    world.turns(3)
    world.boot()
    world.turns(3)
    assert world.api.writes == []


@pytest.mark.parametrize(
    "recovery",
    [None, {"storage": {}}],
    ids=["none", "volume"],
)
def test_a_cluster_without_a_redis_has_none(recovery: dict[str, Any] | None) -> None:
    world = World({**raw_spec(), **({"headRecovery": recovery} if recovery else {})})
    world.settle()
    assert jobs(world) == {}


def with_variable(name: str, value: str) -> dict[str, Any]:
    given = spec()
    given["podTypes"][0]["podConfig"]["spec"]["containers"][0]["env"].append({"name": name, "value": value})
    return given


@pytest.mark.parametrize(
    "given",
    [
        with_variable("RAY_external_storage_namespace", "mine"),
        spec(headStartRayCommands=["export RAY_external_storage_namespace=mine; ray start --head"]),
    ],
)
def test_a_place_that_the_user_has_named_is_the_users(given: dict[str, Any]) -> None:
    world = World(given)
    world.settle()
    assert jobs(world) == {}


def test_the_job_runs_when_cluster_and_head_are_gone(world: World) -> None:
    delete(world)
    turn(world)
    # The head goes on writing until its pod is over.
    assert jobs(world) == {UID: True}
    collect(world)
    turn(world)
    assert jobs(world) == {UID: False}
    assert world.api.writes == [("PATCH", "jobs")]
    turn(world)
    assert world.api.writes == [("PATCH", "jobs")]


def test_a_head_that_was_left_behind_on_purpose_keeps_its_keys(world: World) -> None:
    for pod in list(world.api.of("pods")):
        world.api.put("pods", {**pod, "metadata": {**pod["metadata"], "ownerReferences": []}})
    delete(world)
    turn(world)
    assert jobs(world) == {UID: True}
    head = next(p for p in world.api.of("pods") if p["metadata"]["labels"][KIND_LABEL] == HEAD)
    world.api.put("pods", {**head, "status": {"phase": "Failed"}})
    turn(world)
    assert jobs(world) == {UID: False}


def test_what_was_deleted_while_no_operator_ran_is_found_by_the_next_one(world: World) -> None:
    delete(world)
    collect(world)
    world.boot()
    assert world.stores.keys("") == {KEY}
    turn(world)
    assert jobs(world) == {UID: False}


def test_a_later_cluster_of_the_name_has_a_job_of_its_own_and_that_of_the_first_runs(world: World) -> None:
    delete(world)
    world.api.put("rayclusters", raw_cluster(spec(), uid="later"))
    turn(world)
    assert jobs(world) == {UID: True, "later": True}
    for pod in list(world.api.of("pods")):
        if pod["metadata"]["ownerReferences"][0]["uid"] == UID:
            world.api.remove("pods", NAMESPACE, pod["metadata"]["name"])
    turn(world)
    assert jobs(world) == {UID: False, "later": True}


def test_a_cluster_that_cannot_be_read_keeps_its_keys(world: World) -> None:
    """It is in no store, and its head may be between two pods."""
    collect(world)
    world.tell()
    known = world.stores.clusters.get(KEY)
    assert known
    world.stores.clusters.deleted(known, "")
    world.step()
    assert jobs(world) == {UID: True}


def change(world: World, given: dict[str, Any]) -> None:
    world.user(given)
    for _ in range(4):
        world.settle()
        sweep(world)


@pytest.mark.parametrize(
    ("given", "made"),
    [
        (spec(headRecovery={"redis": {"address": "other:1"}}), 1),
        (with_variable("RAY_REDIS_CA_CERT", "/a"), 1),
        (spec(maxWorkers=7), 0),
        (spec(headRecovery={"storage": {}}), 0),
        (raw_spec(), 0),
    ],
    ids=["address", "variable", "workers", "volume", "none"],
)
def test_the_job_is_made_from_what_the_cluster_is_now(world: World, given: dict[str, Any], made: int) -> None:
    change(world, given)
    assert world.api.writes.count(("POST", "jobs")) == made
    redis = (given.get("headRecovery") or {}).get("redis")
    assert jobs(world) == ({UID: True} if redis else {})
    if redis:
        (job,) = world.api.of("jobs")
        (container,) = job["spec"]["template"]["spec"]["containers"]
        assert {"name": "RAY_REDIS_ADDRESS", "value": redis["address"]} in container["env"]


def refuse(verb: str) -> Callable[[str, str, str], ApiError | None]:
    error = ApiError(403, "Forbidden", "cannot do this to jobs")
    return lambda method, resource, name: error if (method, resource) == (verb, "jobs") else None


def test_without_the_right_the_cluster_runs_and_it_is_said_once() -> None:
    world = World(spec())
    world.api.refuse = refuse("POST")
    for _ in range(10):
        result = world.turn()
        world.now += 1
    assert result.look_again_in is not None and result.look_again_in <= 60
    assert world.status["phase"] == "Running"
    assert world.reasons()["CleanupFailed"] == 1
    (event,) = [e for e in world.api.events if e["reason"] == "CleanupFailed"]
    assert event["message"] == "the keys in its Redis will stay when the cluster is deleted: cannot do this to jobs"
    world.api.refuse = lambda *_: None
    world.turns(2)
    assert jobs(world) == {UID: True}


def test_a_job_that_may_not_be_resumed_is_named_once_and_tried_again(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    delete(world)
    collect(world)
    world.api.refuse = refuse("PATCH")
    with caplog.at_level(logging.WARNING):
        assert [turn(world) for _ in range(3)] == [60.0] * 3
    (said,) = [r.getMessage() for r in caplog.records if "cannot do this to jobs" in r.getMessage()]
    assert f"{NAME}-redis-cleanup-" in said
    world.api.refuse = lambda *_: None
    turn(world)
    assert jobs(world) == {UID: False}


def life(dies_after: int | None) -> World:
    """Made, changed, deleted and made again."""
    world = World(spec())
    world.api.dies_after = dies_after
    world.settle()
    change(world, with_variable("RAY_REDIS_CA_CERT", "/a"))
    delete(world)
    turn(world)
    collect(world)
    turn(world)
    world.api.put("rayclusters", raw_cluster(spec(), uid="later"))
    world.settle()
    return world


def test_dying_after_any_write_changes_neither_the_jobs_nor_how_often_they_are_made() -> None:
    expected = life(None)
    assert jobs(expected) == {UID: False, "later": True}
    for number in range(1, len(expected.api.writes) + 1):
        world = life(number)
        assert world.deaths == 1
        assert jobs(world) == jobs(expected), number
        for verb in ("POST", "PATCH", "DELETE"):
            assert world.api.writes.count((verb, "jobs")) == expected.api.writes.count((verb, "jobs")), (number, verb)


class Asked(FakeApi):
    """Counts lists of Jobs, and answers them."""

    def __init__(self, *answers: Any) -> None:
        super().__init__()
        self.answers = list(answers)
        self.queries: list[Any] = []

    def send(self, request: Request) -> dict[str, Any]:
        assert (request.verb, request.resource) == ("list", "jobs")
        self.queries.append(request.query)
        answer = self.answers.pop(0)
        if isinstance(answer, ApiError):
            raise answer
        return dict(answer)


def stores_with(*specs: dict[str, Any]) -> Stores:
    clusters: Store[RayCluster] = Store(lambda c: c.key, lambda _: None)
    stores = Stores(clusters, Store(lambda p: p.cluster, lambda _: None), Store(lambda s: s.cluster, lambda _: None))
    found = [
        RayCluster.from_object(raw_cluster(s, name=f"c{n}", uid=f"u{n}", resourceVersion="1"))
        for n, s in enumerate(specs)
    ]
    clusters.replace(found, 1, "")
    stores.pods.replace([], 1, "")
    stores.services.replace([], 1, "")
    return stores


DENIED, DOWN = ApiError(403, "Forbidden", "no"), ApiError(0, "NoAnswer", "no")


@pytest.mark.parametrize(
    ("given", "answers", "wanted", "asked"),
    [
        (spec(), [], [True], 0),
        (raw_spec(), [{"items": []}], [False, False, False], 1),
        (raw_spec(), [{"items": [{}]}], [True], 1),
        # An older role: there is no need to ask again.
        (raw_spec(), [DENIED], [False, False, False], 1),
        (raw_spec(), [DOWN, {"items": [{}]}], [False, False, True], 2),
    ],
    ids=["cluster", "nothing", "left behind", "no right", "down"],
)
def test_jobs_are_watched_where_there_are_any_or_may_be(
    given: dict[str, Any], answers: list[Any], wanted: list[bool], asked: int
) -> None:
    api, times = Asked(*answers), iter([0.0, 30.0, 90.0])
    look = JobsWanted(api, stores_with(copy.deepcopy(given)), lambda: next(times))
    assert [look("") for _ in wanted] == wanted
    assert len(api.queries) == asked
    assert all("cluster.ray.io/cluster-uid" in json.dumps(query) for query in api.queries)


def test_nothing_is_asked_before_the_clusters_are_known() -> None:
    stores = Stores(*(Store[Any](lambda o: o.key, lambda _: None) for _ in range(3)))
    assert not JobsWanted(Asked(), stores, lambda: 0.0)("")
