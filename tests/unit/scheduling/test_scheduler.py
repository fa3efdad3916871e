"""What the scheduler decides, one rule at a time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from autoscaler.model import QUANTUM, Demand, Gang, LabelConstraint, LabelOperator, NodeType, Selector, Shape, Strategy
from autoscaler.scheduling.demand_index import Choice, Want, Wants
from autoscaler.scheduling.limits import at_once
from autoscaler.scheduling.packing import Candidate, Profile, place
from autoscaler.scheduling.scheduler import Decision, Existing, Request, removable, schedule
from autoscaler.scheduling.scoring import Utilisation
from tests.support.scheduler_builders import demand, node, node_type


def gang(strategy: Strategy, *bundles: Demand, name: str = "") -> Gang:
    return Gang(bundles, strategy, name)


def zone(*values: str, operator: LabelOperator = LabelOperator.IN) -> Selector:
    return Selector((LabelConstraint.of("zone", operator, values),))


def decide(types: list[NodeType], *demands: Demand, **more: Any) -> Decision:
    given: dict[str, Any] = {"max_workers": 1000, "upscaling_speed": 1e9, "nodes": (), **more}
    return schedule(Request(tuple(types), demands=demands, **given))


CPU4, CPU16 = node_type("cpu4", CPU=4), node_type("cpu16", CPU=16)
GPU = node_type("gpu", CPU=16, GPU=4)
A, B = node_type("a", CPU=4, labels={"zone": "a"}), node_type("b", CPU=4, labels={"zone": "b"})


@pytest.mark.parametrize(
    ("types", "demands", "launches"),
    [
        ([CPU4], [demand(9, CPU=1)], {"cpu4": 3}),
        ([CPU4], [demand(9, CPU=0.5)], {"cpu4": 2}),
        ([CPU4], [demand(10**9, CPU=1)], {"cpu4": 100}),
        ([CPU4], [demand(0, CPU=1), demand(-3, CPU=1)], {}),
        ([CPU4, CPU16], [demand(1, CPU=1)], {"cpu4": 1}),
        ([CPU4, CPU16], [demand(16, CPU=1)], {"cpu16": 1}),
        ([CPU4, CPU16], [demand(17, CPU=1)], {"cpu16": 1, "cpu4": 1}),
        ([CPU16, node_type("cpu64", CPU=64)], [demand(36, CPU=1)], {"cpu16": 3}),
        ([CPU16, node_type("cpu64", CPU=64)], [demand(50, CPU=1)], {"cpu64": 1}),
        ([node_type("special", CPU=4, X=1), node_type("plain", CPU=4.5)], [demand(4, CPU=1)], {"plain": 1}),
        ([CPU16, GPU], [demand(3, CPU=1)], {"cpu16": 1}),
        ([CPU16, GPU], [demand(3, CPU=1, GPU=1)], {"gpu": 1}),
        ([CPU16, GPU], [demand(3, CPU=1, GPU=1), demand(13, CPU=1)], {"gpu": 1}),
        ([GPU], [demand(3, CPU=1)], {"gpu": 1}),
        ([CPU4, node_type("x", CPU=4, X=2)], [demand(4, X=0.5)], {"x": 1}),
        ([CPU4, node_type("x", CPU=4, X=2)], [demand(4, CPU=1)], {"cpu4": 1}),
        ([node_type("bare")], [demand(5)], {"bare": 1}),
        ([CPU4, CPU16], [demand(5)], {"cpu4": 1}),
        ([CPU4], [Demand(Shape.of({"node:__internal_implicit_resource_a": 0.5}), 4)], {"cpu4": 2}),
        ([A, B], [demand(5, zone("b"), CPU=1)], {"b": 2}),
        ([A, B], [demand(5, zone("b", operator=LabelOperator.NOT_IN), CPU=1)], {"a": 2}),
        ([A, B], [demand(1, zone("c"), zone("b"), CPU=1)], {"b": 1}),
        ([A, B], [demand(1, zone("c"), Selector(), CPU=1)], {"a": 1}),
    ],
)
def test_types_and_numbers(types: list[NodeType], demands: list[Demand], launches: dict[str, int]) -> None:
    """Best used first, no GPU for work without, as many as needed."""
    assert decide(types, *demands).launches == launches


def test_what_is_there_is_filled_first() -> None:
    """What runs, then what is on its way, then launches."""
    nodes = (node("running", CPU4), node("coming", CPU4, pending=True))
    assert decide([CPU4], demand(3, CPU=1), nodes=nodes).needed == {"running"}
    assert decide([CPU4], demand(5, CPU=1), nodes=nodes).needed == {"running", "coming"}
    decision = decide([CPU4], demand(9, CPU=1), nodes=nodes)
    assert decision.launches == {"cpu4": 1} and decision.reasons == {"cpu4": {"demand": 1}}


def test_head_is_capacity_and_no_worker() -> None:
    """The head holds work, is never launched, and does not count as a worker."""
    head = Existing("head", "head", CPU4.resources, CPU4.resources, {}, is_head=True)
    decision = decide([CPU4], demand(6, CPU=1), nodes=(head,), max_workers=1)
    assert decision.launches == {"cpu4": 1} and not decision.needed


def test_draining_node_holds_nothing_but_counts() -> None:
    """A draining node takes no work, and its place is taken until it is gone."""
    nodes = (node("leaving", CPU4, draining=True),)
    assert decide([CPU4], demand(1, CPU=1), nodes=nodes).launches == {"cpu4": 1}
    held = decide([CPU4], demand(1, CPU=1), nodes=nodes, max_workers=1)
    assert not held.launches and held.unplaced == (demand(1, CPU=1),)


def test_minimum_and_its_bounds() -> None:
    """Each type's minimum within the cluster's maximum; what is there counts, what drains or is blocked does not."""
    types = [node_type("a", 2, 5, CPU=1), node_type("b", 3, 5, CPU=1)]
    assert decide(types).launches == {"a": 2, "b": 3}
    assert decide(types).reasons == {"a": {"min workers": 2}, "b": {"min workers": 3}}
    assert decide(types, max_workers=4).launches == {"a": 2, "b": 2}
    assert decide(types, nodes=(node("n", types[0]), node("m", types[0], draining=True))).launches == {"a": 1, "b": 3}
    assert decide(types, blocked=frozenset({"a"})).launches == {"b": 3}
    assert decide([node_type("a", 9, 2, CPU=1)]).launches == {"a": 2}


def test_minimum_serves_demand() -> None:
    """Workers launched for the minimum hold demand like any other."""
    decision = decide([node_type("a", 2, CPU=4)], demand(9, CPU=1))
    assert decision.reasons == {"a": {"min workers": 2, "demand": 1}}


def test_bounds_hold_demand_back() -> None:
    """What bounds or blocks hold back is unplaced; what nothing could hold is infeasible."""
    small = node_type("small", 0, 1, CPU=4)
    decision = decide([small], demand(9, CPU=1), demand(1, CPU=5), demand(1, X=1))
    assert decision.launches == {"small": 1}
    assert decision.unplaced == (demand(5, CPU=1),)
    assert set(decision.infeasible) == {demand(1, CPU=5), demand(1, X=1)}
    blocked = decide([small], demand(1, CPU=1), blocked=frozenset({"small"}))
    assert not blocked.launches and blocked.unplaced == (demand(1, CPU=1),) and not blocked.infeasible
    none_allowed = decide([replace(small, max_workers=0)], demand(1, CPU=1))
    assert none_allowed.unplaced and not none_allowed.infeasible


def test_blocked_type_is_replaced() -> None:
    """The next feasible type takes the place of a blocked one, GPU type or not."""
    assert decide([CPU4, CPU16], demand(1, CPU=1), blocked=frozenset({"cpu4"})).launches == {"cpu16": 1}
    assert decide([CPU4, GPU], demand(1, CPU=1), blocked=frozenset({"cpu4"})).launches == {"gpu": 1}
    first = demand(1, zone("a"), zone("b"), CPU=1)
    assert decide([A, B], first, blocked=frozenset({"a"})).launches == {"b": 1}


def test_scarce_nodes_are_the_ones_that_hold_most() -> None:
    """When the cluster's maximum binds, bigger nodes place more."""
    types = [node_type("tight", CPU=3), node_type("wide", CPU=8, X=1)]
    decision = decide(types, demand(8, CPU=1), max_workers=1)
    assert decision.launches == {"wide": 1} and not decision.unplaced


