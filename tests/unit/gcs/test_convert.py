"""What a head says, as values: canonical where it is plausible, harmless where it is not."""

from __future__ import annotations

import contextlib
import math
import random
from importlib import import_module
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.gcs import convert, resources
from autoscaler.gcs.convert import ImplausibleAnswerError, ray_state
from autoscaler.gcs.protos import PACKAGE
from autoscaler.gcs.protos import autoscaler_pb2 as pb
from autoscaler.gcs.report import fill_gang, fill_report, fill_request
from autoscaler.gcs.snapshot import essence
from autoscaler.model import (
    Demand,
    Gang,
    LabelConstraint,
    LabelOperator,
    NodeStatus,
    RayNode,
    RayState,
    ReportedState,
    Selector,
    Shape,
    Strategy,
)

RUNNING, DEAD, IDLE, DRAINING = 1, 2, 3, 4
GROUP = "0123456789abcdef" * 2 + "0123"


def node_id(number: int) -> bytes:
    return number.to_bytes(28, "big")


def node(number: int = 1, instance_id: str = "pod", status: int = RUNNING, **fields: Any) -> Any:
    return pb.NodeState(node_id=node_id(number), instance_id=instance_id, status=status, **fields)


def state(**fields: Any) -> RayState:
    return ray_state(pb.ClusterResourceState(**fields), taken_at=7.0)


def only_node(message: Any) -> RayNode:
    (found,) = state(node_states=[message]).nodes
    return found


def request(resources: dict[str, float], *selectors: Any, **fields: Any) -> Any:
    return pb.ResourceRequest(resources_bundle=resources, label_selectors=selectors, **fields)


def demands(*requests: Any, count: int = 1) -> tuple[Demand, ...]:
    by_count = [pb.ResourceRequestByCount(request=r, count=count) for r in requests]
    return state(pending_resource_requests=by_count).demands


def selector(*constraints: tuple[str, int, tuple[str, ...]]) -> Any:
    common_pb2 = import_module(f"{PACKAGE}.common_pb2")
    return common_pb2.LabelSelector(
        label_constraints=[
            common_pb2.LabelSelectorConstraint(label_key=key, operator=operator, label_values=values)
            for key, operator, values in constraints
        ]
    )


def gangs(*messages: Any) -> tuple[Gang, ...]:
    return state(pending_gang_resource_requests=messages).gangs


def test_a_nodes_fields_and_units() -> None:
    resources = {
        "CPU": 2.0,
        "memory": 8e9,
        "node:10.0.0.1": 1.0,
        f"CPU_group_0_{GROUP}": 1.0,
        f"bundle_group_{GROUP}": 1e3,
    }
    assert only_node(
        node(
            ray_node_type_name="worker-node",
            node_ip_address="10.0.0.1",
            status=IDLE,
            idle_duration_ms=1500,
            total_resources=resources,
            available_resources={"CPU": 0.3},
            labels={"zone": "a"},
            dynamic_labels={"_PG_1": "", "zone": "overridden"},
        )
    ) == RayNode(
        node_id=node_id(1),
        instance_id="pod",
        node_type="worker-node",
        status=NodeStatus.IDLE,
        total={"CPU": 20_000, "memory": 80_000_000_000_000},
        available={"CPU": 3_000},
        labels={"zone": "a", "_PG_1": ""},
        idle_seconds=1.5,
        ip="10.0.0.1",
    )


@pytest.mark.parametrize("status", [RUNNING, DEAD])
def test_a_node_may_say_where_it_is_but_not_at_length(status: int) -> None:
    assert only_node(node(status=status, node_ip_address="10.0.0.1")).ip == "10.0.0.1"
    assert only_node(node(status=status, node_ip_address="1" * 513)).ip == ""


