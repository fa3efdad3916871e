"""Types that are launched as a last resort, nodes that cannot start, and work that is expected."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autoscaler.model import Demand
from autoscaler.scheduling.scheduler import Decision, Request, schedule
from tests.support.scheduler_builders import demand, node, node_type

QUICK = settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))


SMALL, BIG, GPU = node_type("small", CPU=4), node_type("big", CPU=16), node_type("gpu", CPU=4, GPU=1)
LEAST = node_type("least", least=2, CPU=4)
TYPES = (SMALL, BIG, GPU, LEAST)
SCARCE: dict[str, Any] = {"blocked": frozenset({"gpu", "least"}), "last_resort": frozenset({"gpu"})}


def decide(*demands: Demand, **more: Any) -> Decision:
    asked: dict[str, Any] = {"types": TYPES, "max_workers": 100, "upscaling_speed": 1e9, "nodes": (), **more}
    return schedule(Request(demands=demands, **asked))


@pytest.mark.parametrize(
    ("demands", "given", "reasons"),
    [
        pytest.param(
            [demand(2, CPU=4)], {}, {"small": {"demand": 2}}, id="what another type serves does not come to it"
        ),
        pytest.param([demand(2, GPU=1)], {}, {"gpu": {"demand": 2}}, id="what it alone serves does"),
        pytest.param(
            [demand(1, CPU=4), demand(1, GPU=1)],
            {},
            {"gpu": {"demand": 1}, "small": {"demand": 1}},
            id="each gets its own, and neither twice",
        ),
        pytest.param([demand(2, GPU=1)], {"last_resort": frozenset()}, {}, id="a blocked type is none by itself"),
        pytest.param(
            [demand(2, GPU=1)], {"stuck": (node("g", GPU),)}, {"gpu": {"demand": 1}}, id="its stuck nodes are capacity"
        ),
        pytest.param(
            [demand(2, CPU=4)], {"stuck": (node("s", SMALL),)}, {"small": {"demand": 2}}, id="those of others are none"
        ),
        pytest.param(
            [demand(9, GPU=1)],
            {"max_workers": 5, "stuck": (node("g", GPU), node("s", SMALL)), "reserved": {"gpu": 1, "small": 2}},
            {"gpu": {"demand": 2}},
            id="its reserved nodes count once, those of others keep their place",
        ),
        pytest.param(
            [demand(9, CPU=4), demand(9, GPU=1)],
            {"max_workers": 3},
            {"big": {"demand": 2}, "small": {"demand": 1}},
            id="it gets what the others leave of the cluster's maximum",
        ),
    ],
)
def test_a_last_resort_serves_what_no_other_type_can(
    demands: list[Demand], given: dict[str, Any], reasons: dict[str, dict[str, int]]
) -> None:
    assert decide(*demands, **{**SCARCE, **given}).reasons == reasons


def test_work_that_a_last_resort_is_launched_for_still_waits_and_its_stuck_nodes_are_needed() -> None:
    """The reasons for the wait are those of the types that can be launched."""
    decision = decide(demand(2, GPU=1), stuck=(node("g", GPU), node("s", SMALL)), **SCARCE)
    assert decision.unplaced == (demand(2, GPU=1),)
    assert decision.needed == {"g"}


@pytest.mark.parametrize(
    ("demands", "given", "reasons"),
    [
        pytest.param([], {}, {"small": {"expected": 1}}, id="it gets a node"),
        pytest.param([], {"nodes": (node("n", SMALL),)}, {}, id="of those that are there first"),
        pytest.param(
            [demand(1, CPU=4)],
            {"nodes": (node("n", SMALL),)},
            {"small": {"expected": 1}},
            id="after the work that waits",
        ),
        pytest.param([demand(1, CPU=4)], {}, {"small": {"demand": 1, "expected": 1}}, id="each has its reason"),
        pytest.param(
            [demand(1, CPU=4)], {"max_workers": 1}, {"small": {"demand": 1}}, id="within the cluster's maximum"
        ),
        pytest.param(
            [demand(1, CPU=4)],
            {"max_workers": 1, "expected": (demand(1, CPU=16),)},
            {"small": {"demand": 1}},
            id="which holds for nodes of another type as well",
        ),
        pytest.param([], {"expected": (demand(1, GPU=1),), **SCARCE}, {}, id="a last resort does not serve it"),
    ],
)
def test_expected_work_gets_nodes_after_all_that_waits(
    demands: list[Demand], given: dict[str, Any], reasons: dict[str, dict[str, int]]
) -> None:
    blocked = {"blocked": frozenset({"least"}), "expected": (demand(1, CPU=4),)}
    decision = decide(*demands, **{**blocked, **given})
    assert decision.reasons == reasons
    assert decision.unplaced == decision.infeasible == ()


def test_nodes_that_expected_work_goes_to_are_needed() -> None:
    nodes = (node("a", SMALL), node("b", SMALL))
    blocked = frozenset({"least"})
    assert decide(expected=(demand(1, CPU=4),), nodes=nodes, blocked=blocked).needed == {"a"}


COUNTS = st.integers(0, 4)
NAMES = st.frozensets(st.sampled_from([t.name for t in TYPES]))
WORK = st.lists(
    st.builds(lambda n, cpu, gpu: demand(n, CPU=cpu, **({"GPU": 1} if gpu else {})), COUNTS, COUNTS, st.booleans()),
    max_size=3,
).map(tuple)


@st.composite
def requests(draw: st.DrawFn) -> Request:
    """Blocked types, of which some have stuck nodes, some of these reserved, and some are a last resort."""
    blocked = draw(NAMES)
    stuck = [(t, draw(COUNTS)) for t in TYPES if t.name in blocked]
    nodes = [node(f"{t.name}-{n}", t, pending=draw(st.booleans())) for t in TYPES for n in range(draw(COUNTS) // 2)]
    return Request(
        types=TYPES,
        max_workers=draw(st.integers(0, 12)),
        upscaling_speed=1.0,
        nodes=tuple(nodes),
        demands=draw(WORK),
        blocked=blocked,
        last_resort=blocked & draw(NAMES),
        stuck=tuple(node(f"{t.name}-stuck-{n}", t) for t, count in stuck for n in range(count)),
        reserved={t.name: min(count, draw(COUNTS)) for t, count in stuck},
        expected=draw(WORK),
    )


@QUICK
@given(requests())
def test_bounds_hold_for_all_launches_together(request: Request) -> None:
    """Nodes that cannot start count as far as they are reserved. What is needed is there."""
    decision = schedule(request)
    launched = sum(decision.launches.values())
    assert not launched or len(request.nodes) + sum(request.reserved.values()) + launched <= request.max_workers
    assert not (request.blocked - request.last_resort) & decision.launches.keys()
    assert decision.needed <= {n.name for n in (*request.nodes, *request.stuck)}


@QUICK
@given(requests())
def test_a_last_resort_takes_nothing_from_other_types_and_expected_work_nothing_from_what_waits(
    request: Request,
) -> None:
    plain = schedule(replace(request, last_resort=frozenset(), expected=()))
    decision = schedule(request)
    for name, reasons in plain.reasons.items():
        assert Counter(reasons) <= Counter(decision.reasons[name])
    assert decision.unplaced == plain.unplaced