@pytest.mark.parametrize(
    ("speed", "running", "most"),
    [(0, 0, 5), (0, 20, 20), (1, 3, 5), (1, 30, 30), (0.5, 30, 15), (2.5, 3, 7), (-1, 9, 9), (float("nan"), 9, 9)],
)
def test_at_once(speed: float, running: int, most: int) -> None:
    """Five, or a share of those that run; 0 means 1."""
    assert at_once(speed, running) == most


def test_upscaling_speed_is_per_type_and_for_demand_only() -> None:
    """Tasks wait for their type's next turn and do not move to another; all others pass."""
    decision = decide([CPU4, GPU], demand(400, CPU=1), upscaling_speed=1)
    assert decision.launches == {"cpu4": 5} and sum(d.count for d in decision.unplaced) == 380
    coming = tuple(node(f"n{i}", CPU4, pending=True) for i in range(4))
    assert decide([CPU4], demand(40, CPU=1), upscaling_speed=1, nodes=coming).launches == {"cpu4": 1}
    leaving = tuple(replace(n, draining=True) for n in coming)
    assert decide([CPU4], demand(40, CPU=1), upscaling_speed=1, nodes=leaving).launches == {"cpu4": 5}
    running = tuple(node(f"n{i}", CPU4, 0.0) for i in range(12))
    assert decide([CPU4], demand(400, CPU=1), upscaling_speed=0.5, nodes=running).launches == {"cpu4": 6}
    held = decide([CPU4], demand(40, CPU=1), upscaling_speed=1)
    assert held.launches == {"cpu4": 5} and held.unplaced == (demand(20, CPU=1),)
    wished = decide([CPU4], requested=(demand(40, CPU=1),), upscaling_speed=1)
    assert wished.reasons == {"cpu4": {"requested": 10}}
    ganged = decide([CPU4], demand(4, CPU=1), gangs=(gang(Strategy.PACK, demand(40, CPU=1)),), upscaling_speed=1)
    assert ganged.reasons == {"cpu4": {"gang": 10}} and ganged.unplaced == (demand(4, CPU=1),)
    assert decide([node_type("a", 9, CPU=1)], upscaling_speed=1).launches == {"a": 9}


