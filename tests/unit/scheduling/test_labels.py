"""Which types labels lead to, in which order types are tried, and why work waits."""

from __future__ import annotations

from typing import Any

import pytest

from autoscaler.model import (
    ANY_LABEL,
    QUANTUM,
    Demand,
    Gang,
    LabelConstraint,
    LabelOperator,
    NodeType,
    Selector,
    Shape,
    Strategy,
)
from autoscaler.scheduling.request import Cause, Obstacle
from autoscaler.scheduling.scheduler import Decision, Existing, Request, schedule

IN, NOT_IN = LabelOperator.IN, LabelOperator.NOT_IN


def node_type(
    name: str, labels: dict[str, str] | None = None, most: int = 100, cpus: float = 4, **more: Any
) -> NodeType:
    return NodeType(name, {"CPU": int(cpus * QUANTUM)}, 0, most, labels or {}, **more)


def where(*constraints: tuple[str, LabelOperator, tuple[str, ...]]) -> Selector:
    return Selector(tuple(LabelConstraint.of(*constraint) for constraint in constraints))


def demand(*selectors: Selector, count: int = 1, cpus: float = 1) -> Demand:
    return Demand(Shape.of({"CPU": cpus}, selectors), count)


def decide(types: list[NodeType], *demands: Demand, **more: Any) -> Decision:
    given: dict[str, Any] = {"max_workers": 1000, "upscaling_speed": 1e9, "nodes": (), **more}
    return schedule(Request(tuple(types), demands=demands, **given))


def why(decision: Decision) -> set[Cause]:
    return {cause for found in decision.causes.values() for cause in found}


SPOT, STEADY = (
    node_type("spot", {"market": "spot", "zone": "a"}),
    node_type("steady", {"market": "on-demand", "zone": "b"}),
)
BARE = node_type("bare")


@pytest.mark.parametrize(
    ("selectors", "launched"),
    [
        ([where(("market", IN, ("spot",)))], "spot"),
        ([where(("market", IN, ("x", "on-demand")))], "steady"),
        ([where(("market", NOT_IN, ("spot",)), ("zone", IN, ("a", "b")))], "steady"),
        ([where(("market", NOT_IN, ("on-demand", "x")), ("zone", NOT_IN, ("b",)), ("market", IN, ("spot",)))], "spot"),
        ([where(("market", NOT_IN, ("spot", "on-demand")))], "bare"),
        ([where(("gone", IN, ("x",))), where(("zone", IN, ("b",)))], "steady"),
        ([where(("gone", IN, ("x",))), Selector()], "bare"),
    ],
)
def test_every_operator_leads_to_the_right_type(selectors: list[Selector], launched: str) -> None:
    """For tasks, bundles and request_resources() alike."""
    wanted = demand(*selectors)
    types = [SPOT, STEADY, BARE]
    assert decide(types, wanted).launches == {launched: 1}
    assert decide(types, gangs=(Gang((wanted,), Strategy.PACK),)).launches == {launched: 1}
    assert decide(types, requested=(wanted,)).launches == {launched: 1}


def test_a_label_that_no_type_declares_is_not_called_infeasible() -> None:
    """It may come from an image; a label that is declared otherwise never will be another."""
    wanted = demand(where(("tier", IN, ("gold",))))
    for found in (
        decide([SPOT, STEADY], wanted),
        decide([SPOT, STEADY], requested=(wanted,)),
        decide([SPOT], gangs=(Gang((wanted,), Strategy.STRICT_PACK),)),
    ):
        assert not (found.launches or found.infeasible or found.infeasible_gangs or found.infeasible_requested)
        assert why(found) == {Cause(Obstacle.UNDECLARED, ("tier",))}
    known = demand(where(("market", IN, ("reserved",))))
    assert decide([SPOT, STEADY], known).infeasible == (known,)
    assert why(decide([SPOT, BARE], known)) == {Cause(Obstacle.UNDECLARED, ("market",))}
    too_big = demand(where(("tier", IN, ("gold",))), cpus=5)
    assert decide([SPOT, STEADY], too_big).infeasible == (too_big,)
    gone = demand(where(("ray.io/node-id", IN, ("0123",))))
    assert decide([SPOT], gone).infeasible == (gone,)


def test_a_type_that_may_have_the_label_is_not_launched_for_its_absence() -> None:
    """Its node might be just what is excluded."""
    vague = node_type("vague", unknown=frozenset({"market"}))
    wanted = demand(where(("market", NOT_IN, ("spot",))))
    assert why(decide([vague], wanted)) == {Cause(Obstacle.UNDECLARED, ("market",))}
    assert decide([vague, BARE], wanted).launches == {"bare": 1}
    anything = node_type("anything", {"zone": "a"}, unknown=frozenset({ANY_LABEL}))
    assert not decide([anything], wanted).launches
    assert decide([anything], demand(where(("zone", NOT_IN, ("b",))))).launches == {"anything": 1}


def test_a_resource_that_comes_with_an_accelerator_may_be_there() -> None:
    vague = node_type("gpu", unknown_resources=("accelerator_type:",))
    wanted = Demand(Shape.of({"CPU": 1, "accelerator_type:H100": 0.001}), 1)
    assert why(decide([vague, BARE], wanted)) == {Cause(Obstacle.UNDECLARED, ("accelerator_type:H100",))}
    assert decide([BARE], wanted).infeasible == (wanted,)


def test_request_resources_that_nothing_can_hold_is_infeasible() -> None:
    never = Demand(Shape.of({"CPU": 64}), 2)
    assert decide([SPOT], requested=(never, demand())).infeasible_requested == (never,)


