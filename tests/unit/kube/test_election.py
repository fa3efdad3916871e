"""Leader election: who may write, when, and what a paused or failed leader does."""

from __future__ import annotations

import copy
import itertools
import threading
from typing import Any

import pytest

from controller.heads.fenced import FencedHeads
from controller.kube.client import ApiError, Request
from controller.kube.election import Election
from controller.kube.leadership import NOT_LEADER, FencedClient, Leadership
from controller.kube.lease import DEADLINE_SECONDS, LEASE_SECONDS, LOOK_SECONDS, RENEW_SECONDS
from tests.fakes.heads import FakeHeads


class LeaseApi:
    """One Lease, with the API server's optimistic concurrency. ``down`` makes every request fail."""

    def __init__(self) -> None:
        self.lease: dict[str, Any] | None = None
        self.down: ApiError | None = None
        self.versions = itertools.count(1)
        self.requests: list[str] = []

    def send(self, request: Request) -> Any:
        assert request.path.startswith("/apis/coordination.k8s.io/v1/namespaces/ops/leases")
        method, body = request.method, request.body
        self.requests.append(method)
        if self.down:
            raise self.down
        if method != "POST" and self.lease is None:
            raise ApiError(404, "NotFound", "")
        if method == "POST" and self.lease is not None:
            raise ApiError(409, "AlreadyExists", "")
        lease = self.lease or {"metadata": {}}
        if method == "PUT" and body["metadata"]["resourceVersion"] != lease["metadata"]["resourceVersion"]:
            raise ApiError(409, "Conflict", "")
        if body is not None:
            self.lease = copy.deepcopy(body)
            self.lease["metadata"]["resourceVersion"] = str(next(self.versions))
        return copy.deepcopy(self.lease)

    @property
    def spec(self) -> dict[str, Any]:
        assert self.lease
        found: dict[str, Any] = self.lease["spec"]
        return found


class Candidate:
    """One process, with a clock that the test moves."""

    def __init__(self, api: LeaseApi, name: str, now: float = 0.0) -> None:
        self.now = now
        self.changes: list[bool] = []
        self.failures = 0
        self.leadership = Leadership(lambda: self.now, until=0.0)
        self.election = Election(
            api,
            "ops",
            name,
            self.leadership,
            on_change=self.changes.append,
            on_failure=self._failed,
            clock=lambda: self.now,
            wall=lambda: 1_700_000_000.0 + self.now,
        )
        self.due = now

    def _failed(self) -> None:
        self.failures += 1

    @property
    def leads(self) -> bool:
        return self.leadership.leads()

    def run(self, until: float) -> None:
        """Turn as often as it wants to, up to a moment."""
        while self.due <= until:
            self.now = self.due
            self.due += self.election.turn()
        self.now = until


@pytest.fixture
def api() -> LeaseApi:
    return LeaseApi()


def test_the_first_one_makes_the_lease_and_leads(api: LeaseApi) -> None:
    first = Candidate(api, "a")
    first.run(0)
    assert first.leads
    assert first.changes == [True]
    assert api.lease and api.lease["metadata"]["name"] == "ray-operator"
    assert api.spec == {
        "holderIdentity": "a",
        "leaseDurationSeconds": 15,
        "acquireTime": "2023-11-14T22:13:20.000000Z",
        "renewTime": "2023-11-14T22:13:20.000000Z",
        "leaseTransitions": 0,
    }


def test_a_leader_renews_with_one_request_each_time(api: LeaseApi) -> None:
    first = Candidate(api, "a")
    first.run(60)
    assert first.changes == [True]
    assert api.requests == ["GET", "POST"] + ["PUT"] * int(60 / RENEW_SECONDS)
    assert api.spec["acquireTime"] < api.spec["renewTime"]


def test_only_one_of_two_leads(api: LeaseApi) -> None:
    first, second = Candidate(api, "a"), Candidate(api, "b")
    for second_mark in range(60):
        first.run(second_mark)
        second.run(second_mark)
        assert (first.leads, second.leads) == (True, False)


