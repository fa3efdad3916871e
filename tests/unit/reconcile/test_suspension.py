"""Whole passes over a cluster that is suspended and resumed: what users see of it, and what it costs."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from controller.kube.client import ApiError, Request
from controller.objects.labels import HEAD
from controller.reconcile.reconciler import DONE
from tests.support.builders import NAME, raw_spec
from tests.support.world import World, well


def suspended() -> World:
    """A cluster that ran, was suspended, and has no pods any more; its counters at zero."""
    world = well()
    world.user(raw_spec(suspend=True))
    world.settle()
    return world


def test_its_pods_go_its_service_stays_and_the_status_says_why() -> None:
    world = suspended()
    assert (world.api.names("pods"), world.api.names("services")) == ([], [f"{NAME}-ray-head"])
    status = world.status
    assert (status["phase"], status["desiredWorkers"], status["readyWorkers"]) == ("Suspended", 0, 0)
    assert status["head"] == {"serviceName": f"{NAME}-ray-head"}
    told = world.condition("Suspended")
    assert (told["status"], told["reason"]) == ("True", "Requested")
    assert told["message"] == "spec.suspend is true; set it to false to resume the cluster"
    ready = world.condition("Ready")
    assert (ready["status"], ready["reason"], ready["message"]) == ("False", "Suspended", told["message"])
    assert world.reasons() == Counter(Suspending=1, RetiredPods=1, DeletedPods=1, Suspended=1)


def test_on_the_way_there_the_status_says_which_pods_are_left() -> None:
    world = well()
    world.ray()
    assert world.heads.state
    world.heads.busy = {world.heads.state.nodes[0].node_id}
    world.user(raw_spec(suspend=True))
    world.tell()
    world.ray()
    world.step()
    world.tell()
    world.step()
    assert world.status["phase"] == "Suspending"
    told = world.condition("Suspended")
    assert (told["status"], told["reason"]) == ("False", "Suspending")
    assert "left: 1 head, 1 worker, 1 of them finishing until 2023-11-14T22:23:22Z at the latest" in told["message"]


class Requests:
    """Counts what a world's API server is asked."""

    def __init__(self, world: World) -> None:
        self.seen: list[Request] = []
        self._send = world.api.send
        world.api.send = self.send  # type: ignore[method-assign]

    def send(self, request: Request) -> dict[str, Any]:
        self.seen.append(request)
        return self._send(request)


def test_a_suspended_cluster_costs_no_request_no_question_and_no_later_look() -> None:
    """Neither the process that suspended it nor one that starts anew asks anybody for anything."""
    world = suspended()
    for _ in range(2):
        requests = Requests(world)
        world.tell()
        assert world.step() == DONE
        assert (requests.seen, world.heads.head) == ([], None)
        world.boot()


def test_one_that_is_made_suspended_gets_its_service_and_not_a_single_pod() -> None:
    world = World(raw_spec(suspend=True))
    world.settle()
    assert (world.api.tries, world.api.trials) == ([], [])
    assert world.api.names("services") == [f"{NAME}-ray-head"]
    assert world.status["phase"] == "Suspended"


def test_it_comes_back_without_a_restart_being_counted() -> None:
    world = suspended()
    world.api.events.clear()
    world.user(raw_spec())
    world.settle()
    status = world.status
    assert (status["phase"], status["autoscalerRetries"], status["readyWorkers"]) == ("Running", 0, 2)
    told = world.condition("Suspended")
    assert (told["status"], told["reason"]) == ("False", "Resumed")
    assert world.reasons()["Resumed"] == 1
    assert "HeadLost" not in world.reasons()


def test_a_cluster_that_never_was_suspended_has_no_such_condition() -> None:
    assert "Suspended" not in {c["type"] for c in well().status["conditions"]}


def test_a_head_that_fails_on_the_way_is_no_loss() -> None:
    world = well()
    world.user(raw_spec(suspend=True))
    world.tell()
    world.fail(HEAD)
    world.settle()
    assert (world.status["phase"], world.status["autoscalerRetries"]) == ("Suspended", 0)
    assert "HeadLost" not in world.reasons()


def test_switching_back_and_forth_ends_where_the_spec_says() -> None:
    """At every phase: before anything was done, halfway, and with all pods gone."""
    world = World()
    for passes in (0, 1, 2, 3, 4, 5):
        for suspend in (True, False):
            world.user(raw_spec(suspend=suspend))
            for _ in range(passes):
                world.turn()
    world.settle()
    assert (world.status["phase"], len(world.api.names("pods"))) == ("Running", 3)
    world.user(raw_spec(suspend=True))
    world.settle()
    assert world.api.names("pods") == []


@pytest.mark.parametrize("resumes", [False, True])
def test_pods_that_the_api_server_does_not_delete_are_reported(resumes: bool) -> None:
    world = well()
    world.api.refuse = lambda method, resource, name: (
        ApiError(403, "Forbidden", "no deletes today") if (method, resource) == ("DELETE", "pods") else None
    )
    world.heads.state = None
    world.joins = False
    world.heads.silent_for = 31.0
    world.user(raw_spec(suspend=True))
    world.tell()
    world.step()
    ready = world.condition("Ready")
    assert (world.status["phase"], ready["reason"]) == ("Suspending", "Refused")
    assert "no deletes today" in ready["message"]
    world.api.refuse = lambda *_: None
    world.user(raw_spec(suspend=not resumes))
    world.heads.silent_for = 0.0 if resumes else 31.0
    world.joins = True
    world.settle()
    assert world.status["phase"] == ("Running" if resumes else "Suspended")
