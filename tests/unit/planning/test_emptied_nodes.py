"""Workers on nodes that are being emptied: drained with the time that is left, replaced before they have gone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from controller.objects.nodes import KNOWN, NodeView, Toleration
from controller.objects.views import PodView
from controller.planning.actions import DeletePod, DrainPod
from controller.planning.plan import Plan, make_plan
from controller.raycluster.model import parse_spec
from tests.fakes.heads import node
from tests.support.builders import NOW, cluster, head_pod, raw_spec, seen, worker_pod
from tests.unit.objects.test_nodes import raw_node, taint
from tests.unit.planning.test_hosts import A0, A1, busy
from tests.unit.planning.test_hosts import shown as shown_hosts
from tests.unit.planning.test_interruptions import DRAINING, HEAD, IDLE, SPEC, disrupted, drains, made, shown

W0 = worker_pod(SPEC, 0, node="node-1")
SPOT = taint("aws-node-termination-handler/spot-itn", value="event")
AWAY = taint("example.com/away", "NoExecute")


def nodes(*taints: dict[str, Any], deleted_at: float = 0.0) -> dict[str, NodeView]:
    """The node of the worker."""
    return {"node-1": replace(NodeView.from_object(raw_node(*taints)), deleted_at=deleted_at)}


def planned(pod: PodView, *taints: dict[str, Any], deleted_at: float = 0.0, **fields: Any) -> Plan:
    """What is done about a worker on a node."""
    return make_plan(replace(shown(pod, **fields), nodes=nodes(*taints, deleted_at=deleted_at)))


def dated(raw: dict[str, Any], seconds_ago: int) -> dict[str, Any]:
    """Tainted so long ago."""
    return {**raw, "timeAdded": f"2023-11-14T22:13:{20 - seconds_ago:02d}Z"}


def tolerating(*tolerations: Toleration, **fields: Any) -> PodView:
    return replace(W0, tolerations=tolerations, **fields)


STAYS_A_MINUTE = Toleration("example.com/away", "Exists", "", "NoExecute", 60.0)
STAYS = Toleration("example.com/away", "Exists", "", "", None)
ANYWHERE = Toleration("", "Exists", "", "", None)
UNTIL = [
    *[(key, W0, [taint(key)], NOW + (30 if known.seconds is None else known.seconds)) for key, known in KNOWN.items()],
    ("spot, a longer grace period", replace(W0, grace=600.0), [SPOT], NOW + 120),
    ("spot, seen late", W0, [dated(SPOT, 15)], NOW + 105),
    ("evicting", W0, [AWAY], NOW + 30),
    ("evicting, a longer grace period", replace(W0, grace=600.0), [AWAY], NOW + 600),
    ("evicting, seen late", W0, [dated(AWAY, 10)], NOW + 20),
    ("tolerated for a minute", tolerating(STAYS_A_MINUTE), [dated(AWAY, 10)], NOW + 80),
    ("tolerated", tolerating(STAYS), [AWAY], None),
    ("everything is tolerated", tolerating(ANYWHERE), [AWAY, SPOT], None),
    ("the soonest of two", W0, [SPOT, AWAY], NOW + 30),
    ("one of two is tolerated", tolerating(STAYS), [SPOT, AWAY], NOW + 120),
    ("spot, evicting too", W0, [{**SPOT, "effect": "NoExecute"}], NOW + 30),
    ("removed long ago by the autoscaler", W0, [taint("ToBeDeletedByClusterAutoscaler", value="1600000000")], NOW + 30),
    ("by a clock that is ahead", W0, [taint("ToBeDeletedByClusterAutoscaler", value="9999999999")], NOW + 30),
    ("tolerated for ages", tolerating(STAYS_A_MINUTE._replace(seconds=1e300)), [AWAY], NOW + 1e7),
    ("elsewhere", replace(W0, node="node-2"), [SPOT], None),
    ("not scheduled yet", replace(W0, node=""), [SPOT], None),
]


@pytest.mark.parametrize(("pod", "taints", "until"), [row[1:] for row in UNTIL], ids=[row[0] for row in UNTIL])
def test_a_taint_is_a_drain_with_the_time_that_is_left(
    pod: PodView, taints: list[dict[str, Any]], until: float | None
) -> None:
    plan = planned(pod, *taints)
    assert drains(plan) == ({} if until is None else {pod.name: until})
    assert not [a for a in plan.actions if isinstance(a, DeletePod)]


def test_the_event_says_why() -> None:
    (drain,) = (a for a in planned(W0, SPOT).actions if isinstance(a, DrainPod))
    assert drain.reason.text == "its node is being emptied (AWS takes the spot instance back)"


def test_a_node_that_is_being_deleted_ends_the_pods_that_were_there() -> None:
    """What was put there afterwards was put there knowingly: replacing it would lead to the same place."""
    assert drains(planned(W0, deleted_at=NOW - 5)) == {W0.name: NOW + 25}
    later = replace(W0, started_at=NOW - 3)
    assert drains(planned(later, deleted_at=NOW - 5)) == {}


def test_its_replacement_does_not_wait_until_it_has_gone() -> None:
    assert made(planned(W0, SPOT, least=1)) == 1
    assert made(planned(W0, SPOT)) == 1
    assert made(planned(W0, SPOT, maxWorkers=1)) == 0


def test_an_idle_worker_goes_too_and_is_replaced_where_a_minimum_asks_for_it() -> None:
    plan = planned(W0, SPOT, nodes=(IDLE,))
    assert (list(drains(plan)), made(plan)) == ([W0.name], 0)
    assert made(planned(W0, SPOT, nodes=(IDLE,), least=1)) == 1


def test_a_taint_that_is_gone_before_the_drain_leaves_the_worker_alone() -> None:
    """While the head's answer is old, nothing can be drained."""
    assert drains(planned(W0, SPOT, age=6.0)) == {}
    assert planned(W0).actions == ()


