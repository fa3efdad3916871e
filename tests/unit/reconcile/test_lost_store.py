"""A new head that finds nothing of what the last one kept says so, and no other one does."""

from __future__ import annotations

from typing import Any

import pytest

from controller.objects.labels import HEAD
from tests.support.builders import raw_spec
from tests.support.world import well

RECOVERING = raw_spec(headRecovery={"storage": {"size": "2Gi"}})


@pytest.mark.parametrize(("session", "told"), [("s", 0), ("another", 1)])
def test_a_head_that_begins_another_session_has_lost_what_was_kept(session: str, told: int) -> None:
    world = well(RECOVERING)
    assert world.status["head"]["session"] == "s"
    world.fail(HEAD)
    world.session = session
    world.settle()
    assert world.status["head"]["session"] == session
    assert world.reasons()["StoreLost"] == told
    if told:
        (message,) = [e["message"] for e in world.api.events if e["reason"] == "StoreLost"]
        assert "the session another" in message and "the session s is lost" in message


def test_it_is_known_to_an_operator_that_was_not_there_before() -> None:
    world = well(RECOVERING)
    world.fail(HEAD)
    world.session = "another"
    world.boot()
    world.settle()
    assert world.reasons()["StoreLost"] == 1


@pytest.mark.parametrize("after", [{"headRecovery": {"storage": {"claimName": "mine"}}}, {}])
def test_who_chooses_another_store_or_none_has_lost_nothing(after: dict[str, Any]) -> None:
    world = well(RECOVERING)
    world.user(raw_spec(**after))
    world.turns(2)
    world.session = "another"
    world.settle()
    assert world.reasons()["StoreLost"] == 0


def test_a_cluster_without_a_store_begins_another_session_with_each_head() -> None:
    world = well()
    world.fail(HEAD)
    world.session = "another"
    world.settle()
    assert "session" not in world.status["head"] and world.reasons()["StoreLost"] == 0