def test_the_head_is_known_by_its_resource_and_the_session_and_time_are_kept() -> None:
    assert only_node(node(total_resources={"node:__internal_head__": 1})).is_head
    answer = state(cluster_session_name="session_1")
    assert (answer.session, answer.taken_at, answer.nodes) == ("session_1", 7.0, ())


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -1.0, 1e30])
def test_an_amount_that_is_none_is_no_room_and_no_demand(value: float) -> None:
    assert only_node(node(total_resources={"CPU": value, "GPU": 1})).total == {"GPU": 10_000}
    assert demands(request({"CPU": value}), request({"GPU": 1})) == (Demand(Shape.of({"GPU": 1}), 1),)


@pytest.mark.parametrize("status", [0, 5, 99])
def test_an_unknown_status_is_never_idle(status: int) -> None:
    found = only_node(node(status=status, idle_duration_ms=10**9))
    assert (found.status, found.idle_seconds) == (NodeStatus.RUNNING, 0.0)


def test_the_idle_clock_counts_only_while_idle_and_never_backwards() -> None:
    assert only_node(node(status=IDLE, idle_duration_ms=-5)).idle_seconds == 0
    assert only_node(node(status=DRAINING, idle_duration_ms=5000)).idle_seconds == 0


@pytest.mark.parametrize(
    ("statuses", "kept"),
    [
        ((DEAD, RUNNING), 2),
        ((RUNNING, DEAD), 1),
        ((DEAD, DEAD), 1),
        ((IDLE, RUNNING), 2),
        ((DRAINING, IDLE), 2),
        ((DEAD, DRAINING, DEAD), 2),
    ],
)
def test_of_an_instances_nodes_the_live_and_busiest_is_kept(statuses: tuple[int, ...], kept: int) -> None:
    messages = [node(number, status=status) for number, status in enumerate(statuses, 1)]
    assert [n.node_id for n in state(node_states=messages).nodes] == [node_id(kept)]


def test_of_two_idle_nodes_the_one_idle_for_less_is_kept() -> None:
    messages = [node(1, status=IDLE, idle_duration_ms=60_000), node(2, status=IDLE, idle_duration_ms=10)]
    assert state(node_states=messages).nodes[0].idle_seconds == 0.01


def test_the_dead_of_each_pod_that_had_a_name_are_told_apart() -> None:
    """The id of the newest may be the largest, or not: ids are random."""
    dead = [node(number, "pod", DEAD, node_ip_address=f"10.0.0.{number}") for number in (3, 1, 2)]
    assert [n.ip for n in state(node_states=dead).nodes] == ["10.0.0.1", "10.0.0.2", "10.0.0.3"]
    alive = node(4, "pod", RUNNING, node_ip_address="10.0.0.4")
    assert [n.ip for n in state(node_states=[*dead, alive]).nodes] == ["10.0.0.4"]


def test_a_dead_node_is_marked_and_brings_nothing() -> None:
    found = only_node(node(status=DEAD, total_resources={"CPU": 4, "node:__internal_head__": 1}, labels={"a": "b"}))
    assert found == RayNode(node_id(1), "pod", "", NodeStatus.DEAD, {}, {})


def test_nodes_without_an_instance_id_are_told_apart_by_their_own() -> None:
    assert len(state(node_states=[node(1, ""), node(2, ""), node(2, "")]).nodes) == 2


@pytest.mark.parametrize("bad", [b"", b"x" * 27, b"x" * 29, b"ab" * 28])
def test_a_node_id_that_is_none_refuses_the_answer(bad: bytes) -> None:
    with pytest.raises(ImplausibleAnswerError):
        state(node_states=[node(), pb.NodeState(node_id=bad)])


def test_too_many_nodes_refuse_the_answer_and_dead_ones_count_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(convert, "MAX_NODES", 2)
    monkeypatch.setattr(convert, "MAX_DEAD_NODES", 3)
    dead = [node(number, f"dead-{number}", DEAD) for number in range(3)]
    live = [node(number, f"live-{number}") for number in range(3, 6)]
    assert len(state(node_states=dead + live[:2]).nodes) == 5
    for too_many in (live, [*dead, *live], [node()] * 6):
        with pytest.raises(ImplausibleAnswerError):
            state(node_states=too_many)


