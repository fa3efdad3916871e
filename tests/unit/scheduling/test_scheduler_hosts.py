"""Workers of several nodes: launched, counted and kept as one."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

import pytest

from autoscaler.model import QUANTUM, Demand, Gang, LabelConstraint, LabelOperator, NodeType, Selector, Shape, Strategy
from autoscaler.scheduling.request import Cause, Obstacle
from autoscaler.scheduling.scheduler import Decision, Existing, Request, removable, schedule
from tests.support.scheduler_builders import demand, node_type

HEAD = "TPU-v4-16-head"
WORKER_ID, POD_TYPE = "ray.io/tpu-worker-id", "ray.io/tpu-pod-type"


def slice_of(hosts: int, name: str = "slice", most: int = 100, least: int = 0, **amounts: float) -> NodeType:
    """A TPU slice: hosts of four chips each, the first of which has the head's resource."""
    made = node_type(name, least, most, {POD_TYPE: "v4-16"}, **{"CPU": 8, "TPU": 4, **amounts})
    return replace(made, hosts=hosts, first_resources={HEAD: QUANTUM}, index_labels=(WORKER_ID,))


def decide(*types: NodeType, **more: Any) -> Decision:
    return schedule(Request(types, **{"max_workers": 1000, "upscaling_speed": 1e9, "nodes": (), **more}))


def on(**labels: str) -> Selector:
    keys = {"worker": WORKER_ID, "pod_type": POD_TYPE}
    return Selector(tuple(LabelConstraint.of(keys[k], LabelOperator.IN, [v]) for k, v in labels.items()))


def nodes_of(kind: NodeType, worker: str, free: float = 1.0, **more: Any) -> list[Existing]:
    made = []
    for host in range(kind.hosts):
        total = kind.host_resources(host)
        left = {name: int(amount * free) for name, amount in total.items()}
        made.append(Existing(f"{worker}-{host}", kind.name, total, left, kind.host_labels(host), worker=worker, **more))
    return made


def gang(strategy: Strategy, *bundles: Demand) -> tuple[Gang, ...]:
    return (Gang(bundles, strategy),)


FOUR, TWO, ONE = slice_of(4), slice_of(2, "two"), slice_of(1, "one")
CHIPS = demand(1, TPU=4)


@pytest.mark.parametrize(
    ("asked", "launches"),
    [
        ({"demands": [demand(4, TPU=4)]}, {"slice": 1}),
        ({"demands": [demand(5, TPU=4)]}, {"slice": 2}),
        ({"demands": [demand(16, TPU=1)]}, {"slice": 1}),
        ({"demands": [demand(1, **{HEAD: 1})]}, {"slice": 1}),
        ({"demands": [demand(3, **{HEAD: 1})]}, {"slice": 3}),
        ({"demands": [demand(1, **{HEAD: 1}), demand(4, TPU=4)]}, {"slice": 1}),
        ({"demands": [demand(3, on(worker="2"), CPU=1)]}, {"slice": 1}),
        ({"demands": [demand(9, on(worker="2"), CPU=1)]}, {"slice": 2}),
        ({"demands": [demand(1, on(worker="0", pod_type="v4-16"), **{HEAD: 1})]}, {"slice": 1}),
        ({"gangs": gang(Strategy.STRICT_SPREAD, demand(4, TPU=4))}, {"slice": 1}),
        ({"gangs": gang(Strategy.STRICT_SPREAD, demand(5, TPU=4))}, {"slice": 2}),
        ({"gangs": gang(Strategy.PACK, demand(4, TPU=4))}, {"slice": 1}),
        ({"gangs": gang(Strategy.SPREAD, demand(1, on(worker="0"), TPU=4), demand(3, TPU=4))}, {"slice": 1}),
        ({"requested": [demand(8, TPU=4)]}, {"slice": 2}),
    ],
)
def test_workers_are_launched_whole(asked: dict[str, Any], launches: dict[str, int]) -> None:
    """As many as their nodes together need; what is left of the last one is there too."""
    given = {name: tuple(value) for name, value in asked.items()}
    assert decide(FOUR, **given).launches == launches


def test_what_one_worker_has_room_for_is_launched_once() -> None:
    """A task for one host, a placement group for the others."""
    asked = {"demands": (demand(1, CPU=1),), "gangs": gang(Strategy.STRICT_SPREAD, demand(3, TPU=4))}
    assert decide(FOUR, **asked).launches == {"slice": 1}


def test_the_smallest_worker_that_does_is_launched() -> None:
    assert decide(FOUR, TWO, ONE, demands=(CHIPS,)).launches == {"one": 1}
    assert decide(FOUR, TWO, demands=(demand(2, TPU=4),)).launches == {"two": 1}
    assert decide(FOUR, TWO, demands=(demand(4, TPU=4),)).launches in ({"slice": 1}, {"two": 2})