def test_a_killed_leader_is_followed_within_sixteen_seconds(api: LeaseApi) -> None:
    """At whatever moment it dies: the lease was renewed at most just before, and is looked at each second."""
    for moment in range(100, 140):
        api = LeaseApi()
        first, second = Candidate(api, "a"), Candidate(api, "b")
        killed = moment / 10
        steps = sorted({killed, *range(int(killed) + 1)})
        for step in steps:
            first.run(step)
            second.run(step)
        ends = first.now
        while not second.leads:
            second.run(second.now + 0.1)
        assert second.now - ends <= LEASE_SECONDS + LOOK_SECONDS
        assert second.changes == [True]
        assert api.spec["leaseTransitions"] == 1


def test_the_deadline_counts_from_before_the_question(api: LeaseApi) -> None:
    """A renewal whose answer takes long gives no more time than one whose answer is there at once."""
    first = Candidate(api, "a")
    first.run(0)
    put = api.send

    def slow(request: Request) -> Any:
        answer = put(request)
        first.now += 4
        return answer

    api.send = slow  # type: ignore[method-assign]
    first.now = 2
    first.election.turn()
    first.now = 2 + DEADLINE_SECONDS - 0.01
    assert first.leads
    first.now = 2 + DEADLINE_SECONDS
    assert not first.leads


def test_a_leader_that_was_paused_does_not_write_when_it_goes_on(api: LeaseApi) -> None:
    first, second = Candidate(api, "a"), Candidate(api, "b")
    first.run(10)
    second.run(10)
    second.run(30)
    assert second.leads
    first.now = 30
    assert not first.leads
    with pytest.raises(ApiError) as refused:
        FencedClient(api, first.leadership).send(Request("create", "leases", "ops"))
    assert refused.value.reason == NOT_LEADER
    first.due = 30
    first.run(40)
    assert (first.leads, second.changes, first.changes) == (False, [True], [True, False])
    assert api.spec["holderIdentity"] == "b"


def test_at_most_one_process_leads_at_a_time_whatever_pauses(api: LeaseApi) -> None:
    """Two candidates, each stopped now and then for up to 20 seconds: their times of leading never overlap."""
    first, second = Candidate(api, "a"), Candidate(api, "b")
    pauses = {first: [(7, 27), (50, 58), (90, 110)], second: [(30, 45), (70, 85)]}
    led = []
    for tick in range(1500):
        now = tick / 10
        for candidate, stopped in pauses.items():
            candidate.now = now
            if not any(start <= now < end for start, end in stopped):
                candidate.due = max(candidate.due, now - 0.1)
                candidate.run(now)
        assert not (first.leads and second.leads)
        led.append(first.leads or second.leads)
    assert any(led) and not all(led)


def test_a_released_lease_is_taken_at_the_next_look(api: LeaseApi) -> None:
    first, second = Candidate(api, "a"), Candidate(api, "b")
    first.run(5)
    second.run(5)
    first.election.release()
    assert not first.leads
    assert api.spec["holderIdentity"] == ""
    second.run(5 + LOOK_SECONDS)
    assert second.leads


def test_one_that_stands_by_releases_nothing(api: LeaseApi) -> None:
    first, second = Candidate(api, "a"), Candidate(api, "b")
    first.run(5)
    second.run(5)
    second.election.release()
    assert api.spec["holderIdentity"] == "a"


def test_a_short_outage_costs_nothing_and_a_long_one_the_lead_until_it_is_over(
    api: LeaseApi, caplog: pytest.LogCaptureFixture
) -> None:
    first = Candidate(api, "a")
    first.run(4)
    api.down = ApiError(0, "NoAnswer", "nobody there")
    first.run(10)
    api.down = None
    first.run(12)
    assert first.changes == [True]
    api.down = ApiError(0, "NoAnswer", "nobody there")
    first.run(40)
    assert first.changes == [True, False]
    assert first.failures == 17
    api.down = None
    first.run(42)
    assert first.changes == [True, False, True]
    complaints = [r.message for r in caplog.records if "cannot hold" in r.message]
    assert complaints == ["cannot hold the lease ops/ray-operator: nobody there"] * 2