def test_requested_is_the_size_of_the_whole() -> None:
    """Busy nodes count for request_resources(), and those used for it are needed, busy ones first."""
    nodes = (node("a-idle", CPU4), node("busy", CPU4, 0.0))
    enough = decide([CPU4], requested=(demand(4, CPU=1),), nodes=nodes)
    assert not enough.launches and enough.needed == {"busy"}
    assert decide([CPU4], requested=(demand(9, CPU=1),), nodes=nodes).reasons == {"cpu4": {"requested": 1}}
    # What is launched for it takes waiting work, too.
    both = decide([CPU4], demand(4, CPU=1), requested=(demand(12, CPU=1),), nodes=(node("busy", CPU4, 0.0),))
    assert both.reasons == {"cpu4": {"requested": 2}}


def test_requested_is_granted_as_far_as_it_goes() -> None:
    """What cannot be had does not keep back what can."""
    decision = decide([CPU4], requested=(demand(8, CPU=1), demand(1, X=1)), max_workers=1)
    assert decision.launches == {"cpu4": 1}
    assert decision.unplaced_requested == (demand(4, CPU=1),)
    assert decision.infeasible_requested == (demand(1, X=1),)


@pytest.mark.parametrize(
    ("strategy", "launches"),
    [
        (Strategy.PACK, {"cpu4": 1}),
        (Strategy.SPREAD, {"cpu4": 1}),
        (Strategy.STRICT_PACK, {"cpu4": 1}),
        (Strategy.STRICT_SPREAD, {"cpu4": 3}),
    ],
)
def test_gang_strategies(strategy: Strategy, launches: dict[str, int]) -> None:
    """Only STRICT_SPREAD asks for a node per bundle."""
    assert decide([CPU4], gangs=(gang(strategy, demand(3, CPU=1)),)).launches == launches