def test_the_minimum_and_all_bounds_count_workers() -> None:
    assert decide(slice_of(4, least=2)).launches == {"slice": 2}
    assert decide(slice_of(4, most=3), demands=(demand(99, TPU=4),)).launches == {"slice": 3}
    assert decide(FOUR, demands=(demand(99, TPU=4),), max_workers=2).launches == {"slice": 2}
    there = nodes_of(FOUR, "a", free=0)
    assert decide(slice_of(4, most=3), demands=(demand(99, TPU=4),), nodes=tuple(there)).launches == {"slice": 2}
    assert decide(FOUR, demands=(demand(99, TPU=4),), nodes=tuple(there), max_workers=2).launches == {"slice": 1}
    assert decide(slice_of(4, least=1), nodes=tuple(there)).launches == {}


def test_upscaling_speed_counts_workers() -> None:
    asked = {"demands": (demand(99, TPU=4),), "upscaling_speed": 1.0}
    assert decide(FOUR, **asked).launches == {"slice": 5}
    coming = [node for n in range(3) for node in nodes_of(FOUR, f"w{n}", pending=True)]
    assert decide(FOUR, **asked, nodes=tuple(coming)).launches == {"slice": 2}


def test_a_worker_that_is_there_in_part_is_on_its_way_as_a_whole() -> None:
    running, *coming = nodes_of(FOUR, "a")
    nodes = (running, *(replace(n, pending=True) for n in coming))
    decision = decide(FOUR, demands=(demand(4, TPU=4),), nodes=nodes)
    assert not decision.launches and decision.needed == {n.name for n in nodes}


def test_a_worker_stays_while_one_of_its_nodes_is_needed() -> None:
    nodes = (*nodes_of(FOUR, "a"), *nodes_of(FOUR, "b"))
    request = Request((FOUR,), 1000, 1e9, nodes, demands=(CHIPS,))
    assert len(removable(request, schedule(request))) == 1
    without = replace(request, demands=())
    assert removable(without, schedule(without)) == {"a", "b"}
    least = replace(without, types=(slice_of(4, least=1),))
    assert len(removable(least, schedule(least), ["b", "a"])) == 1


@pytest.mark.parametrize(
    "asked",
    [
        demand(1, TPU=5),
        demand(1, on(worker="4"), TPU=1),
        demand(1, on(worker="1"), **{HEAD: 1}),
        demand(1, **{HEAD: 2}),
    ],
)
def test_what_no_single_host_could_hold_is_infeasible(asked: Demand) -> None:
    """A task runs on one node: that the worker has more altogether does not help."""
    assert decide(FOUR, demands=(asked,)).infeasible == (asked,)


def test_what_waits_says_which_bound_binds() -> None:
    decision = decide(slice_of(4, most=1), demands=(demand(2, **{HEAD: 1}),))
    (causes,) = decision.causes.values()
    assert decision.launches == {"slice": 1} and causes == (Cause(Obstacle.TYPE_MAXIMUM, ("slice",)),)


@pytest.mark.parametrize("seed", range(60))
def test_launches_hold_what_they_were_launched_for(seed: int) -> None:
    """The next round sees last round's launches as nodes on their way, and launches nothing more."""
    random = Random(seed)
    types = tuple(
        replace(slice_of(random.choice([1, 2, 3, 8]), f"t{n}", TPU=random.choice([1, 4, 8]))) for n in range(3)
    )
    shapes = [{"TPU": 1}, {"TPU": 4}, {"CPU": 3}, {"CPU": 1, "TPU": 2}, {HEAD: 1}]
    demands = tuple(demand(random.randint(1, 30), **random.choice(shapes)) for _ in range(random.randint(1, 4)))
    request = Request(types, 10_000, 1e9, (), demands=demands)
    first = schedule(request)
    assert not first.unplaced
    kinds = {t.name: t for t in types}
    coming = [
        node
        for name, count in first.launches.items()
        for number in range(count)
        for node in nodes_of(kinds[name], f"{name}/{number}", pending=True)
    ]
    assert not schedule(replace(request, nodes=tuple(coming))).launches


def test_a_worker_of_many_hosts_is_decided_on_at_once() -> None:
    """As the largest that there is: 1,000 hosts, each of them told apart by a selector."""
    many = slice_of(1_000)
    decision = decide(many, demands=(demand(1, on(worker="999"), CPU=1), demand(1_000, TPU=4)))
    assert decision.launches == {"slice": 1} and decision.complete


def test_without_selectors_hosts_are_not_looked_at_one_by_one() -> None:
    shapes = (Demand(Shape.of({"TPU": 4}), 5_000),)
    assert decide(slice_of(1_000), demands=shapes).launches == {"slice": 5}
