"""An API server that is down, overloaded, contradicts, talks nonsense, or loses answers; and a process that dies."""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support.apiserver import Answer, Request
from tests.support.faults import Refuse, status
from tests.support.kube import eventually
from tests.support.proxy import Cut
from tests.support.stage import NAME, Stage, lose_head, made, restarts, up

DOWN_SECONDS = 12.0
# Three watches, of which each starts with delays of 1, 2 and 4 s before it comes to 8; and one retried pass.
MOST_WHILE_DOWN = 3 * (0.25 * DOWN_SECONDS + 1) + 6


@pytest.fixture
def stage(environment: Mapping[str, str], tmp_path: Path) -> Stage:
    return Stage(environment, tmp_path)


def writes(request: Request) -> bool:
    return request.writes


def creates(request: Request) -> bool:
    return request.verb == "create" and request.resource == "pods" and request.writes


def anything(request: Request) -> bool:
    return True


BUSY = {"Retry-After": "1"}
STORMS: dict[str, Refuse] = {
    "429": Refuse(status(429, "TooManyRequests", "too many requests", BUSY), anything, 9),
    "409": Refuse(status(409, "Conflict", "the object has been modified"), writes, 12),
    "500": Refuse(status(500, "InternalError", "etcdserver: request timed out"), anything, 9),
    "503 without words": Refuse(Answer(503, b"upstream connect error"), anything, 9),
    "webhook": Refuse(status(500, "InternalError", "failed calling webhook"), creates, 6),
    "no JSON": Refuse(Answer(200, b"\x00\xff garbage"), anything, 9),
    "JSON of another kind": Refuse(Answer(200, b'["not", "an", "object"]'), anything, 9),
    "truncated": Refuse(Answer(200, b'{"metadata": {"name": "exa', cut=20), anything, 9),
    "nothing at all": Refuse(Cut, anything, 9),
    "writes done and not answered": Refuse(Cut, writes, 12, carried_out=True),
    "writes done and answered with nonsense": Refuse(Answer(201, b"{}"), creates, 3, carried_out=True),
    "writes done and answered with 500": Refuse(status(500, "InternalError", "lost"), writes, 12, carried_out=True),
}


@pytest.mark.parametrize("storm", STORMS)
def test_a_storm_of_bad_answers_changes_neither_the_end_nor_what_is_made(
    stage: Stage, example: dict[str, Any], storm: str
) -> None:
    """It rages while a cluster is made; each write that was carried out counts, answered or not."""
    fault = copy.copy(STORMS[storm])
    with stage, stage.proxy.fault(fault):
        up(stage, example)
        assert fault.used
        assert stage.proxy.changes() == made(3)
        assert stage.space.get("rayclusters", NAME)["status"]["autoscalerRetries"] == 0


def test_an_api_server_that_is_down_is_asked_rarely_and_its_return_is_noticed(
    stage: Stage, example: dict[str, Any]
) -> None:
    """Nobody can be reached for a while, in which a worker goes and the user wants one more."""
    with stage:
        up(stage, example)
        stage.proxy.down = True
        stage.proxy.cut()
        stage.space.delete("pods", stage.space.pods("worker")[0]["metadata"]["name"])
        stage.space.edit(NAME, ("podTypes/1/minWorkers", 3))
        time.sleep(DOWN_SECONDS)
        asked = stage.proxy.refused
        stage.proxy.down = False
        eventually(lambda: stage.space.settled(NAME, 3), within=20, promised=True)
        complaints = [line for line in stage.operator.log().splitlines() if "WARNING" in line]
        print(f"{asked} requests in {DOWN_SECONDS:.0f} s, {len(complaints)} warnings")
        assert 3 <= asked <= MOST_WHILE_DOWN
        assert len(complaints) <= 9
        assert stage.proxy.changes() == made(5)


def test_a_head_that_dies_while_there_is_no_operator_is_replaced_and_counted_once(
    stage: Stage, example: dict[str, Any]
) -> None:
    with stage:
        up(stage, example)
        stage.operator.stop()
        lose_head(stage.space)
        stage.operator.start()
        eventually(lambda: stage.space.settled(NAME, 2) and restarts(stage.space) == 1)
        assert stage.proxy.changes() == made(6, deleted=2)


def test_restarts_under_load_delete_nothing_and_make_nothing_twice(stage: Stage, example: dict[str, Any]) -> None:
    """The operator is replaced again and again, in good order and by force, while forty workers come up."""
    cluster = copy.deepcopy(example)
    cluster["spec"] |= {"maxWorkers": 40}
    cluster["spec"]["podTypes"][1] |= {"minWorkers": 0, "maxWorkers": 40}
    with stage:
        up(stage, cluster, 0)
        for wanted in range(8, 41, 8):
            stage.space.edit(NAME, ("podTypes/1/minWorkers", wanted))
            (stage.operator.stop if wanted % 16 else stage.operator.kill)()
            stage.operator.start()
        eventually(lambda: stage.space.settled(NAME, 40))
        assert stage.proxy.changes() == made(41)