def test_gang_is_all_or_nothing() -> None:
    """A gang that does not fit as a whole takes no room and launches nothing."""
    nodes = (node("n", CPU4),)
    big = gang(Strategy.PACK, demand(9, CPU=1))
    decision = decide([CPU4], demand(4, CPU=1), gangs=(big,), nodes=nodes, max_workers=2)
    assert not decision.launches and decision.unplaced_gangs == (big,) and not decision.unplaced
    never = gang(Strategy.STRICT_PACK, demand(5, CPU=1))
    assert decide([CPU4], gangs=(never,)).infeasible_gangs == (never,)
    spread = gang(Strategy.STRICT_SPREAD, demand(3, CPU=1))
    assert decide([CPU4], gangs=(spread,), max_workers=2).unplaced_gangs == (spread,)


def test_strict_pack_takes_one_node_for_all_selectors() -> None:
    """All bundles on one node, which every bundle's selector admits."""
    bundles = (demand(1, zone("a", "b"), CPU=2), demand(1, zone("b"), CPU=2))
    assert decide([A, B], gangs=(gang(Strategy.STRICT_PACK, *bundles),)).launches == {"b": 1}
    apart = gang(Strategy.STRICT_PACK, demand(1, zone("a"), CPU=2), demand(1, zone("b"), CPU=2))
    assert decide([A, B], gangs=(apart,)).infeasible_gangs == (apart,)


def test_spread_uses_nodes_that_are_there() -> None:
    """SPREAD takes a node per bundle where they exist, PACK one; neither launches for it."""
    nodes = tuple(node(f"n{i}", CPU4) for i in range(3))
    assert len(decide([CPU4], gangs=(gang(Strategy.SPREAD, demand(3, CPU=1)),), nodes=nodes).needed) == 3
    assert len(decide([CPU4], gangs=(gang(Strategy.PACK, demand(3, CPU=1)),), nodes=nodes).needed) == 1


def test_selectors_are_tried_in_order() -> None:
    """The first selector that can be satisfied counts; later ones only when bounds leave no other way."""
    wanted = demand(1, zone("a"), zone("b"), CPU=1)
    assert decide([A, B], wanted, nodes=(node("n", B),)).launches == {"a": 1}
    full = decide([A, B], wanted, nodes=(node("n", B),), max_workers=1)
    assert not full.launches and full.needed == {"n"} and not full.unplaced


def test_order_of_selectors_is_a_wish() -> None:
    """It is dropped to place more, but not to save nodes."""
    tiny, roomy = node_type("a", CPU=1, labels={"zone": "a"}), node_type("b", CPU=8, labels={"zone": "b"})
    wanted = demand(1, zone("a"), zone("b"), CPU=1)
    more = decide([tiny, roomy], wanted, demand(4, CPU=2), max_workers=1)
    assert more.launches == {"b": 1} and sum(d.count for d in more.unplaced) == 1
    saved = decide([A, B], wanted, demand(1, X=1), nodes=(node("n", B),))
    assert saved.launches == {"a": 1}


def test_big_gang_goes_first() -> None:
    """Of gangs that are alike the one that needs more chooses first."""
    types = [node_type("big", most=1, CPU=8, memory=32), node_type("small", most=1, CPU=4, memory=32)]
    both = (
        gang(Strategy.STRICT_PACK, demand(2, CPU=1, memory=2)),
        gang(Strategy.STRICT_PACK, demand(2, CPU=4, memory=2)),
    )
    decision = decide(types, gangs=both, nodes=(node("n", types[0], pending=True),))
    assert decision.launches == {"small": 1} and not decision.unplaced_gangs


