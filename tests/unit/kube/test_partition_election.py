"""One of several operators that share the clusters: what it reports of the parts that it holds."""

from __future__ import annotations

import pytest

from controller.kube.client import ApiError, Request
from controller.kube.holdings import Holdings
from controller.kube.lease import DEADLINE_SECONDS, LEASE_NAME
from controller.kube.partition_election import TOGETHER, PartitionElection
from controller.kube.partitions import NAMES, PARTITIONS
from tests.fakes.leases import Leases
from tests.unit.kube.test_partition_model import Serial


class One:
    """A process with a clock that the test moves, which counts its reports."""

    def __init__(self, operators: int = 2) -> None:
        self.now = 100.0
        self.changes = 0
        self.api = Leases()
        self.holdings = Holdings(lambda: self.now)
        self.election = PartitionElection(
            self.api,
            "ops",
            "a",
            operators,
            self.holdings,
            on_change=self._changed,
            clock=lambda: self.now,
            threads=Serial(),
        )

    def _changed(self) -> None:
        self.changes += 1

    def turn(self, after: float = 1.0) -> None:
        self.now += after
        self.election.turn()

    def leads(self) -> int:
        return sum(right.leads() for right in self.holdings.held().values())

    def slow(self, verb: str, seconds: float) -> None:
        """The next request of a kind takes so long."""

        def wait(request: Request) -> None:
            if request.verb == verb:
                self.now += seconds
                self.api.fault = lambda request: None

        self.api.fault = wait


@pytest.fixture
def one() -> One:
    """It holds its share, and has reported it."""
    made = One()
    made.turn()
    made.turn()
    assert (made.leads(), made.changes) == (PARTITIONS // 2, 1)
    return made


def test_it_takes_its_share_once_the_common_lease_is_held() -> None:
    found = One(4)
    found.turn()
    assert (found.leads(), found.api.holder(LEASE_NAME)) == (0, TOGETHER)
    found.turn()
    assert sum(found.api.holder(name) == "a" for name in NAMES) == found.leads() == 4


def test_as_long_as_nothing_changes_nothing_is_reported(one: One) -> None:
    for _ in range(10):
        one.turn()
    assert (one.leads(), one.changes) == (PARTITIONS // 2, 1)


def test_a_lapse_in_the_middle_of_a_turn_is_reported(one: One) -> None:
    """Whatever was dropped in it nobody would take up again: it led when the turn began, and leads when it ends."""
    one.slow("list", DEADLINE_SECONDS + 1)
    one.turn()
    assert (one.leads(), one.changes) == (PARTITIONS // 2, 2)


def test_a_lapse_between_two_turns_is_reported(one: One) -> None:
    one.turn(after=DEADLINE_SECONDS + 1)
    assert (one.leads(), one.changes) == (PARTITIONS // 2, 3)


def test_while_the_api_server_is_down_its_rights_run_out_and_come_back(
    one: One, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(request: Request) -> None:
        raise ApiError(403, "Forbidden", "leases is forbidden")

    one.api.fault = refuse
    for _ in range(int(DEADLINE_SECONDS) + 1):
        one.turn()
    assert (one.leads(), one.changes) == (0, 2)
    assert len([r for r in caplog.records if "lacks get, list, create or update on leases" in r.message]) == 1
    one.api.fault = lambda request: None
    one.turn()
    assert (one.leads(), one.changes) == (PARTITIONS // 2, 3)
