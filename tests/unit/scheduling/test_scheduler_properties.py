"""What holds of every decision, whatever the request."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from random import Random
from unittest.mock import patch

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from autoscaler.model import QUANTUM, Demand, Gang, LabelConstraint, LabelOperator, NodeType, Selector, Shape, Strategy
from autoscaler.scheduling import packing_input as planner
from autoscaler.scheduling.demand_index import Choice, Want, Wants
from autoscaler.scheduling.packing import Candidate, Profile, place
from autoscaler.scheduling.scheduler import Decision, Existing, Request, removable, schedule
from autoscaler.scheduling.scoring import Utilisation
from tests.support.scheduler_cases import permuted, random_request

QUICK = settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
COUNTS = st.sampled_from([-1, 0, 1, 2, 7, 10**9])
AMOUNTS = st.sampled_from([-5, 0, 1, QUANTUM // 2, QUANTUM, 3 * QUANTUM, 10**15])
NAMES = st.sampled_from(["CPU", "GPU", "memory", "X", "node:__internal_implicit_resource_a"])
RESOURCES = st.dictionaries(NAMES, AMOUNTS, max_size=4)
LABELS = st.dictionaries(st.sampled_from(["zone", "tier"]), st.sampled_from(["a", "b"]), max_size=2)
CONSTRAINTS = st.builds(
    LabelConstraint.of,
    st.sampled_from(["zone", "tier"]),
    st.sampled_from(list(LabelOperator)),
    st.lists(st.sampled_from(["a", "b", "c"]), max_size=2),
)
SELECTORS = st.builds(Selector, st.lists(CONSTRAINTS, max_size=2).map(tuple))
SHAPES = st.builds(
    lambda amounts, selectors: Shape.of({n: a / QUANTUM for n, a in amounts.items()}, selectors),
    RESOURCES,
    st.lists(SELECTORS, max_size=2),
)
DEMANDS = st.builds(Demand, SHAPES, COUNTS)
TYPES = st.builds(
    NodeType,
    st.sampled_from(["a", "b", "c"]),
    RESOURCES,
    st.integers(-1, 3),
    st.sampled_from([-1, 0, 2, 5, 10**9]),
    LABELS,
)
NODES = st.builds(
    Existing,
    st.sampled_from([f"n{i}" for i in range(9)]),
    st.sampled_from(["a", "b", "gone"]),
    RESOURCES,
    RESOURCES,
    LABELS,
    st.booleans(),
    st.sampled_from([False, False, True]),
    st.sampled_from([False, False, True]),
)
GANGS = st.builds(
    Gang,
    st.lists(st.builds(Demand, SHAPES, st.sampled_from([-1, 0, 1, 3])), max_size=3).map(tuple),
    st.sampled_from(list(Strategy)),
)
REQUESTS = st.builds(
    Request,
    st.lists(TYPES, max_size=3, unique_by=lambda t: t.name).map(tuple),
    st.sampled_from([-1, 0, 1, 6, 10**9]),
    st.sampled_from([-1.0, 0.0, 0.5, 10.0, float("inf"), float("nan")]),
    st.lists(NODES, max_size=8, unique_by=lambda n: n.name).map(tuple),
    st.lists(DEMANDS, max_size=4).map(tuple),
    st.lists(GANGS, max_size=3).map(tuple),
    st.lists(DEMANDS, max_size=2).map(tuple),
    st.frozensets(st.sampled_from(["a", "b"]), max_size=2),
)


def sane(seed: int, *, labels: bool = True, gangs: bool = True, requested: bool = True) -> Request:
    return random_request(Random(seed), labels=labels, gangs=gangs, requested=requested)


def workers(request: Request) -> Counter[str]:
    return Counter(n.node_type for n in request.nodes if not n.is_head)


def demanded(demands: Iterable[Demand]) -> Counter[Shape]:
    counts: Counter[Shape] = Counter()
    for demand in demands:
        counts[demand.shape] += max(0, demand.count)
    return counts


def within_bounds(request: Request, decision: Decision) -> bool:
    have, types = workers(request), {t.name: t for t in request.types}
    launched = sum(decision.launches.values())
    return (
        all(n > 0 and have[name] + n <= types[name].max_workers for name, n in decision.launches.items())
        and (not launched or have.total() + launched <= request.max_workers)
        and not request.blocked & decision.launches.keys()
    )


@QUICK
@given(REQUESTS)
def test_nothing_breaks_it(request: Request) -> None:
    """Bounds hold, blocked types stay, and no needed worker may be removed, on any input at all."""
    decision = schedule(request)
    assert within_bounds(request, decision)
    assert decision.launches == {name: sum(why.values()) for name, why in decision.reasons.items()}
    names = {n.name for n in request.nodes if not n.is_head and not n.draining}
    assert decision.needed <= names
    assert not decision.needed & removable(request, decision)


@QUICK
@given(REQUESTS, st.integers(0, 100))
def test_order_says_nothing(request: Request, seed: int) -> None:
    """A permuted request gets the same decision."""
    first, second = schedule(request), schedule(permuted(Random(seed), request))
    assert comparable(second) == comparable(first)


@QUICK
@given(REQUESTS)
def test_all_demand_is_accounted_for(request: Request) -> None:
    """Nothing is reported that was not asked for, and nothing twice."""
    decision = schedule(request)
    told = (*decision.infeasible, *decision.unplaced)
    assert all(demand.count > 0 for demand in told)
    assert demanded(told) <= demanded(request.demands)


@QUICK
@given(REQUESTS, st.integers(0, 3_000), st.integers(0, 100))
def test_a_decision_that_is_cut_short_is_a_decision(request: Request, steps: int, seed: int) -> None:
    """Whatever the work that may be done: bounds hold, order says nothing, what was not examined is unplaced."""
    with patch.multiple(planner, PLANNING_STEPS=steps, PLANNING_STEPS_AT_LEAST=0, JUDGING_STEPS=steps):
        decision = schedule(request)
        again = schedule(permuted(Random(seed), request))
    assert comparable(again) == comparable(decision)
    assert within_bounds(request, decision)
    whole = schedule(request)
    assert demanded(decision.infeasible) <= demanded(whole.infeasible)
    assert demanded(whole.infeasible) <= demanded((*decision.infeasible, *decision.unplaced))
    if not decision.complete:
        assert not removable(request, decision)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10**6))
def test_minimum_is_launched_and_kept(seed: int) -> None:
    """After the launches and any removal that is allowed, each type has its minimum."""
    request = sane(seed)
    decision = schedule(request)
    have, gone = workers(request), removable(request, decision)
    lost = Counter(n.node_type for n in request.nodes if n.name in gone)
    room = request.max_workers - have.total() >= sum(t.min_workers for t in request.types)
    for node_type in request.types:
        left = have[node_type.name] - lost[node_type.name]
        assert left >= min(have[node_type.name], node_type.min_workers)
        if room:
            assert left + decision.launches.get(node_type.name, 0) >= node_type.min_workers


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.integers(0, 10**6))
def test_launches_answer_the_same_demand(seed: int) -> None:
    """The next round sees the same demand and last round's launches as pending pods, and launches nothing."""
    request = replace(sane(seed, labels=False, gangs=False, requested=False), max_workers=10**6)
    request = replace(request, nodes=tuple(n for n in request.nodes if not n.pending))
    assert not schedule(applied(request, schedule(request))).launches