def test_texts_and_maps_are_bounded() -> None:
    long = "x" * 10_000
    found = only_node(
        node(
            instance_id=long,
            ray_node_type_name=long,
            total_resources={long: 1, "": 1, **{f"r{i}": 1 for i in range(1000)}},
            labels={long: "a", "a": long, "": "b", **{f"l{i}": "" for i in range(1000)}},
        )
    )
    assert (found.instance_id, found.node_type) == ("", "")
    assert max(len(found.total), len(found.labels)) <= resources.MAX_ENTRIES
    assert all(len(text) <= resources.MAX_TEXT for text in (*found.total, *found.labels, *found.labels.values()))
    assert state(cluster_session_name=long).session == ""


def test_equal_shapes_are_one_demand_whatever_their_order() -> None:
    one, two = request({"CPU": 1, "GPU": 0.5}), request({"GPU": 0.5, "CPU": 1, "memory": 0})
    assert demands(one, request({"CPU": 2}), two, count=3) == (
        Demand(Shape.of({"CPU": 1, "GPU": 0.5}), 6),
        Demand(Shape.of({"CPU": 2}), 3),
    )


@pytest.mark.parametrize("count", [0, -1, -(2**63)])
def test_a_count_that_is_none_is_no_demand(count: int) -> None:
    assert demands(request({"CPU": 1}), count=count) == ()


def test_a_count_is_bounded() -> None:
    assert demands(request({"CPU": 1}), request({"CPU": 1}), count=2**62)[0].count == convert.MAX_COUNT


@pytest.mark.parametrize(
    "resource", ["node:10.0.0.1", "node:__internal_head__", f"CPU_group_{GROUP}", f"GPU_group_3_{GROUP}"]
)
def test_what_no_new_node_can_bring_is_no_demand(resource: str) -> None:
    assert demands(request({"CPU": 1, resource: 0.01})) == ()


def test_a_placement_group_with_a_bundle_for_a_node_that_is_there_is_demand() -> None:
    """vLLM ties the first bundle of its group to the node of its driver: for the others nodes may be launched."""
    bundles = [request({"GPU": 1, "node:10.0.0.3": 0.001}), request({"GPU": 1})]
    waiting = pb.GangResourceRequest(requests=bundles, details=f"{GROUP}:PACK|PENDING")
    there = node(total_resources={"GPU": 1, "node:10.0.0.3": 1, "node:10.0.0.4": 1, "node:__internal_head__": 1})
    found = state(node_states=[there], pending_gang_resource_requests=[waiting])
    assert [dict(d.shape.resources) for d in found.gangs[0].bundles] == [
        {"GPU": 10_000},
        {"GPU": 10_000, "node:10.0.0.3": 10},
    ]
    assert found.nodes[0].total == {"GPU": 10_000, "node:10.0.0.3": 10_000}
    reserved = request({"CPU": 1, f"CPU_group_{GROUP}": 1})
    assert gangs(pb.GangResourceRequest(requests=[reserved, request({"CPU": 1})])) == ()


def test_replicas_of_which_a_node_takes_so_many_are_demand() -> None:
    """Serve's max_replicas_per_node: each node has one of a resource that no node lists until it is taken."""
    limit = "node:__internal_implicit_resource_app:model"
    assert demands(request({"CPU": 1, limit: 0.5})) == (Demand(Shape.of({"CPU": 1, limit: 0.5}), 1),)
    full = only_node(node(total_resources={"CPU": 4}, available_resources={"CPU": 2, limit: 0}))
    assert full.available == {"CPU": 20_000, limit: 0}


@pytest.mark.parametrize("resource", ["my_group_a", "accelerator_type:A100", "nodes", "CPU_group_"])
def test_custom_resources_that_look_alike_are_demand(resource: str) -> None:
    assert demands(request({resource: 1})) == (Demand(Shape.of({resource: 1}), 1),)


