"""A real Ray head keeps the contract that the client and the fake head are built on."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from autoscaler.gcs.client import GcsClient
from autoscaler.model import NodeStatus
from tests.conformance.gcs import RayHead, RayHeadContract, eventually, has, node
from tests.conformance.gcs_usage import RayUsers, RayUsersContract
from tests.support.ray_head import RealHead
from tests.support.ray_users import RealUsers

# What they share is made once.
pytestmark = pytest.mark.xdist_group("gcs_real")


@pytest.fixture(scope="module")
def real() -> Iterator[RealHead]:
    # A short path: Ray puts sockets below it.
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:
        head = RealHead(Path(folder))
        try:
            head.start()
            yield head
        finally:
            head.stop()


@pytest.fixture
def head(real: RealHead) -> RayHead:
    return real


@pytest.fixture(scope="module")
def used() -> Iterator[RealUsers]:
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:
        users = RealUsers(Path(folder))
        try:
            users.start()
            yield users
        finally:
            users.end()


@pytest.fixture
def users(used: RealUsers) -> RayUsers:
    return used


class TestRealUsers(RayUsersContract):
    """See ``RayUsersContract``."""


class TestRealHead(RayHeadContract):
    """See ``RayHeadContract``."""

    def test_room_inside_a_placement_group_is_neither_demand_nor_free(self, real: RealHead, client: GcsClient) -> None:
        real.fill({"CPU": 1})
        state = eventually(client, has("example-head", NodeStatus.RUNNING))
        head = node(state, "example-head")
        assert not [name for name in (*head.total, *head.available) if "_group_" in name]
        assert "CPU" not in head.available
        assert (state.demands, state.gangs) == ((), ())