@settings(max_examples=100, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.filter_too_much])
@given(st.integers(0, 10**6))
def test_what_may_be_removed_is_not_launched_again(seed: int) -> None:
    """With every worker gone that need not stay, the next round launches no more than it would with them.

    Where bounds leave work waiting, a removal makes room, and the next round may use it.
    """
    request = replace(sane(seed), max_workers=10**6)
    request = replace(request, types=tuple(replace(t, max_workers=10**6) for t in request.types))
    decision = schedule(request)
    gone = removable(request, decision)
    assume(gone and not (decision.unplaced or decision.unplaced_gangs or decision.unplaced_requested))
    left = replace(request, nodes=tuple(n for n in request.nodes if n.name not in gone))
    with_them, without = schedule(applied(request, decision)), schedule(applied(left, decision))
    assert sum(without.launches.values()) <= sum(with_them.launches.values())


@settings(max_examples=80, deadline=None, derandomize=True)
@given(st.integers(0, 10**6))
def test_launching_ends(seed: int) -> None:
    """Under steady demand of all kinds launches cease after a few rounds, long before any bound is reached.

    Packing is greedy: with gangs and nodes that were on their way before, a second round may add a node.
    """
    request = replace(sane(seed), max_workers=10**6)
    request = replace(request, types=tuple(replace(t, max_workers=10**6) for t in request.types))
    for _ in range(4):
        decision = schedule(request)
        request = applied(request, decision)
    assert not schedule(request).launches


