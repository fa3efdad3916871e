"""What holds of every decision about labels, some of which are declared, some left open."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from autoscaler.model import ANY_LABEL, Gang, LabelConstraint, LabelOperator, NodeType, Shape
from autoscaler.scheduling.request import Obstacle
from autoscaler.scheduling.scheduler import Decision, Request, schedule
from tests.support.scheduler_cases import labelled_request

MANY = settings(max_examples=150, deadline=None)
SEEDS = st.integers(0, 10**9)


def request_of(seed: int) -> Request:
    """As for the comparison with Ray's scheduler, with priorities, blocked types, and labels that are left open."""
    rng = Random(seed)
    request = labelled_request(rng)
    types = tuple(
        replace(
            t,
            priority=rng.choice((0, 0, 1, -1)),
            position=i,
            unknown=frozenset(rng.choice(([], [], ["zone"], ["tier", "zone"], [ANY_LABEL]))),
        )
        for i, t in enumerate(request.types)
    )
    blocked = frozenset(t.name for t in types if rng.random() < 0.15)
    return replace(request, types=types, blocked=blocked, upscaling_speed=rng.choice((1.0, 1e9)))


def holds(shape: Shape, node_type: NodeType) -> bool:
    return all(node_type.resources.get(name, 0) >= amount for name, amount in shape.resources)


def surely(constraint: LabelConstraint, node_type: NodeType) -> bool:
    """Whether every node of the type satisfies it, whatever its open labels are."""
    value = node_type.labels.get(constraint.key)
    if value is not None:
        return (value in constraint.values) == (constraint.operator == LabelOperator.IN.value)
    return constraint.operator == LabelOperator.NOT_IN.value and not node_type.leaves_open(constraint.key)


def perhaps(constraint: LabelConstraint, node_type: NodeType) -> bool:
    """Whether some node of the type might, if it turned out to have what it does not declare."""
    return constraint.key not in node_type.labels or surely(constraint, node_type)


def wanted(request: Request) -> list[Shape]:
    bundles = [bundle for gang in request.gangs for bundle in gang.bundles]
    return [demand.shape for demand in (*request.demands, *request.requested, *bundles)]


@MANY
@given(SEEDS)
def test_nothing_is_launched_that_cannot_serve_what_it_was_launched_for(seed: int) -> None:
    """Not even if a label that is left open turns out to be the wrong one."""
    request = request_of(seed)
    types = {t.name: t for t in request.types}
    for name, reasons in schedule(request).reasons.items():
        if reasons.keys() - {"min workers"}:
            assert any(
                holds(shape, types[name])
                and any(all(surely(c, types[name]) for c in s.constraints) for s in shape.selectors)
                for shape in wanted(request)
            )


def never(decision: Decision) -> list[Shape]:
    gangs = [b.shape for g in decision.infeasible_gangs if len(g.bundles) == 1 for b in g.bundles]
    return [d.shape for d in (*decision.infeasible, *decision.infeasible_requested)] + gangs


@MANY
@given(SEEDS)
def test_nothing_is_called_infeasible_that_a_type_could_hold(seed: int) -> None:
    """Started as declared, or with labels that it does not declare."""
    request = request_of(seed)
    whole = [g for g in request.gangs if sum(b.count for b in g.bundles) == 1]
    plain = replace(request, gangs=tuple(whole))
    for shape in never(schedule(plain)):
        for node_type in request.types:
            might = any(all(perhaps(c, node_type) for c in s.constraints) for s in shape.selectors)
            assert not (holds(shape, node_type) and might)


@MANY
@given(SEEDS)
def test_whatever_waits_has_a_cause(seed: int) -> None:
    """And a bound is a cause only where a type could be launched but for it."""
    request = request_of(seed)
    decision = schedule(request)
    waiting: list[Shape | Gang] = [d.shape for d in (*decision.unplaced, *decision.unplaced_requested)]
    for what in [*waiting, *decision.unplaced_gangs]:
        assert decision.causes[what]
        assert Obstacle.UNEXAMINED not in {cause.obstacle for cause in decision.causes[what]}
    blocked = {
        n for found in decision.causes.values() for c in found if c.obstacle is Obstacle.BLOCKED for n in c.names
    }
    assert blocked <= request.blocked
