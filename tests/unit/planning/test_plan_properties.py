"""The planner's invariants in a simulated world: pods start, fail, vanish, get lost and work while the spec changes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controller.objects.labels import HEAD, WORKER
from controller.planning.reasons import Label
from tests.support.builders import raw_spec
from tests.support.plan_world import PlanWorld

Story = list[tuple[str, int, int]]
ACCIDENTS = (
    *("service", "breathe", "breathe", "breathe", "vanish", "terminate", "lose", "fail", "work", "demand"),
    *("pass", "stick", "silence of a kubelet", "refuse"),
)
DISTURBANCES = st.lists(
    st.tuples(st.sampled_from(["spec", "spec", "silence", *ACCIDENTS]), st.integers(0, 11), st.integers(0, 12)),
    max_size=24,
)
# In the short form (conftest) a hundred.
EXAMPLES = settings().max_examples
QUICK: dict[str, Any] = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}


def live(story: Story) -> PlanWorld:
    """After each disturbance the operator gets some way into its plan, dies, and starts over."""
    world = PlanWorld()
    for what, which, progress in story:
        world.disturb(what, which)
        for action in world.plan().actions[:progress]:
            world.apply(action)
            assert sum(p.kind == HEAD and p.live for p in world.pods.values()) <= 1
    return world


@settings(max_examples=EXAMPLES, **QUICK)
@given(DISTURBANCES)
def test_whatever_happens_the_cluster_converges_with_one_head_and_within_its_bounds(story: Story) -> None:
    """Bounds and the single head are checked at every create, the outcome at the end."""
    world = live(story)
    world.settle()
    world.check_wanted()


@settings(max_examples=EXAMPLES * 2 // 5, **QUICK)
@given(DISTURBANCES, st.sets(st.integers(0, 9)))
def test_replanning_after_any_part_of_a_plan_leads_to_the_same_cluster(story: Story, refused: set[int]) -> None:
    """Actions that the API server refuses leave others to be carried out; the outcome is as wanted all the same."""
    world = live(story)
    for index, action in enumerate(world.plan().actions):
        if index not in refused:
            world.apply(action)
    world.settle()
    world.check_wanted()


@settings(max_examples=EXAMPLES * 3 // 5, **QUICK)
@given(DISTURBANCES)
def test_work_ends_only_with_its_head_or_its_node_or_when_its_time_is_over(story: Story) -> None:
    """No scale-down and no change of a type ends what runs, while the head answers."""
    world = live([(what, which, progress) for what, which, progress in story if what != "silence"])
    assert set(world.killed) <= {Label.HEAD_LOST, Label.NODE_LOST}


SILENCES = st.one_of(st.floats(5.1, 130.0), st.sampled_from([29.9, 30.1, 59.9, 60.1, 300.0, 601.0, 3600.0]))


@settings(max_examples=EXAMPLES // 2, **QUICK)
@given(st.lists(st.integers(1, 11), max_size=8), SILENCES)
def test_nothing_is_removed_on_an_old_answer(steps: list[int], age: float) -> None:
    """A head that last answered seconds or an hour ago: whatever its answer, bounds and idle time remove nobody."""
    world = PlanWorld()
    world.settle()
    before = {p.uid for p in world.pods.values()}
    world.age = age
    for which in steps:
        world.cluster = replace(world.cluster, spec=raw_spec(workers=0, maxWorkers=which % 3, idleTimeoutMinutes=0))
        world.waiting = which % 2
        for action in world.plan().actions:
            world.apply(action)
        world.breathe()
    assert before <= {p.uid for p in world.pods.values() if p.live}


@settings(max_examples=EXAMPLES // 4, **QUICK)
@given(st.integers(1, 5), st.booleans(), SILENCES)
def test_a_silent_head_holds_up_a_changed_type_for_thirty_seconds(workers: int, tight: bool, silence: float) -> None:
    """Then workers are replaced though nobody was asked, never so many at a time that fewer run than are needed."""
    fields: dict[str, Any] = {"maxWorkers": workers} if tight else {}
    world = PlanWorld()
    world.cluster = replace(world.cluster, spec=raw_spec(workers, **fields))
    world.settle()
    old = {p.uid for p in world.pods.values() if p.kind == WORKER}
    changed = {**fields, "workerStartRayCommands": ["ray start --address=$RAY_HEAD_IP:6379 -v"]}
    world.cluster = replace(world.cluster, spec=raw_spec(workers, **changed))
    world.age = silence
    for _ in range(4 * workers):
        for action in world.plan().actions:
            world.apply(action)
        ready = sum(p.kind == WORKER and p.live and p.ready for p in world.pods.values())
        assert ready >= workers - (max(1, workers // 4) if tight else 0)
        world.breathe()
    now = {p.uid for p in world.pods.values() if p.kind == WORKER and p.live}
    assert now.isdisjoint(old) if silence > 30 else old <= now


@settings(max_examples=15, **QUICK)
@given(st.integers(1, 40), st.integers(0, 60))
def test_pods_that_always_crash_are_remade_ever_more_slowly(workers: int, seconds_between: int) -> None:
    """An hour of crashes makes a bounded number of pods per slot."""
    world = PlanWorld()
    world.cluster = replace(world.cluster, spec=raw_spec(workers=min(workers, 5)))
    world.settle()
    before, end = world.made, world.now + 3600
    while world.now < end:
        for name, pod in world.pods.items():
            if pod.kind == WORKER and pod.phase == "Running":
                world.pods[name] = replace(pod, phase="Failed", ready=False, ended_at=world.now)
        plan = world.plan()
        for action in plan.actions:
            world.apply(action)
        world.now = max(world.now + 1 + seconds_between, plan.look_again_at or 0)
        world.breathe()
    assert world.made - before <= 20 * min(workers, 5)