def test_priority_goes_before_size_and_the_list_decides_between_alike() -> None:
    big, small = node_type("big", cpus=16, priority=1), node_type("small", cpus=2)
    assert decide([small, big], demand()).launches == {"big": 1}
    assert decide([small, node_type("big", cpus=16)], demand()).launches == {"small": 1}
    first, second = node_type("z", position=0), node_type("a", position=1)
    assert decide([first, second], demand()).launches == {"z": 1}
    assert decide([first, node_type("a", priority=1, position=1)], demand()).launches == {"a": 1}


def test_priority_wins_over_a_number_of_nodes() -> None:
    """Eight small preferred nodes before one that holds it all, to the last: and only then the other."""
    preferred, other = node_type("preferred", cpus=1, most=8, priority=1), node_type("other", cpus=64)
    assert decide([preferred, other], demand(count=8)).launches == {"preferred": 8}
    assert decide([preferred, other], demand(count=9)).launches == {"preferred": 8, "other": 1}


def test_gpus_are_kept_whatever_the_priority() -> None:
    gpu = NodeType("gpu", {"CPU": 4 * QUANTUM, "GPU": QUANTUM}, 0, 9, priority=9)
    assert decide([gpu, BARE], demand()).launches == {"bare": 1}


def test_a_blocked_type_yields_to_the_next_and_is_taken_back() -> None:
    spot, steady = node_type("spot", priority=10), node_type("steady", priority=5)
    types = [spot, steady, node_type("last")]
    assert decide(types, demand(), blocked=frozenset({"spot"})).launches == {"steady": 1}
    assert decide(types, demand(), blocked=frozenset({"spot", "steady"})).launches == {"last": 1}
    assert decide(types, demand()).launches == {"spot": 1}


def test_minimum_workers_go_by_priority_too() -> None:
    types = [NodeType("a", {}, 1, 9), NodeType("b", {}, 1, 9, priority=1)]
    assert decide(types, max_workers=1).launches == {"b": 1}


def test_a_gang_falls_back_as_a_whole() -> None:
    """Its bundles, else its fallback's: as far as the bounds go."""
    first, second = (demand(where(("market", IN, (m,))), count=2, cpus=4) for m in ("spot", "on-demand"))
    gang = Gang((first,), Strategy.STRICT_SPREAD, "g", ((second,),))
    assert decide([SPOT, STEADY], gangs=(gang,)).launches == {"spot": 2}
    scarce = node_type("spot", {"market": "spot"}, most=1)
    assert decide([scarce, STEADY], gangs=(gang,)).launches == {"steady": 2}
    neither = decide([scarce], gangs=(gang,))
    assert not neither.launches and neither.unplaced_gangs == (gang,)
    hopeless = Gang((demand(cpus=64),), Strategy.PACK, "h", ((demand(cpus=65),),))
    assert decide([SPOT], gangs=(hopeless,)).infeasible_gangs == (hopeless,)


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"max_workers": 1}, {Cause(Obstacle.CLUSTER_MAXIMUM)}),
        ({"upscaling_speed": 1}, {Cause(Obstacle.SPEED, ("w",))}),
        ({"blocked": frozenset({"w"})}, {Cause(Obstacle.BLOCKED, ("w",))}),
        ({"max_workers": 0, "blocked": frozenset({"w"})}, {Cause(Obstacle.BLOCKED, ("w",))}),
    ],
)
def test_the_bound_that_binds_is_named(more: dict[str, Any], expected: set[Cause]) -> None:
    assert why(decide([node_type("w")], demand(count=100), **more)) == expected


def test_more_than_one_bound_may_bind() -> None:
    """Each type has its own; what is placed has none."""
    types = [node_type("a", most=1), node_type("b", most=0)]
    assert why(decide(types, demand(count=5))) == {Cause(Obstacle.TYPE_MAXIMUM, (n,)) for n in ("a", "b")}
    assert why(decide(types, demand(count=4))) == set()
    spread = Gang((demand(count=3),), Strategy.STRICT_SPREAD)
    assert why(decide([node_type("a")], gangs=(spread,), max_workers=2)) == {Cause(Obstacle.CLUSTER_MAXIMUM)}
    both = decide([node_type("a", most=7)], demand(count=100), upscaling_speed=1)
    assert why(both) == {Cause(Obstacle.SPEED, ("a",)), Cause(Obstacle.TYPE_MAXIMUM, ("a",))}


def test_work_that_only_a_node_in_use_could_hold_waits_for_no_bound() -> None:
    head = Existing("head", "head", {"CPU": 64 * QUANTUM}, {}, {}, is_head=True)
    assert why(decide([BARE], demand(cpus=32), nodes=(head,))) == {Cause(Obstacle.BUSY)}
    # Nor does a group of which a part could be launched.
    group = Gang((demand(cpus=32), demand(cpus=1)), Strategy.PACK)
    assert why(decide([BARE], gangs=(group,), nodes=(head,))) == {Cause(Obstacle.BUSY)}


def test_terminating_workers_count_where_demand_launches_and_not_for_the_minimum() -> None:
    least = NodeType("w", {"CPU": QUANTUM}, 2, 3)
    assert decide([least], terminating={"w": 3}).launches == {"w": 2}
    held = decide([least], demand(count=3), terminating={"w": 1})
    assert held.launches == {"w": 2} and why(held) == {Cause(Obstacle.TYPE_MAXIMUM, ("w",))}
    assert decide([least], demand(count=3), terminating={"gone": 7}, max_workers=9).launches == {"w": 2}
    assert decide([least], demand(count=3)).launches == {"w": 3}
