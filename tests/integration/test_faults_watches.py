"""Watches that lose events, stand still, end in every possible way, or tell of the past."""

from __future__ import annotations

import copy
import itertools
import json
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.support.apiserver import JSON_PATCH, Answer, Request
from tests.support.faults import DropEvent, HoldEvents, Refuse, Replay, error_event, status
from tests.support.kube import eventually
from tests.support.proxy import Event, Fault, Proxy
from tests.support.sampled import LONG, sampled
from tests.support.stage import NAME, Phase, Stage, Undisturbed, life, made, undisturbed, up

ABREAST = 12
# A phase may be over before its last events.
LAST_EVENT_SECONDS = 1.0
LAG_PASSES = 8
TOO_OLD = "too old resource version: 1 (2)"
TOO_LARGE = "Too large resource version: 9999999999, current: 1"


class SmallPages(Fault):
    """Lists come one object at a time, so that a small cluster has pages too."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy

    def before(self, request: Request) -> Answer | None:
        """See Fault."""
        if request.verb != "list" or request.query.get("limit") == "1":
            return None
        target = request.target.replace(f"limit={request.query['limit']}", "limit=1")
        return self._proxy.server.send(Request.parse("GET", target))


@pytest.fixture
def stage(environment: Mapping[str, str], tmp_path: Path) -> Stage:
    return Stage(environment, tmp_path)


def test_any_single_event_may_be_lost_until_its_successor(
    environment: Mapping[str, str], tmp_path: Path, example: dict[str, Any]
) -> None:
    """In each phase of a cluster's life, each event of each watch in turn; a quarter of them in the short form."""
    phases = life(example)
    expected = undisturbed(Stage(environment, tmp_path), phases)
    most: Counter[str] = Counter()
    for told in expected.told:
        most |= told
    every = [(resource, number) for resource, count in most.items() for number in range(1, count + 1)]
    runs = sampled(every, 0.25)
    with ThreadPoolExecutor(ABREAST) as pool:
        stages = [Stage(environment, tmp_path) for _ in runs]
        lives = [pool.submit(deaf, s, phases, expected, *run) for s, run in zip(stages, runs, strict=True)]
    faults = [f"{r} event {n}: {f.exception()}" for f, (r, n) in zip(lives, runs, strict=True) if f.exception()]
    assert not faults, "\n".join(faults)
    dropped = Counter(itertools.chain.from_iterable(f.result() for f in lives))
    life_long = sum(told[resource] >= number for told in expected.told for resource, number in runs)
    print(f"dropped {dict(dropped)} in {len(runs)} runs; of {life_long} there are")
    assert sum(dropped.values()) >= 0.8 * life_long
    assert not LONG or set(dropped) == {"ADDED", "MODIFIED", "DELETED"}


def deaf(stage: Stage, phases: list[Phase], expected: Undisturbed, resource: str, number: int) -> list[str]:
    """One run, that loses an event in every phase that has so many. Returns the kinds of what was lost."""
    lost = []
    with stage:
        stage.operator.start()
        for phase, state, told in zip(phases, expected.states, expected.told, strict=True):
            fault = DropEvent(resource, number)
            with stage.proxy.fault(fault):
                phase.act(stage.space)
                stage.space.wait_for(state)
                fault.struck.wait(LAST_EVENT_SECONDS if number <= told[resource] else 0)
                stage.space.wait_for(state)
            lost += [fault.dropped] if fault.dropped else []
        assert stage.proxy.changes() == expected.changes
    return lost


def test_a_watch_that_lags_behind_a_hundred_workers_makes_a_hundred(stage: Stage, example: dict[str, Any]) -> None:
    """No event about any pod arrives while the operator makes pass after pass."""
    cluster = copy.deepcopy(example)
    cluster["spec"] |= {"maxWorkers": 100}
    cluster["spec"]["podTypes"][1] |= {"minWorkers": 0, "maxWorkers": 100}
    hold = HoldEvents("pods")
    with stage:
        up(stage, cluster, 0)
        with stage.proxy.fault(hold):
            stage.space.edit(NAME, ("podTypes/1/minWorkers", 100))
            for minutes in range(LAG_PASSES):
                stage.space.edit(NAME, ("idleTimeoutMinutes", 10 + minutes))
                eventually(lambda: seen_by_operator(stage))
            hold.release()
            eventually(lambda: stage.space.settled(NAME, 100))
        assert stage.proxy.changes() == made(101)


def seen_by_operator(stage: Stage) -> bool:
    """A pass over the newest spec is over."""
    cluster = stage.space.get("rayclusters", NAME)
    return bool(cluster["status"]["observedGeneration"] == cluster["metadata"]["generation"])


Break = Callable[[Stage], None]


def on_watch(answer: Answer) -> Break:
    """The next watches of pods are answered so."""

    def act(stage: Stage) -> None:
        stage.proxy.faults.append(Refuse(answer, lambda r: r.verb == "watch" and r.resource == "pods", 2))
        stage.proxy.end_streams()

    return act


def with_event(event: Event) -> Break:
    """The watch of pods tells this."""

    def act(stage: Stage) -> None:
        assert stage.proxy.interject(event, "pods")

    return act


