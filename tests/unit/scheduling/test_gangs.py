"""A placement group that lost a node: its other bundles stay where they are, and keep what was lost away."""

from __future__ import annotations

from dataclasses import replace

import pytest

from autoscaler.model import (
    ANY_LABEL,
    GROUP_LABEL,
    QUANTUM,
    Demand,
    Gang,
    LabelConstraint,
    LabelOperator,
    NodeType,
    Shape,
    Strategy,
)
from autoscaler.scheduling.request import Cause, Obstacle
from autoscaler.scheduling.scheduler import Existing, Request, schedule

FOUR_CPUS = {"CPU": 4 * QUANTUM}
LABEL = f"{GROUP_LABEL}{'ab' * 18}"
WORKER = NodeType("w", FOUR_CPUS, 0, 5)
KEPT_OFF = (LabelConstraint.of(LABEL, LabelOperator.NOT_IN, [""]),)


def node(number: int, holds: bool = True) -> Existing:
    """A worker with room for one bundle more."""
    labels = {"ray.io/node-group": "w", **({LABEL: ""} if holds else {})}
    return Existing(f"w-{number}", "w", FOUR_CPUS, {"CPU": 2 * QUANTUM}, labels)


def lost(strategy: Strategy, count: int = 1) -> Gang:
    """What is left of a group: the nodes that hold the rest of it have the label."""
    kept_off = KEPT_OFF if strategy is Strategy.STRICT_SPREAD else ()
    return Gang((Demand(Shape.of({"CPU": 2}), count),), strategy, "ab" * 18, elsewhere=kept_off)


def request(gang: Gang, *nodes: Existing, most: int = 5, node_type: NodeType = WORKER) -> Request:
    return Request((replace(node_type, max_workers=most),), most, 1.0, nodes, gangs=(gang,))


@pytest.mark.parametrize(
    ("strategy", "launched"),
    [(Strategy.STRICT_SPREAD, {"w": 1}), (Strategy.SPREAD, {}), (Strategy.STRICT_PACK, {}), (Strategy.PACK, {})],
)
def test_a_lost_bundle_is_placed_as_its_strategy_asks(strategy: Strategy, launched: dict[str, int]) -> None:
    """Only STRICT_SPREAD rules out nodes with room that hold other bundles of the group."""
    assert schedule(request(lost(strategy), node(0), node(1))).launches == launched


def test_nodes_that_hold_nothing_of_the_group_take_what_was_lost() -> None:
    decision = schedule(request(lost(Strategy.STRICT_SPREAD, 2), node(0), node(1), node(2, holds=False)))
    assert decision.launches == {"w": 1}
    assert decision.needed == {"w-2"}


@pytest.mark.parametrize("unknown", [frozenset(), frozenset({ANY_LABEL})])
def test_a_type_whose_labels_are_not_known_does_not_start_with_that_of_a_group(unknown: frozenset[str]) -> None:
    """What keeps the group waiting at its bound is the bound."""
    vague = replace(WORKER, unknown=unknown)
    assert schedule(request(lost(Strategy.STRICT_SPREAD), node(0), node(1), node_type=vague)).launches == {"w": 1}
    gang = lost(Strategy.STRICT_SPREAD)
    full = schedule(request(gang, node(0), node(1), most=2, node_type=vague))
    assert (full.launches, full.unplaced_gangs) == ({}, (gang,))
    assert full.causes[gang] == (Cause(Obstacle.TYPE_MAXIMUM, ("w",)),)


def test_each_group_keeps_off_its_own_nodes_only() -> None:
    other = LabelConstraint.of(f"{GROUP_LABEL}{'cd' * 18}", LabelOperator.NOT_IN, [""])
    gangs = (lost(Strategy.STRICT_SPREAD), replace(lost(Strategy.STRICT_SPREAD), name="cd" * 18, elsewhere=(other,)))
    asked = replace(request(gangs[0], node(0), node(1)), gangs=gangs)
    assert schedule(asked).launches == {"w": 1}


PLACE = "node:10.0.0.3"
DRIVERS = {**FOUR_CPUS, PLACE: QUANTUM}


@pytest.mark.parametrize(
    ("strategy", "free", "launched", "obstacle"),
    [
        (Strategy.PACK, 4, {"w": 1}, None),
        (Strategy.SPREAD, 4, {"w": 1}, None),
        (Strategy.STRICT_SPREAD, 4, {"w": 2}, None),
        (Strategy.PACK, 2, {"w": 1}, None),
        (Strategy.STRICT_PACK, 4, {}, "hopeless"),
        (Strategy.PACK, 0, {}, Obstacle.BUSY),
    ],
)
def test_a_bundle_that_is_tied_to_a_node_has_its_place_there_and_others_are_launched(
    strategy: Strategy, free: int, launched: dict[str, int], obstacle: Obstacle | str | None
) -> None:
    """The first bundle of vLLM's group: no launch brings its node, and without it the group is not placed."""
    tied, others = Shape.of({"CPU": 2, PLACE: 0.001}), Shape.of({"CPU": 2})
    gang = Gang((Demand(tied, 1), Demand(others, 2)), strategy)
    left = {"CPU": free * QUANTUM, PLACE: QUANTUM}
    decision = schedule(request(gang, Existing("w-0", "w", DRIVERS, left, {})))
    assert decision.launches == launched
    assert bool(decision.infeasible_gangs) == (obstacle == "hopeless")
    if isinstance(obstacle, Obstacle):
        assert [cause.obstacle for cause in decision.causes[gang]] == [obstacle]
