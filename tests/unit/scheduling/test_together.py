"""Which launches are for which placement groups."""

from __future__ import annotations

import pytest

from autoscaler.model import Demand, Gang, Shape, Strategy
from autoscaler.scheduling.scheduler import Request, Together, schedule
from tests.support.scheduler_builders import demand, node, node_type

BIG, SMALL = node_type("big", CPU=4), node_type("small", CPU=1)


def gang(name: str, bundles: int, strategy: Strategy = Strategy.STRICT_SPREAD, cpus: float = 4) -> Gang:
    return Gang((Demand(Shape.of({"CPU": cpus}), bundles),), strategy, name)


CASES = [
    ("one", [gang("a", 4)], [Together(("a",), {"big": 4})]),
    ("two of one kind", [gang("b", 4), gang("a", 4)], [Together(("a", "b"), {"big": 8})]),
    ("two that share nodes", [gang("a", 2, cpus=2), gang("b", 2, cpus=2)], [Together(("a", "b"), {"big": 2})]),
    ("two kinds", [gang("a", 4), gang("b", 2)], [Together(("a",), {"big": 4}), Together(("b",), {"big": 2})]),
    ("on one node", [gang("a", 4, Strategy.STRICT_PACK, 1)], [Together(("a",), {"big": 1})]),
    ("too many", [gang("a", 101)], []),
]


@pytest.mark.parametrize(("gangs", "together"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_launches_name_their_groups(gangs: list[Gang], together: list[Together]) -> None:
    decision = schedule(Request((BIG,), 100, 1.0, (), gangs=tuple(gangs)))
    assert list(decision.together) == together


def test_only_what_is_launched_counts_and_only_for_groups() -> None:
    running = (node("big-0", BIG), node("big-1", BIG))
    request = Request((BIG, SMALL), 100, 100.0, running, (demand(3, CPU=1),), gangs=(gang("a", 3),))
    decision = schedule(request)
    assert decision.together == (Together(("a",), {"big": 1}),)
    assert sum(decision.launches.values()) > 1