def test_a_drain_that_has_begun_is_not_taken_back() -> None:
    """Ray knows no way back. The pod goes when it has finished, or when its time is over."""
    leaving = replace(W0, drain_by=NOW + 60, drain_label="interrupted")
    assert drains(planned(leaving, nodes=(DRAINING,))) == {}
    (gone,) = (a for a in planned(leaving, nodes=()).actions if isinstance(a, DeletePod))
    assert gone.pod is leaving


def test_two_notices_are_one_drain_with_the_sooner_end() -> None:
    pod = disrupted(W0)
    assert drains(planned(pod, SPOT)) == {W0.name: NOW + 30}
    assert made(planned(pod, SPOT, least=1)) == 1
    told = replace(pod, drain_by=NOW + 30, drain_label="interrupted")
    assert drains(planned(told, SPOT, nodes=(DRAINING,))) == {}


def test_a_drain_whose_time_grows_short_is_told_once_more() -> None:
    """It was to have ten minutes, because of a changed type or a lower maxWorkers; AWS leaves it two."""
    leaving = replace(W0, drain_by=NOW + 600, drain_label="above_maximum")
    assert drains(planned(leaving, SPOT, nodes=(DRAINING,))) == {W0.name: NOW + 120}
    told = replace(leaving, drain_by=NOW + 120)
    assert drains(planned(told, SPOT, nodes=(DRAINING,))) == {}


def test_an_eviction_with_less_time_than_the_notice_is_told_once_more() -> None:
    evicted = replace(W0, drain_by=NOW + 110, deleting=True, deleted_at=NOW - 5, delete_by=NOW + 25)
    assert drains(planned(evicted, SPOT, nodes=(DRAINING,))) == {W0.name: NOW + 25}
    assert drains(planned(replace(evicted, drain_by=NOW + 25), SPOT, nodes=(DRAINING,))) == {}


def test_a_heads_node_changes_nothing_before_its_pod_is_being_deleted() -> None:
    """As with every other notice of its end: replacing it would end all work at once."""
    pods = [replace(HEAD, node="node-1"), replace(W0, node="node-2")]
    observed = seen(pods, cluster(raw_spec(1)), ray=shown(W0).ray)
    assert make_plan(replace(observed, nodes=nodes(SPOT))).actions == make_plan(observed).actions


def test_a_suspended_cluster_ends_its_workers_as_it_does_anyway() -> None:
    observed = seen([HEAD, W0], cluster(raw_spec(0, suspend=True)), ray=shown(W0).ray)
    assert make_plan(replace(observed, nodes=nodes(SPOT))).actions == make_plan(observed).actions


def test_a_worker_of_several_hosts_goes_as_a_whole() -> None:
    pods = [replace(A0, node="node-2"), replace(A1, node="node-1")]
    plan = make_plan(replace(shown_hosts(*pods, nodes=(busy(A0), busy(A1))), nodes=nodes(SPOT)))
    assert drains(plan) == {A0.name: NOW + 120, A1.name: NOW + 120}
    assert made(plan) == 2


def test_many_nodes_at_once() -> None:
    """Each worker is told once, and gets one replacement."""
    spec = parse_spec(raw_spec(0))
    pods = [worker_pod(spec, n, node=f"node-{n}") for n in range(10)]
    known = tuple(node(n + 1, pod.name, "worker-node", free=0) for n, pod in enumerate(pods))
    gone = {f"node-{n}": NodeView.from_object(raw_node(SPOT, name=f"node-{n}")) for n in range(10)}
    raised = raw_spec(0, maxWorkers=20)
    raised["podTypes"][1]["maxWorkers"] = 20
    plan = make_plan(seen([head_pod(spec), *pods], cluster(raised), ray=shown(*pods, nodes=known).ray, nodes=gone))
    assert (len(drains(plan)), made(plan)) == (10, 10)
