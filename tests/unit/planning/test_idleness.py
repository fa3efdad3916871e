"""Whether a cluster is used, since when it is not, and when it is suspended or deleted for that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from autoscaler.model import Demand, Gang, NodeStatus, RayNode, RayState, RayUsage, Shape, Strategy
from controller.objects.views import PodView
from controller.planning.actions import CreatePod, DeleteCluster, DeletePod, RetirePod
from controller.planning.idle_record import DECIDED, IDLE, IN_USE, UNKNOWN, IdleRecord
from controller.planning.idleness import Idleness, idleness
from controller.planning.observed import Observed, RayView, UsageView
from controller.planning.plan import make_plan
from controller.raycluster.idle_termination import DELETE, SUSPEND
from controller.raycluster.model import RayCluster, timestamp
from tests.fakes.heads import node
from tests.support.builders import NOW, cluster, raw_spec, seen
from tests.support.plans import HEAD, W0, W1, WELL

MINUTE = 60
CPU = Shape.of({"CPU": 1})
IDLE_NODES = (node(1, W0.name, W0.node_type, idle=1e6), node(2, W1.name, W1.node_type, idle=1e6))
HEAD_NODE = replace(node(3, HEAD.name, HEAD.node_type, idle=1e6), is_head=True)
EVERYTHING_IDLES = (*IDLE_NODES, HEAD_NODE)


def wanting(action: str = SUSPEND, before: IdleRecord | None = None, **fields: Any) -> RayCluster:
    """A cluster that goes after half an hour without use."""
    made = cluster(raw_spec(idleTermination={"minutes": 30, "action": action}), **fields)
    return replace(made, status={"idle": before.status}) if before else made


def ray(*nodes: RayNode, age: float = 0.0, session: str = "s", **fields: Any) -> RayView:
    return RayView(RayState(session, 0.0, nodes or EVERYTHING_IDLES, **fields), HEAD.uid, age)


def said(user: str = "", age: float = 0.0, last_end: int = 0, **fields: Any) -> UsageView:
    return replace(UsageView(RayUsage(0.0, user, last_end), "", HEAD.uid, age), **fields)


def shown(of: RayCluster | None = None, pods: Sequence[PodView] = WELL, **fields: Any) -> Observed:
    """By default: the head has just said that nothing uses the cluster."""
    return seen(pods, of or wanting(), **{"ray": ray(), "usage": said(), **fields})


def judged(of: RayCluster | None = None, pods: Sequence[PodView] = WELL, **fields: Any) -> Idleness:
    found = idleness(shown(of, pods, **fields))
    assert found is not None
    return found


def idle_since(minutes: float, **fields: Any) -> IdleRecord:
    """What the status says after so many minutes without use."""
    record = judged().record
    return replace(record, since=int(NOW - minutes * MINUTE), **fields)


def decided(seconds_ago: int, action: str = SUSPEND) -> IdleRecord:
    return idle_since(31, state=DECIDED, decided_at=int(NOW) - seconds_ago, action=action, message="decided")


def test_only_a_spec_that_asks_for_it_is_judged() -> None:
    assert idleness(seen(WELL, ray=ray(), usage=said())) is None
    assert make_plan(seen(WELL, ray=ray(), usage=said())).idle is None
    spec = raw_spec(idleTermination={"minutes": 30}, suspend=True)
    assert idleness(shown(cluster(spec))) is None


BUSY_WORKER = node(1, W0.name, W0.node_type, free=0)
# Ray says of a node with any actor that it is at work, even where that holds nothing, as Ray's own helpers do.
HELPERS = replace(HEAD_NODE, status=NodeStatus.RUNNING, idle_seconds=0.0)
STORED = replace(HELPERS, total={"CPU": 1, "object_store_memory": 9}, available={"CPU": 1})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"usage": said("the driver of job 01000000 is connected")}, "the driver of job 01000000 is connected"),
        ({"ray": ray(demands=(Demand(CPU, 1),))}, "work waits for resources"),
        ({"ray": ray(gangs=(Gang((Demand(CPU, 1),), Strategy.PACK),))}, "work waits for resources"),
        ({"ray": ray(BUSY_WORKER, HEAD_NODE)}, "resources of Ray nodes are in use"),
        # Whoever uses it now need not be asked for.
        ({"ray": ray(BUSY_WORKER), "usage": None}, "resources of Ray nodes are in use"),
    ],
)
def test_a_cluster_in_use_stays_and_the_status_says_by_whom(fields: dict[str, Any], message: str) -> None:
    found = judged(wanting(before=idle_since(29)), **fields)
    assert (found.record.state, found.record.message, found.record.since) == (IN_USE, message, 0)
    assert (found.carry_out, found.suspends) == ("", False)


@pytest.mark.parametrize(
    "answer",
    [
        ray(),
        ray(*IDLE_NODES, HELPERS),
        ray(STORED),
        ray(replace(BUSY_WORKER, status=NodeStatus.DRAINING), HEAD_NODE),
        ray(replace(BUSY_WORKER, status=NodeStatus.DEAD), HEAD_NODE),
        # How large the cluster should be is not that anybody uses it.
        ray(requested=(Demand(CPU, 9),)),
    ],
)
def test_what_is_no_use(answer: RayView) -> None:
    found = judged(ray=answer)
    assert (found.record.state, found.record.since) == (IDLE, int(NOW))
    due = timestamp(NOW + 30 * MINUTE)
    assert found.record.message == f"nothing has used the cluster since {timestamp(NOW)}; it is suspended at {due}"


def test_the_time_without_use_goes_on_over_passes_and_restarts() -> None:
    """All that is known of it is in the status."""
    assert judged(wanting(before=idle_since(29))).record == idle_since(
        29,
        message=judged()
        .record.message.replace(timestamp(NOW + 30 * MINUTE), timestamp(NOW + MINUTE))
        .replace(timestamp(NOW), timestamp(NOW - 29 * MINUTE)),
    )


@pytest.mark.parametrize(
    ("of", "fields", "why"),
    [
        (wanting(before=idle_since(29), generation=2), {}, "the spec has changed"),
        (wanting(before=idle_since(29), resumed="now"), {}, "it was resumed"),
        (wanting(before=idle_since(29)), {"usage": said(last_end=int(NOW - 5))}, "a driver has come and gone"),
        (wanting(before=idle_since(29)), {"ray": ray(session="another")}, "Ray has started anew"),
        (wanting(before=idle_since(29, head="another")), {}, "another head"),
        (wanting(before=replace(idle_since(0), state=IN_USE, since=0)), {}, "it was in use"),
        (wanting(before=idle_since(29, state="no such state")), {}, "a status that anybody may have written"),
    ],
)
def test_the_time_without_use_begins_anew(of: RayCluster, fields: dict[str, Any], why: str) -> None:
    found = judged(of, **fields)
    assert (found.record.state, found.record.since) == (IDLE, int(NOW)), why


def test_work_on_the_head_that_needs_no_driver_counts() -> None:
    lately = replace(HEAD_NODE, idle_seconds=100.0)
    assert judged(wanting(before=idle_since(29)), ray=ray(lately, age=2.0)).record.since == int(NOW) - 103
    # That a worker joined just now says nothing.
    assert judged(wanting(before=idle_since(29)), ray=ray(node(1, W0.name, "w", idle=1.0))).record.since == int(
        NOW - 29 * MINUTE
    )


def test_a_clock_that_was_set_back_does_not_shorten_it() -> None:
    assert judged(wanting(before=idle_since(-5))).record.since == int(NOW)


UNSURE = [
    ({"silence": 1.0, "ray": ray(age=31.0)}, "the head does not answer"),
    ({"silence": 31.0, "ray": None}, "the head does not answer"),
    ({"usage": said(usage=None, error="timeout: no")}, "the head does not say who uses the cluster (timeout: no)"),
    ({"pods": [W0, W1]}, "the head does not run"),
    ({"pods": [replace(HEAD, ip=""), W0, W1]}, "the head does not run"),
]


@pytest.mark.parametrize(("fields", "why"), UNSURE)
def test_nothing_is_decided_on_an_old_or_missing_answer_and_the_status_says_why(
    fields: dict[str, Any], why: str
) -> None:
    before = idle_since(99)
    found = judged(wanting(before=before), **fields)
    assert (found.record.state, found.record.message) == (UNKNOWN, f"not known, so that nothing is done: {why}")
    assert (found.carry_out, found.suspends, found.record.decided_at) == ("", False, 0)
    # Once the head answers again it shows whether somebody came and went.
    again = judged(wanting(before=found.record))
    assert (again.record.state, again.record.since) == (DECIDED, before.since)


def test_a_process_that_has_just_begun_to_ask_leaves_the_status_as_it_is() -> None:
    before = idle_since(10)
    assert judged(wanting(before=before), ray=None, usage=None).record == before
    found = judged(wanting(before=before), usage=None)
    assert (found.record, found.ask) == (before, True)


@pytest.mark.parametrize(
    ("fields", "asks"),
    [
        ({"usage": None}, True),
        ({"usage": said(head_uid="another")}, True),
        ({"usage": said(age=29.0)}, False),
        ({"usage": said(age=31.0)}, True),
        ({"usage": said("somebody", age=31.0)}, True),
        ({"usage": said(usage=None, error="no", age=29.0)}, False),
        # Reading what it says has taken a second.
        ({"usage": said(age=99.0, usage=RayUsage(0.0, cost=1.0))}, False),
        ({"usage": said(age=101.0, usage=RayUsage(0.0, cost=1.0))}, True),
        # What it says anyway shows that the cluster is used.
        ({"usage": said(age=99.0), "ray": ray(BUSY_WORKER)}, False),
        ({"usage": None, "ray": None}, False),
        ({"usage": None, "ray": ray(age=31.0), "silence": 30.0}, False),
    ],
)
def test_the_head_is_asked_now_and_then_while_the_answer_may_change_anything(
    fields: dict[str, Any], asks: bool
) -> None:
    found = judged(**fields)
    assert found.ask is asks
    assert found.look_again_at is None or NOW + 1 <= found.look_again_at <= NOW + 101


def test_a_short_time_is_watched_more_closely() -> None:
    of = cluster(raw_spec(idleTermination={"minutes": 0.1}))
    assert judged(of, usage=said(age=1.0)).ask is False
    assert judged(of, usage=said(age=1.6)).ask is True


def test_a_decision_waits_for_answers_of_now() -> None:
    """It is looked at on time, and asked again before anything follows."""
    early = judged(wanting(before=idle_since(29.9)))
    assert (early.record.state, early.look_again_at) == (IDLE, int(NOW - 29.9 * MINUTE) + 30 * MINUTE)
    late = wanting(before=idle_since(30))
    old = judged(late, usage=said(age=6.0))
    assert (old.record.state, old.ask, old.look_again_at) == (IDLE, True, NOW + 1)
    for fields in ({"ray": ray(age=6.0)}, {"silence": 1.0}):
        found = judged(late, **fields)
        assert (found.record.state, found.look_again_at) == (IDLE, NOW + 1)


@pytest.mark.parametrize("action", [SUSPEND, DELETE])
def test_a_decision_is_written_down_before_anything_is_done(action: str) -> None:
    of = wanting(action, idle_since(30))
    found = judged(of)
    record = found.record
    assert (record.state, record.action, record.decided_at) == (DECIDED, action, int(NOW))
    assert (found.carry_out, found.suspends, found.ask, found.look_again_at) == ("", False, True, NOW)
    assert make_plan(shown(of)).actions == ()
    since, at = timestamp(NOW - 30 * MINUTE), timestamp(NOW)
    told = f"nothing used the cluster from {since} on, for 30 minutes (spec.idleTermination): "
    back = "; ray-operator resume example, or any change of the spec, brings it back"
    assert record.message == told + (f"suspended at {at}{back}" if action == SUSPEND else f"deleted at {at}")


def test_a_decision_to_suspend_is_carried_out_on_an_answer_that_is_younger() -> None:
    of = wanting(before=decided(4))
    made = make_plan(shown(of))
    assert [type(a) for a in made.actions] == [RetirePod, RetirePod]
    assert made.suspension and (made.suspension.reason, made.suspension.message) == ("Idle", "decided")
    assert [a.reason for a in made.announcements] == ["IdleTermination", "Suspending"]
    last = make_plan(shown(of, [HEAD], ray=ray(HEAD_NODE)))
    assert [type(a) for a in last.actions] == [DeletePod]
    over = make_plan(shown(of, []))
    assert (over.actions, over.look_again_at, over.announcements) == ((), None, ())


def test_a_decision_to_delete_deletes_what_was_seen_and_does_nothing_else() -> None:
    of = wanting(DELETE, decided(4, DELETE), resource_version=77)
    made = make_plan(shown(of, [HEAD]))
    assert made.actions == (DeleteCluster(of.uid, 77),)
    assert [(a.reason, a.message) for a in made.announcements] == [("IdleTermination", "decided")]


@pytest.mark.parametrize("action", [SUSPEND, DELETE])
@pytest.mark.parametrize(
    "fields",
    [{"usage": said(age=4.5)}, {"usage": None}, {"ray": ray(age=6.0)}, {"ray": None}, {"silence": 59.0}],
    ids=["asked before the decision", "not asked", "an old answer", "no answer", "silent"],
)
def test_until_there_is_one_nothing_is_done(action: str, fields: dict[str, Any]) -> None:
    """Whatever time has passed: the process may have been away."""
    of = wanting(action, decided(4, action))
    made = make_plan(shown(of, **fields))
    assert (made.actions, made.idle and made.idle.record) == ((), IdleRecord.current(of))
    assert made.look_again_at == NOW + 1
    assert made.head == HEAD


@pytest.mark.parametrize("action", [SUSPEND, DELETE])
@pytest.mark.parametrize("fields", [{"usage": said("somebody")}, {"ray": ray(demands=(Demand(CPU, 1),))}])
def test_it_is_dropped_when_somebody_comes(action: str, fields: dict[str, Any]) -> None:
    """Also halfway: workers that have gone are made again."""
    made = make_plan(shown(wanting(action, decided(4, action)), [HEAD], **fields))
    assert made.idle and (made.idle.record.state, made.idle.record.since) == (IN_USE, 0)
    assert made.suspension is None
    assert [type(a) for a in made.actions] == [CreatePod, CreatePod]


@pytest.mark.parametrize("action", [SUSPEND, DELETE])
@pytest.mark.parametrize("fields", [{"silence": 61.0, "ray": None}, {"usage": said(usage=None, error="timeout: no")}])
def test_it_is_dropped_when_the_head_says_nothing(action: str, fields: dict[str, Any]) -> None:
    made = make_plan(shown(wanting(action, decided(4, action)), **fields))
    assert made.idle and (made.idle.record.state, made.idle.record.decided_at) == (UNKNOWN, 0)
    assert made.suspension is None


def test_without_a_head_a_cluster_is_suspended_to_the_end_and_never_deleted() -> None:
    """The head that was idle is gone: nothing can be used there; but of the cluster nothing is known any more."""
    made = make_plan(shown(wanting(before=decided(4)), [W0]))
    assert [type(a) for a in made.actions] == [DeletePod]
    spared = make_plan(shown(wanting(DELETE, decided(4, DELETE)), [W0, W1], ray=None, usage=None))
    assert not any(isinstance(a, DeleteCluster) for a in spared.actions)
    assert any(isinstance(a, CreatePod) and a.pod_type.is_head for a in spared.actions)


@pytest.mark.parametrize(
    "fields", [{"generation": 2}, {"resumed": "2026-01-01T00:00:00Z"}], ids=["a change of the spec", "resume"]
)
def test_the_user_overrides_a_decision(fields: dict[str, Any]) -> None:
    """With no pods left and with all of them; the minutes begin anew, so that it is not taken at once again."""
    asleep = make_plan(shown(wanting(before=decided(4), **fields), [], ray=None, usage=None))
    assert any(isinstance(a, CreatePod) and a.pod_type.is_head for a in asleep.actions)
    found = judged(wanting(before=decided(4), **fields))
    assert (found.record.state, found.record.since, found.suspends) == (IDLE, int(NOW), False)


def test_a_decision_in_a_status_that_makes_no_sense_is_none() -> None:
    broken = replace(decided(4), action="Explode")
    assert judged(wanting(before=broken)).record.state == IDLE


def test_work_that_begins_and_ends_again_and_again_is_not_written_down_each_time() -> None:
    driver = judged(usage=said("the driver of job 01 is connected")).record
    assert judged(wanting(before=driver), ray=ray(demands=(Demand(CPU, 1),))).record == driver
