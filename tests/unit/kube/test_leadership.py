"""The right to write, and the writes that are under way with it."""

from __future__ import annotations

import math
from typing import Any

import pytest

from controller.kube.client import ApiError, Request
from controller.kube.holdings import Holdings
from controller.kube.leadership import NOT_LEADER, FencedClient, Leadership
from controller.kube.partitions import partition_of
from controller.raycluster.model import Key

CREATE = Request("create", "pods", "ray", body={})
CLUSTER = Key("ray", "a")


class Server:
    """Fails each write, and says of each whether the right knew of it."""

    def __init__(self, right: Leadership) -> None:
        self.right = right
        self.known: list[bool] = []

    def send(self, request: Request) -> dict[str, Any]:
        self.known.append(self.right.writes())
        raise ApiError(500, "", "down")


def test_a_write_is_under_way_until_it_has_ended_however_it_ends() -> None:
    right = Leadership()
    server = Server(right)
    with pytest.raises(ApiError, match="down"):
        FencedClient(server, right).send(CREATE)
    assert server.known == [True]
    assert not right.writes()


def test_a_read_is_no_write() -> None:
    right = Leadership()
    server = Server(right)
    with pytest.raises(ApiError, match="down"):
        FencedClient(server, right).send(Request("get", "pods", "ray", "a"))
    assert server.known == [False]


def test_once_it_has_resigned_no_write_begins() -> None:
    right = Leadership()
    right.resign()
    server = Server(right)
    with pytest.raises(ApiError) as refused:
        FencedClient(server, right).send(CREATE)
    assert (refused.value.reason, server.known, right.writes()) == (NOT_LEADER, [], False)


def test_a_part_that_is_lost_and_held_again_is_another_right() -> None:
    """Who planned under the first one does not write under the second one."""
    holdings = Holdings(lambda: 0.0)
    first = holdings.gain(partition_of(CLUSTER))
    first.hold(math.inf)
    assert holdings.of(CLUSTER) is first and first.leads() and holdings.leads()
    holdings.lose(partition_of(CLUSTER))
    assert not holdings.of(CLUSTER).leads()
    second = holdings.gain(partition_of(CLUSTER))
    second.hold(math.inf)
    first.hold(math.inf)
    assert not first.leads() and holdings.of(CLUSTER) is second


def test_what_is_gained_after_the_end_may_not_be_written_about() -> None:
    holdings = Holdings(lambda: 0.0)
    holdings.resign()
    right = holdings.gain(partition_of(CLUSTER))
    right.hold(math.inf)
    assert not right.leads()
