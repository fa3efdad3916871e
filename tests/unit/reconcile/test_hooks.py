"""What a pass calls of the hooks, and in which order."""

from __future__ import annotations

from collections.abc import Sequence

from autoscaler.provider import ProviderError
from controller.kube.events import Events
from controller.planning.actions import Action, CreatePod
from controller.planning.observed import Observed
from controller.planning.plan import Plan
from controller.raycluster.model import Json, Key, RayCluster
from controller.reconcile.hooks import Hooks
from controller.reconcile.reconciler import Reconciler
from tests.fakes.api import InlineExecutor
from tests.support.world import KEY, World


class Calls(Hooks):
    """Keeps what it is called with."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, object]] = []

    def planned(self, seen: Observed, plan: Plan, seconds: float) -> None:
        self.calls += [("planned", seconds)]
        self.plan = plan

    def applied(self, cluster: RayCluster, done: Sequence[Action], refused: Sequence[ProviderError]) -> None:
        self.calls += [("applied", sum(isinstance(a, CreatePod) for a in done))]

    def reported(self, cluster: RayCluster, status: Json) -> None:
        self.calls += [("reported", status["desiredWorkers"])]

    def forget(self, cluster: Key) -> None:
        self.calls += [("forget", cluster)]


def test_a_pass_reports_its_plan_and_time_its_actions_and_the_status_and_in_the_end_the_deletion() -> None:
    world, hooks = World(), Calls()
    ticks = iter([10.0, 10.25])
    reconciler = Reconciler(
        world.api,
        world.stores,
        Events(world.api),
        world.heads,
        lambda key: InlineExecutor(),
        hooks=hooks,
        clock=lambda: world.now,
        stopwatch=lambda: next(ticks),
    )
    reconciler.reconcile(KEY)
    assert hooks.calls == [("planned", 0.25), ("applied", 3), ("reported", 2)]
    assert sum(isinstance(a, CreatePod) for a in hooks.plan.actions) == 3
    world.api.remove("rayclusters", *KEY)
    world.tell()
    reconciler.reconcile(KEY)
    assert hooks.calls[3:] == [("forget", KEY)]