def in_pages(stage: Stage) -> None:
    """The list that follows a 410 comes in pages, and its token expires once."""
    expired = status(410, "Expired", "The provided continue parameter is too old")
    stage.proxy.faults.append(Refuse(expired, lambda r: "continue" in r.query))
    stage.proxy.faults.append(SmallPages(stage.proxy))
    stage.proxy.interject(error_event(410, "Expired", TOO_OLD), "pods")


ENDS: dict[str, Break] = {
    "410 as an event": with_event(error_event(410, "Expired", TOO_OLD)),
    "410 as an answer": on_watch(status(410, "Expired", TOO_OLD)),
    "410 between pages": in_pages,
    "an ERROR event": with_event(error_event(500, "InternalError", "etcd: request timed out")),
    "a version not reached yet": on_watch(status(504, "Timeout", TOO_LARGE)),
    "bytes that are no JSON": with_event(b"\x00\xff\x17 not JSON"),
    "half an event": with_event(b'{"type":"MODIFIED","object":{"metadata":{"name":"exa'),
    "an event about nothing": with_event(b'{"type":"MODIFIED"}'),
}


@pytest.mark.parametrize("end", ENDS)
def test_a_watch_that_cannot_go_on_is_made_anew_and_what_was_missed_is_noticed(
    stage: Stage, example: dict[str, Any], end: str
) -> None:
    """A worker goes while the watch stands still, which then ends. It is replaced, once, and nothing else happens."""
    hold = HoldEvents("pods")
    with stage:
        up(stage, example)
        stage.proxy.faults.append(hold)
        stage.space.delete("pods", stage.space.pods("worker")[0]["metadata"]["name"])
        # The thread that forwards the watch may still be on its way to the hold.
        ENDS[end](stage)
        stage.proxy.faults.remove(hold)
        eventually(lambda: len(stage.space.pods("worker")) == 2 and stage.space.settled(NAME, 2))
        hold.release()
        assert stage.proxy.changes() == made(4)
        assert all("resourceVersion" not in r.query for r, _ in stage.proxy.requests if r.verb == "list")


def replaced_worker(stage: Stage) -> tuple[dict[str, Any], Replay]:
    """A worker is terminating for a while, then gone, then made again under its name.

    Returns the terminating one, and the list of that time, ready to be told again.
    """
    space = stage.space
    name = space.pods("worker")[0]["metadata"]["name"]
    keep = [{"op": "add", "path": "/metadata/finalizers", "value": ["example.com/keep"]}]
    space.server.ask("PATCH", space.path("pods", name), keep, JSON_PATCH)
    space.delete("pods", name)
    eventually(lambda: space.settled(NAME, 2))
    past = Replay("pods", 2)
    past.remember(space.server, space.path("pods") + "?labelSelector=ray-cluster-name")
    old = space.get("pods", name)
    assert "deletionTimestamp" in old["metadata"]
    space.server.ask("PATCH", space.path("pods", name), [{"op": "remove", "path": "/metadata/finalizers"}], JSON_PATCH)
    # Its name is free, and one of the first two: with both other workers gone those are used again.
    for other in space.pods("worker"):
        space.delete("pods", other["metadata"]["name"])
    eventually(lambda: space.settled(NAME, 2))
    assert space.get("pods", name)["metadata"]["uid"] != old["metadata"]["uid"]
    return old, past


@pytest.mark.parametrize("replay", ["events", "lists", "lists to a new process"])
def test_a_replay_of_the_past_does_not_touch_the_present(stage: Stage, example: dict[str, Any], replay: str) -> None:
    """A stale server says that a worker is terminating whose name belongs to a new one."""
    with stage:
        up(stage, example)
        old, past = replaced_worker(stage)
        uids = {p["metadata"]["uid"] for p in stage.space.pods()}
        before = stage.proxy.changes()
        if replay == "events":
            for kind in ("MODIFIED", "DELETED"):
                assert stage.proxy.interject(json.dumps({"type": kind, "object": old}).encode(), "pods")
        else:
            stage.proxy.faults.append(past)
            if replay == "lists":
                stage.proxy.interject(error_event(410, "Expired", TOO_OLD), "pods")
                eventually(lambda: past.used == 2)
            else:
                stage.operator.kill()
                stage.operator.start()
                eventually(lambda: past.used)
        # The next change shows that the operator goes on from the truth.
        stage.space.edit(NAME, ("podTypes/1/minWorkers", 3))
        eventually(lambda: stage.space.settled(NAME, 3))
        now = {p["metadata"]["uid"] for p in stage.space.pods()}
        assert uids < now
        assert stage.proxy.changes() - before == Counter({("create", "pods"): 1})


def test_peers_that_are_gone_silently_are_noticed_within_a_minute(stage: Stage, example: dict[str, Any]) -> None:
    """Every open connection stays open and silent, as behind a load balancer whose backend is gone."""
    with stage:
        up(stage, example)
        stage.proxy.freeze()
        started = time.monotonic()
        stage.space.delete("pods", stage.space.pods("worker")[0]["metadata"]["name"])
        stage.space.edit(NAME, ("podTypes/1/minWorkers", 3))
        eventually(lambda: stage.space.settled(NAME, 3), within=60)
        print(f"back after {time.monotonic() - started:.0f} s")
        assert stage.proxy.changes() == made(5)