@settings(max_examples=200, deadline=None)
@given(
    need=st.integers(1, 4 * QUANTUM),
    size=st.integers(1, 64 * QUANTUM),
    count=st.integers(1, 10**9),
    most=st.integers(0, 10**9),
)
def test_one_shape_is_exact(need: int, size: int, count: int, most: int) -> None:
    """One shape on one type takes exactly as many nodes as division says, or as many as there may be."""
    node_type = NodeType("w", {"CPU": size}, 0, most)
    demand = Demand(Shape((("CPU", need),)), count)
    decision = schedule(Request((node_type,), 10**9, 1e12, (), (demand,)))
    per_node = size // need
    if not per_node:
        assert decision.infeasible == (demand,)
        return
    nodes = min(-(-count // per_node), most)
    assert decision.launches.get("w", 0) == nodes
    assert sum(d.count for d in decision.unplaced) == max(0, count - nodes * per_node)


@QUICK
@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(1, 30)), max_size=90),
    st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20), st.integers(1, 4)), max_size=80),
    st.sampled_from([None, 1, 3]),
    st.integers(0, 50),
)
def test_no_node_is_overfilled(
    shapes: list[tuple[int, int, int]], nodes: list[tuple[int, int, int]], limit: int | None, cap: int
) -> None:
    """What nodes take adds up: to their room, to the demand, to the limits. What is left fits on none of them."""
    named = [(Shape(tuple((n, a) for n, a in (("A", a), ("B", b)) if a)), count) for a, b, count in shapes]
    wants = Wants({"A": 0, "B": 1}, [Want(shape, Choice(), count) for shape, count in named])
    asked = list(wants.counts)
    pool = [
        Candidate(Profile(0, True, False, 0, 0, (30, 30), (a, b), ()), count, str(i))
        for i, (a, b, count) in enumerate(nodes)
    ]
    picks = place(wants, pool, Utilisation(None), limit, cap)
    used: Counter[str] = Counter()
    for pick in picks:
        used[pick.candidate.key] += pick.nodes
        free = list(pick.candidate.profile.free)
        assert limit is None or sum(n for _, n in pick.taken) <= limit
        for rank, n in pick.taken:
            asked[rank] -= n * pick.nodes
            for name, amount in wants.wants[rank].shape.resources:
                free["AB".index(name)] -= n * amount
        assert tuple(free) == pick.free and min(free) >= 0
    assert asked == wants.counts and min(asked, default=0) >= 0
    assert used.total() <= cap and all(used[c.key] <= c.nodes for c in pool)
    if used.total() < cap:
        for candidate in pool:
            untouched = used[candidate.key] < candidate.nodes
            assert not (untouched and wants.fill(list(candidate.profile.free), wants.kinds, None))


def applied(request: Request, decision: Decision) -> Request:
    """The request of the next round: launches are pending pods."""
    types = {t.name: t for t in request.types}
    new = [
        Existing(
            f"{name}-{len(request.nodes) + i}",
            name,
            types[name].resources,
            types[name].resources,
            types[name].labels,
            True,
        )
        for name, count in decision.launches.items()
        for i in range(count)
    ]
    return replace(request, nodes=(*request.nodes, *new))


def comparable(decision: Decision) -> Decision:
    """With gangs' bundles in one order, since those are handed back as they came."""

    def sort(waiting: tuple[Gang, ...]) -> tuple[Gang, ...]:
        ordered = (replace(g, bundles=tuple(sorted(g.bundles, key=lambda d: (d.shape, d.count)))) for g in waiting)
        return tuple(sorted(ordered, key=lambda g: (g.strategy.value, [(d.shape, d.count) for d in g.bundles])))

    return replace(
        decision,
        unplaced_gangs=sort(decision.unplaced_gangs),
        infeasible_gangs=sort(decision.infeasible_gangs),
        causes={sort((what,))[0] if isinstance(what, Gang) else what: why for what, why in decision.causes.items()},
    )