def test_a_lapse_that_was_not_seen_is_reported_when_it_is_over(api: LeaseApi) -> None:
    """What was let go in it has to be taken up again."""
    first = Candidate(api, "a")
    first.run(4)
    first.now = 20.0
    assert not first.leads
    first.due = 20.0
    first.run(20)
    assert (first.leads, first.changes) == (True, [True, False, True])


def test_a_role_that_does_not_suffice_is_named(api: LeaseApi, caplog: pytest.LogCaptureFixture) -> None:
    api.down = ApiError(403, "Forbidden", "leases is forbidden")
    Candidate(api, "a").run(0)
    assert "lacks get, create or update on leases" in caplog.text


def test_a_lease_that_was_deleted_is_made_again(api: LeaseApi) -> None:
    first = Candidate(api, "a")
    first.run(4)
    api.lease = None
    first.run(10)
    assert first.changes == [True, False, True]
    assert api.spec["holderIdentity"] == "a"


def test_a_lease_that_another_took_out_of_turn_ends_the_lead_at_once(api: LeaseApi) -> None:
    """Deleted by hand, and made by a process that cannot know of us: we find out with the next renewal."""
    first, second = Candidate(api, "a"), Candidate(api, "b", 5)
    first.run(4)
    api.lease = None
    second.run(5)
    first.run(6)
    assert (first.leads, second.leads) == (False, True)


def test_a_namespace_that_is_not_there_is_said_and_not_asked_for_in_a_loop(
    api: LeaseApi, caplog: pytest.LogCaptureFixture
) -> None:
    api.down = ApiError(404, "NotFound", 'namespaces "ops" not found')
    Candidate(api, "a").run(10)
    assert 'cannot hold the lease ops/ray-operator: 404 NotFound: namespaces "ops" not found' in caplog.text
    assert len(api.requests) == 2 * (1 + 10 / RENEW_SECONDS)


def test_reads_are_never_fenced_and_heads_get_no_changes_without_the_lead(api: LeaseApi) -> None:
    first = Candidate(api, "a")
    first.run(0)
    first.now = 11
    assert FencedClient(api, first.leadership).send(Request("get", "leases", "ops", "ray-operator"))
    heads = FakeHeads()
    fenced = FencedHeads(heads, first.leadership)
    assert not fenced.drain(("ns", "c"), b"1" * 28, "idle")  # type: ignore[arg-type]
    fenced.report(("ns", "c"), None)  # type: ignore[arg-type]
    assert (heads.drained, heads.reports) == ([], [])


def test_an_answer_that_is_no_lease_does_not_end_the_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Something between may answer anything; without the thread nobody would lead any more."""
    election = Election(LeaseApi(), "ns", "me", Leadership(until=0.0), on_change=lambda leads: None)
    stop = threading.Event()
    turns: list[int] = []

    def turn() -> float:
        turns.append(1)
        if len(turns) == 2:
            stop.set()
            return 0.0
        raise KeyError("metadata")

    monkeypatch.setattr(election, "turn", turn)
    monkeypatch.setattr("controller.kube.election.RENEW_SECONDS", 0.0)
    election.run(stop, lambda: None)
    assert len(turns) == 2


def test_a_conflict_that_comes_again_and_again_makes_no_hot_loop() -> None:
    """An admission webhook may refuse with 409 too; a lost race ends with one more look."""

    class Refusing(LeaseApi):
        def send(self, request: Request) -> Any:
            if request.method == "PUT":
                raise ApiError(409, "Conflict", "admission webhook denied the request")
            return super().send(request)

    api = Refusing()
    candidate = Candidate(api, "a")
    pauses = [candidate.election.turn() for _ in range(6)]
    assert all(pause >= 1 for pause in pauses[2:])
    assert not candidate.leadership.leads() or pauses[0] > 0
