"""What holds of autoscaling over time, whatever is asked for: the operator's planner over simulated pods and work."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from autoscaler.model import Demand, Gang, Shape, Strategy
from controller.cli.scenario import GangWork, Scenario, Step, Work
from controller.cli.simulation import LAUNCH, REMOVE, Happening, Simulation
from controller.raycluster.model import ClusterSpec, parse_spec
from tests.support.builders import cluster, pod_config, raw_spec

IDLE_SECONDS = 60.0
DAY = 86_400.0
QUICK = settings(max_examples=settings().max_examples // 5)

SHAPES = st.sampled_from([{"CPU": 1}, {"CPU": 2}, {"CPU": 0.5}, {"gadget": 1}, {"CPU": 1, "gadget": 1}])
SECONDS = st.sampled_from([0.1, 1.0, 29.0, 61.0, 500.0])
WORK = st.builds(
    lambda shape, count, seconds: Work(Demand(Shape.of(shape), count), seconds), SHAPES, st.integers(1, 8), SECONDS
)
GANGS = st.builds(
    lambda shape, count, strategy, seconds: GangWork(Gang((Demand(Shape.of(shape), count),), strategy), seconds),
    st.sampled_from([{"CPU": 1}, {"CPU": 0.5}]),
    st.integers(1, 2),
    st.sampled_from(list(Strategy)),
    SECONDS,
)
# Close together, so that demand flickers while pods start and while they idle.
STEPS = st.lists(
    st.builds(
        lambda at, tasks, gangs: Step(at, tuple(tasks), tuple(gangs)),
        st.floats(0, 300).map(lambda at: round(at, 1)),
        st.lists(WORK, max_size=2),
        st.lists(GANGS, max_size=1),
    ),
    min_size=1,
    max_size=8,
)
SCENARIOS = st.builds(
    lambda steps, seconds: Scenario(tuple(sorted(steps, key=lambda s: s.at)), seconds),
    STEPS,
    st.sampled_from([1.0, 15.0, 90.0]),
)
BOUNDS = st.tuples(st.integers(0, 2), st.integers(2, 5), st.integers(1, 4))


def spec_of(bounds: tuple[int, int, int]) -> ClusterSpec:
    """Two types; together they may be fewer than apart."""
    least, most, gadgets = bounds
    types = [
        ("head-node", {"CPU": 0}, 0, 0),
        ("worker", {"CPU": 2}, least, most),
        ("gadget", {"CPU": 1, "gadget": 1}, 0, gadgets),
    ]
    raw = [
        {"name": n, "rayResources": r, "minWorkers": low, "maxWorkers": high, "podConfig": pod_config(f"{n}-")}
        for n, r, low, high in types
    ]
    return parse_spec(raw_spec(podTypes=raw, maxWorkers=most + 1, idleTimeoutMinutes=IDLE_SECONDS / 60))


def simulated(bounds: tuple[int, int, int], scenario: Scenario) -> tuple[ClusterSpec, list[Happening], Simulation]:
    spec = spec_of(bounds)
    simulation = Simulation(cluster(), spec, scenario)
    return spec, list(simulation.run(DAY)), simulation


@QUICK
@given(BOUNDS, SCENARIOS)
def test_all_that_is_feasible_gets_its_turn_and_nobody_idles_for_ever(
    bounds: tuple[int, int, int], scenario: Scenario
) -> None:
    """However tight the bounds: in the end nothing waits, and only the minimum is left. That nobody busy is removed
    is asserted where they are.
    """
    spec, happenings, simulation = simulated(bounds, scenario)
    assert simulation.waiting == 0
    counts = Counter({LAUNCH: 0, REMOVE: 0})
    for happening in happenings:
        counts[happening.what] += happening.count
        assert happening.workers <= spec.max_workers
    assert counts[LAUNCH] - counts[REMOVE] == sum(t.min_workers for t in spec.worker_types)


@QUICK
@given(BOUNDS, SCENARIOS)
def test_noisy_demand_makes_nobody_come_and_go(bounds: tuple[int, int, int], scenario: Scenario) -> None:
    """Whoever is removed has been there for the whole idle timeout at least, however demand flickered meanwhile."""
    spec, happenings, _ = simulated(bounds, scenario)
    for node_type in (t.name for t in spec.worker_types):
        mine = [h for h in happenings if h.subject == node_type]
        for removal in (h for h in mine if h.what == REMOVE):
            gone = sum(h.count for h in mine if h.what == REMOVE and h.at <= removal.at)
            come = sum(h.count for h in mine if h.what == LAUNCH and h.at <= removal.at - IDLE_SECONDS)
            assert gone <= come
