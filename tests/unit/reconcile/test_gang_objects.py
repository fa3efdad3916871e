"""Objects of gangs around the reconciler: made once whenever it dies, told of when refused, never another's."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from autoscaler.model import Demand, Gang, RayState, Shape, Strategy
from controller.kube.client import ApiError
from controller.objects.gang import gang_name
from controller.planning.observed import Settings
from tests.support.builders import NAMESPACE, cluster, raw_spec, raw_type
from tests.support.world import World

GROUP = {"apiVersion": "scheduling.x-k8s.io/v1alpha1", "kind": "PodGroup", "spec": {"minMember": "$(GANG_SIZE)"}}
RESOURCE = "podgroups.scheduling.x-k8s.io"
LABEL = "scheduling.x-k8s.io/pod-group"


def spec(**fields: Any) -> dict[str, Any]:
    gang = {"labels": {LABEL: "$(GANG_NAME)"}, "objects": [GROUP]}
    return raw_spec(0, **{"gang": gang, **fields})


def waiting(world: World, groups: str) -> None:
    """Placement groups of four bundles wait in Ray; no worker has joined."""
    bundles = (Demand(Shape.of({"CPU": 1}), 4),)
    gangs = tuple(Gang(bundles, Strategy.STRICT_SPREAD, letter) for letter in groups)
    world.heads.state = RayState("s", 0.0, (), (), gangs)


@pytest.fixture
def world() -> World:
    """A cluster whose head runs."""
    made = World(spec(), Settings(gang_objects=(RESOURCE,)))
    made.joins = False
    made.turns(3)
    made.api.writes.clear()
    made.api.events.clear()
    return made


def groups(world: World) -> dict[str, int]:
    """Name -> minMember."""
    return {o["metadata"]["name"]: o["spec"]["minMember"] for o in world.api.of("podgroups")}


def workers(world: World) -> Counter[str]:
    """The workers by the gang that they name."""
    pods = [p["metadata"] for p in world.api.of("pods") if "deletionTimestamp" not in p["metadata"]]
    return Counter(p["labels"].get(LABEL) for p in pods if p["labels"]["ray-node-type"] == "worker")


def left(name: str, owner: str = "uid-100", size: int = 3) -> dict[str, Any]:
    """A PodGroup as an earlier pass made it."""
    return {
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "labels": {"ray-cluster-name": "example"},
            "annotations": {"cluster.ray.io/gang": f"{name}/{size}"},
            "ownerReferences": [{"uid": owner}],
        },
        "spec": {"minMember": size},
    }


def forbidden(method: str) -> ApiError:
    verb = {"POST": "create", "DELETE": "delete", "GET": "list"}[method]
    return ApiError(403, "Forbidden", f'podgroups is forbidden: User "op" cannot {verb} resource "podgroups"')


def refuse(world: World, method: str, error: ApiError | None) -> None:
    world.api.refuse = lambda m, resource, _: error if (m, resource) == (method, "podgroups") else None


def told(world: World) -> str:
    return json.dumps([world.status, world.api.events])


def test_two_placement_groups_are_two_objects_and_come_before_their_pods(world: World) -> None:
    waiting(world, "ab")
    world.turn()
    assert sorted(groups(world).values()) == [4, 4]
    assert workers(world) == Counter(dict.fromkeys(groups(world), 4))
    made = [resource for method, resource in world.api.writes if method == "POST"]
    assert made[:2] == ["podgroups", "podgroups"] and made.count("pods") == 8


@pytest.mark.parametrize("writes", range(1, 11))
def test_whichever_write_was_its_last_the_gangs_are_whole(world: World, writes: int) -> None:
    waiting(world, "ab")
    world.api.dies_after = writes
    world.turns(4)
    assert world.deaths == 1
    assert sorted(groups(world).values()) == [4, 4]
    assert workers(world) == Counter(dict.fromkeys(groups(world), 4))
    assert world.api.writes.count(("POST", "podgroups")) == 2


def test_an_object_goes_with_the_last_pod_of_its_gang(world: World) -> None:
    waiting(world, "a")
    world.turns(20)
    waiting(world, "")
    first, *others = [p["metadata"]["name"] for p in world.api.of("pods") if LABEL in p["metadata"]["labels"]]
    world.user(spec(maxWorkers=0))
    for name in others:
        world.api.remove("pods", NAMESPACE, name)
    world.tell()
    assert first and len(groups(world)) == 1
    world.turns(3)
    assert workers(world) == {} and groups(world) == {}


def test_what_a_dead_process_has_left_goes(world: World) -> None:
    world.api.put("podgroups", left("old"))
    world.boot()
    world.turns(5)
    assert list(groups(world)) == ["old"]
    world.turns(10)
    assert groups(world) == {}


def test_what_was_made_for_another_size_is_made_anew(world: World) -> None:
    """The process died before the pods, and the next launch is of other pods."""
    name = gang_name(cluster(uid="uid-100"), "a", 0)
    world.api.put("podgroups", left(name))
    world.boot()
    waiting(world, "a")
    world.turns(2)
    assert groups(world) == {name: 4} and workers(world) == {name: 4}


def test_an_object_of_somebody_else_is_not_touched(world: World) -> None:
    name = gang_name(cluster(uid="uid-100"), "a", 0)
    world.api.put("podgroups", left(name, owner="somebody"))
    waiting(world, "a")
    world.turns(5)
    assert groups(world) == {name: 3} and workers(world) == {}
    assert f"the PodGroup {name} is not this cluster's; delete it, or change spec.gang.objects" in told(world)


REFUSALS = [
    (forbidden("POST"), "Forbidden", f"let the operator create, get, list and delete {RESOURCE}"),
    (
        ApiError(404, "", "404 page not found"),
        "Invalid",
        f"install what provides {RESOURCE} in scheduling.x-k8s.io/v1al",
    ),
    (ApiError(422, "Invalid", "spec.minMember: too big"), "Invalid", "too big; correct spec.gang.objects"),
    (ApiError(403, "Forbidden", "exceeded quota: few"), "QuotaExceeded", "cannot be made: exceeded quota: few"),
]


@pytest.mark.parametrize(("error", "reason", "words"), REFUSALS, ids=[row[1] + str(row[0].status) for row in REFUSALS])
def test_a_refusal_blocks_the_type_and_says_what_to_do(world: World, error: ApiError, reason: str, words: str) -> None:
    refuse(world, "POST", error)
    waiting(world, "a")
    world.turns(3)
    (block,) = world.status["blockedTypes"]
    assert (block["name"], block["reason"]) == ("worker-node", reason)
    assert "a gang's PodGroup cannot be made: " in block["message"] and words in block["message"]
    assert workers(world) == {} and reason in world.reasons()
    refuse(world, "POST", None)
    world.turns(35)
    assert set(workers(world).values()) == {4} and "blockedTypes" not in world.status


def test_a_refusal_is_tried_ever_more_rarely_and_keeps_no_other_work_waiting(world: World) -> None:
    raw = spec()
    raw["podTypes"].append(raw_type("other", minWorkers=2, maxWorkers=2))
    world.user(raw)
    refuse(world, "POST", forbidden("POST"))
    waiting(world, "a")
    tries = 0

    def count(method: str, resource: str, _: str) -> ApiError | None:
        nonlocal tries
        tries += (method, resource) == ("POST", "podgroups")
        return forbidden("POST") if (method, resource) == ("POST", "podgroups") else None

    world.api.refuse = count
    world.turns(60)
    assert workers(world) == {None: 2}
    assert 2 <= tries <= 9


def test_an_answer_that_does_not_come_is_waited_for(world: World) -> None:
    refuse(world, "POST", ApiError(503, "ServiceUnavailable", "busy"))
    waiting(world, "a")
    assert world.turn().retry
    assert workers(world) == {} and "blockedTypes" not in world.status
    refuse(world, "POST", None)
    world.turns(2)
    assert set(workers(world).values()) == {4}


@pytest.mark.parametrize("method", ["DELETE", "GET"])
def test_without_a_right_for_what_is_left_over_an_event_says_so_and_all_else_goes_on(world: World, method: str) -> None:
    world.api.put("podgroups", left("old"))
    refuse(world, method, forbidden(method))
    world.boot()
    world.turns(20)
    assert list(groups(world)) == ["old"]
    assert world.reasons()["GangObjectsFailed"] == 1 and "cannot" in told(world)
    assert world.condition("Ready")["status"] == "True"
    refuse(world, method, None)
    world.turns(90)
    assert groups(world) == {}


def test_a_kind_that_the_administrator_has_not_listed_is_refused_with_the_flag() -> None:
    world = World(spec(), Settings(gang_objects=("podgroups.scheduling.volcano.sh",)))
    world.turns(2)
    assert list(world.api.of("pods")) == []
    valid = world.condition("SpecValid")
    assert valid["status"] == "False"
    assert "spec.gang.objects[0].kind: 'PodGroup' of scheduling.x-k8s.io/v1alpha1" in valid["message"]
    assert f"adds {RESOURCE} to --gang-objects" in valid["message"]


def test_a_cluster_without_objects_asks_for_none() -> None:
    asked: list[str] = []
    world = World(raw_spec(0, gang={"labels": {LABEL: "$(GANG_NAME)"}}), Settings(gang_objects=(RESOURCE,)))
    world.api.refuse = lambda method, resource, _: asked.append(resource)
    world.joins = False
    world.turns(3)
    waiting(world, "a")
    world.turns(3)
    assert set(workers(world).values()) == {4}
    assert asked and "podgroups" not in asked


def test_one_with_objects_asks_once_in_ten_minutes(world: World) -> None:
    asked: list[tuple[str, str]] = []
    world.api.refuse = lambda method, resource, _: asked.append((method, resource))
    waiting(world, "a")
    for _ in range(45):
        world.turn()
        world.now += 30
    assert asked.count(("GET", "podgroups")) == 2
    assert asked.count(("POST", "podgroups")) == 1


def test_a_person_who_deletes_one_gets_it_back_while_its_pods_wait(world: World) -> None:
    waiting(world, "a")
    world.tell()
    world.step()
    (name,) = groups(world)
    world.api.remove("podgroups", NAMESPACE, name)
    world.now += 601
    world.tell()
    world.step()
    assert groups(world) == {name: 4}