def test_too_wide_or_too_many_shapes_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    assert demands(request({f"r{i}": 1 for i in range(resources.MAX_ENTRIES + 1)})) == ()
    assert demands(request({"x" * 1000: 1})) == ()
    assert demands(request({"CPU": 1}, *[selector(("a", 1, ("b",)))] * (convert.MAX_SELECTORS + 1))) == ()
    monkeypatch.setattr(convert, "MAX_SHAPES", 3)
    assert len(demands(*(request({"CPU": n}) for n in range(1, 9)))) == 3


def test_what_different_shapes_are_made_of_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names, constraints and values count once per shape, however often it is asked for."""
    monkeypatch.setattr(convert, "MAX_ALL_ENTRIES", 4)
    labelled = request({"CPU": 1}, selector(("zone", 1, ("a", "b"))))
    assert len(demands(labelled, labelled)) == 1
    assert [d.shape.selectors for d in demands(labelled, request({"CPU": 2}))] != [()]
    assert len(demands(labelled, request({"CPU": 2}))) == 1
    assert len(demands(*(request({"CPU": n}) for n in range(1, 9)))) == 4


def test_different_shapes_of_all_bundles_together_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(convert, "MAX_ALL_SHAPES", 3)
    one, two, three, four = (pb.GangResourceRequest(requests=[request({"CPU": n})] * 50) for n in (1, 2, 3, 4))
    assert len(gangs(one, one, two, three, one)) == 5
    assert len(gangs(one, two, three, four, one)) == 4


def test_selectors_are_canonical_and_keep_their_order() -> None:
    first = selector(("zone", 1, ("c", "b", "b")), ("arch", 2, ("arm",)), ("arch", 2, ("arm",)))
    zone, arch = LabelConstraint("zone", "in", ("b", "c")), LabelConstraint("arch", "not in", ("arm",))
    (found,) = demands(request({"CPU": 1}, first, selector()))
    assert found.shape.selectors == (Selector((arch, zone)), Selector())
    assert LabelOperator.NOT_IN.value == "not in"


def test_constraints_are_sorted_and_those_of_one_meaning_are_one() -> None:
    constraints = [(key, 1, ("v",)) for key in "gfedcba"]
    (found,) = demands(request({"CPU": 1}, selector(*constraints, *constraints)))
    assert [c.key for c in found.shape.selectors[0].constraints] == list("abcdefg")


def test_the_empty_selector_that_ray_always_sends_is_none() -> None:
    assert demands(request({"CPU": 1}, selector()), request({"CPU": 1})) == (Demand(Shape.of({"CPU": 1}), 2),)


@pytest.mark.parametrize(
    "constraint", [("a", 0, ("b",)), ("a", 3, ("b",)), ("a" * 1000, 1, ("b",)), ("a", 1, ("b" * 1000,))]
)
def test_a_constraint_we_cannot_keep_rules_out_its_selector_and_never_widens_the_choice(constraint: Any) -> None:
    unknown, known = selector(constraint), selector(("zone", 1, ("a",)))
    assert demands(request({"CPU": 1}, unknown)) == ()
    (found,) = demands(request({"CPU": 1}, unknown, known))
    assert found.shape.selectors == (Selector((LabelConstraint("zone", "in", ("a",)),)),)


def placed(kind: str) -> Any:
    constraint = pb.PlacementConstraint()
    getattr(constraint, kind).label_name = f"_PG_{GROUP}"
    return [constraint]


@pytest.mark.parametrize(
    ("constraint", "details", "strategy"),
    [
        ("anti_affinity", f"{GROUP}:STRICT_SPREAD|PENDING", Strategy.STRICT_SPREAD),
        ("anti_affinity", "", Strategy.STRICT_SPREAD),
        ("affinity", f"{GROUP}:PACK|PENDING", Strategy.STRICT_PACK),
        (None, f"{GROUP}:SPREAD|PENDING", Strategy.SPREAD),
        (None, f"{GROUP}:PACK|RESCHEDULING", Strategy.PACK),
        (None, f"{GROUP}:NEWS|PENDING", Strategy.PACK),
        (None, "", Strategy.PACK),
    ],
)
def test_a_gangs_strategy(constraint: str | None, details: str, strategy: Strategy) -> None:
    bundle = request({"CPU": 1}, placement_constraints=placed(constraint) if constraint else [])
    (found,) = gangs(pb.GangResourceRequest(requests=[bundle] * 3, details=details))
    assert found == Gang((Demand(Shape.of({"CPU": 1}), 3),), strategy, GROUP if details else "")


@pytest.mark.parametrize("kind", ["anti_affinity", "affinity", None])
def test_what_is_left_of_a_group_keeps_off_the_nodes_that_hold_the_rest(kind: str | None) -> None:
    bundle = request({"CPU": 1}, placement_constraints=placed(kind) if kind else [])
    waiting = pb.GangResourceRequest(requests=[bundle], details=f"{GROUP}:STRICT_SPREAD|RESCHEDULING")
    holding = node(1, "a", dynamic_labels={f"_PG_{GROUP}": ""})
    other = node(2, "b", dynamic_labels={"_PG_" + "9" * len(GROUP): ""})
    (found,) = state(node_states=[holding, other], pending_gang_resource_requests=[waiting]).gangs
    kept_off = (LabelConstraint.of(f"_PG_{GROUP}", LabelOperator.NOT_IN, [""]),)
    assert found.elsewhere == (kept_off if kind == "anti_affinity" else ())
    # Nothing of it is placed: it is a group like any other.
    (whole,) = state(node_states=[other], pending_gang_resource_requests=[waiting]).gangs
    assert whole.elsewhere == ()


def test_a_gangs_bundles_with_labels_are_preferred() -> None:
    plain, labelled = request({"CPU": 1}), request({"CPU": 1}, selector(("zone", 1, ("a",))))
    bundles = [pb.BundleSelector(resource_requests=[labelled]), pb.BundleSelector(resource_requests=[plain])]
    (found,) = gangs(pb.GangResourceRequest(requests=[plain], bundle_selectors=bundles))
    assert found.bundles[0].shape.selectors == (Selector((LabelConstraint("zone", "in", ("a",)),)),)


def test_a_gang_is_whole_or_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    good, bad = request({"CPU": 1}), request({"CPU": math.nan})
    assert gangs(pb.GangResourceRequest(requests=[good, bad]), pb.GangResourceRequest()) == ()
    monkeypatch.setattr(convert, "MAX_BUNDLES", 2)
    assert gangs(pb.GangResourceRequest(requests=[good] * 3)) == ()
    monkeypatch.setattr(convert, "MAX_ALL_BUNDLES", 5)
    assert len(gangs(*[pb.GangResourceRequest(requests=[good] * 2)] * 3)) == 2
    monkeypatch.setattr(convert, "MAX_GANGS", 1)
    assert len(gangs(*[pb.GangResourceRequest(requests=[good])] * 3)) == 1


def test_requested_is_the_first_constraint() -> None:
    wish = pb.ResourceRequestByCount(request=request({"CPU": 1}), count=6)
    other = pb.ResourceRequestByCount(request=request({"GPU": 1}), count=1)
    constraints = [
        pb.ClusterResourceConstraint(resource_requests=[wish]),
        pb.ClusterResourceConstraint(resource_requests=[other]),
    ]
    assert state(cluster_resource_constraints=constraints).requested == (Demand(Shape.of({"CPU": 1}), 6),)


def full_state(rng: random.Random) -> Any:
    """The same cluster, listed in another order each time."""
    shapes = [pb.ResourceRequestByCount(request=request({"CPU": n}), count=n) for n in range(1, 5)]
    waiting = [
        pb.GangResourceRequest(requests=[request({"GPU": n}), request({"CPU": 1})], details=f"{n:x}:SPREAD|")
        for n in (1, 2)
    ]
    nodes = [node(n, f"pod-{n % 4}", 1 + n % 4, total_resources={"CPU": n, "GPU": 1}) for n in range(8)]
    for listed in (shapes, waiting, nodes):
        rng.shuffle(listed)
    return pb.ClusterResourceState(
        node_states=nodes, pending_resource_requests=shapes, pending_gang_resource_requests=waiting
    )


def test_the_order_of_a_heads_lists_says_nothing() -> None:
    rng = random.Random(1)
    assert len({repr(ray_state(full_state(rng), 0.0)) for _ in range(20)}) == 1


@given(st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=8), st.binary(max_size=50))
def test_any_message_is_converted_or_refused(changes: list[tuple[int, int]], rest: bytes) -> None:
    """Bytes that still parse after some were changed: unknown enum values and absurd numbers among them."""
    answer = bytearray(full_state(random.Random(1)).SerializeToString() + rest)
    for place, value in changes:
        answer[place % len(answer)] = value
    message = pb.ClusterResourceState()
    try:
        message.ParseFromString(bytes(answer))
    except Exception:
        return
    with contextlib.suppress(ImplausibleAnswerError):
        found = ray_state(message, 0.0)
        amounts = [amount for n in found.nodes for amount in (*n.total.values(), *n.available.values())]
        amounts += [amount for demand in found.demands for _, amount in demand.shape.resources]
        assert all(0 < amount <= resources.MAX_AMOUNT * 10_000 for amount in amounts)


def test_only_the_clocks_are_no_news() -> None:
    def answer(**fields: Any) -> RayState:
        fields = {"status": IDLE, "total_resources": {"CPU": 2}, "available_resources": {"CPU": 2}, **fields}
        return ray_state(pb.ClusterResourceState(node_states=[node(**fields)]), fields.pop("taken_at", 1.0))

    base = essence(answer())
    assert essence(answer(idle_duration_ms=99)) == base
    changes: tuple[dict[str, Any], ...] = (
        {"status": RUNNING},
        {"available_resources": {}},
        {"labels": {"a": "b"}},
        {"number": 2},
    )
    for change in changes:
        assert essence(answer(**change)) != base
    assert essence(state()) != essence(state(cluster_session_name="other"))
    assert essence(state()) == essence(ray_state(pb.ClusterResourceState(), 99.0))


SHAPE = Shape.of(
    {"CPU": 0.25, "GPU": 1}, [Selector((LabelConstraint.of("zone", LabelOperator.NOT_IN, ("a", "b")),)), Selector()]
)


def test_what_is_written_is_read_back() -> None:
    message = pb.ResourceRequest()
    fill_request(message, SHAPE)
    assert demands(message) == (Demand(SHAPE, 1),)
    for strategy in Strategy:
        gang = Gang((Demand(SHAPE, 2),), strategy, GROUP)
        filled = pb.GangResourceRequest()
        fill_gang(filled, gang)
        assert gangs(filled) == (gang,)


def test_a_report_has_one_entry_per_instance_and_says_infeasible_only_of_what_it_is_given() -> None:
    message = pb.AutoscalingState()
    fill_report(message, ReportedState(launching=("gpu", "gpu")), version=5)
    assert [(r.ray_node_type_name, r.count) for r in message.pending_instance_requests] == [("gpu", 1)] * 2
    assert message.autoscaler_state_version == 5
    assert not message.infeasible_resource_requests
    assert not message.infeasible_cluster_resource_constraints
    gang = Gang((Demand(SHAPE, 1),), Strategy.SPREAD, GROUP)
    fill_report(message, ReportedState((), (), (), (SHAPE,), (gang,), (Demand(SHAPE, 2),)), version=6)
    assert demands(*message.infeasible_resource_requests) == (Demand(SHAPE, 1),)
    assert gangs(*message.infeasible_gang_resource_requests) == (gang,)
    (constraint,) = message.infeasible_cluster_resource_constraints
    assert constraint.resource_requests[0].count == 2