def test_many_different_nodes_are_filled_in_order() -> None:
    """With more kinds of nodes than are worth ranking, the fullest that fit are used, and bounds hold."""
    wants = Wants({"A": 0}, [Want(Shape((("A", 2),)), Choice(), 10)])
    pool = [Candidate(Profile(0, True, False, 0, 0, (99,), (i,), ()), 2, str(i)) for i in range(80)]
    picks = place(wants, pool, Utilisation(None), None, cap=3)
    assert [(p.candidate.key, p.nodes, p.taken) for p in picks] == [("2", 2, ((0, 1),)), ("3", 1, ((0, 1),))]
    assert wants.left == 7


def test_minimum_is_filled_before_the_rest() -> None:
    """Pending workers that the minimum asked for are filled first, as when they were launched: nothing is added."""
    types = [node_type("t0", 1, 10, CPU=4, memory=4, GPU=1, X=2), node_type("t1", 0, 10, CPU=16)]
    types.append(node_type("t2", 0, 3, CPU=4))
    wanted = (demand(20, CPU=3), demand(2, CPU=4))
    first = decide(types, *wanted)
    by_name = {t.name: t for t in types}
    nodes = [node(f"{n}-{i}", by_name[n], pending=True) for n, count in first.launches.items() for i in range(count)]
    assert not decide(types, *wanted, nodes=tuple(nodes)).launches


def test_scarce_resource_goes_first() -> None:
    """Bundles that only one type can hold find it free: launches of the last round suffice."""
    types = [node_type("big", CPU=16, memory=4, GPU=4), node_type("x", CPU=4, memory=4, X=2)]
    wanted = gang(Strategy.PACK, demand(5, CPU=4, memory=2), demand(1, CPU=1, X=1))
    nodes = tuple(node(f"n{i}", types[1], pending=True) for i in range(2))
    nodes += tuple(node(f"m{i}", types[0], pending=True) for i in range(2))
    assert not decide(types, gangs=(wanted,), nodes=nodes).launches


def test_unknown_types_count_and_hold() -> None:
    """A worker of a type that is gone from the spec holds work and takes a place among the workers."""
    stray = Existing("stray", "gone", CPU4.resources, CPU4.resources, {})
    decision = decide([CPU4], demand(5, CPU=1), nodes=(stray,), max_workers=1)
    assert not decision.launches and decision.needed == {"stray"} and decision.unplaced == (demand(1, CPU=1),)


def test_overdrawn_node_holds_nothing() -> None:
    """Negative amounts are none."""
    overdrawn = Existing("n", "cpu4", CPU4.resources, {"CPU": -3 * QUANTUM}, {})
    assert decide([CPU4], demand(1, CPU=1), nodes=(overdrawn,)).launches == {"cpu4": 1}


def test_what_tells_nodes_apart_does_not_matter() -> None:
    """Resources and labels that nobody asks for, such as a node's own, do not change what is used."""
    nodes = tuple(
        Existing(
            f"n{i}",
            "cpu4",
            {**CPU4.resources, f"node:10.0.0.{i}": QUANTUM},
            {**CPU4.resources, f"node:10.0.0.{i}": QUANTUM},
            {"ray.io/node-id": str(i)},
        )
        for i in range(9)
    )
    assert decide([CPU4], demand(8, CPU=1), nodes=nodes).needed == {"n0", "n1"}


def test_removable_keeps_the_minimum_and_the_longest_idle_go() -> None:
    """In the order given, down to each type's minimum, never a needed, draining or unknown one, never the head."""
    kind = node_type("a", 1, 5, CPU=4)
    head = Existing("head", "head", CPU4.resources, {}, {}, is_head=True)
    nodes = (*(node(f"n{i}", kind) for i in range(3)), node("leaving", kind, draining=True), head)
    request = Request((kind,), 10, 1, nodes)
    decision = schedule(request)
    assert removable(request, decision, ["n2", "n0", "n1", "head", "leaving", "nobody"]) == {"n2", "n0"}
    assert len(removable(request, decision)) == 2
    busy = replace(request, demands=(demand(1, CPU=1),))
    assert removable(busy, schedule(busy)) == {"n1", "n2"}
    stray = Request((), 10, 1, (node("old", kind),))
    assert removable(stray, schedule(stray)) == {"old"}
