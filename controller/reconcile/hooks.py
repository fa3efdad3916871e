"""Where those who watch the operator at work look in. By itself it does nothing."""

from __future__ import annotations

from collections.abc import Sequence

from autoscaler.provider import ProviderError
from controller.planning.actions import Action
from controller.planning.observed import Observed
from controller.planning.plan import Plan, make_plan
from controller.raycluster.model import Key, RayCluster


class Observer:
    """Told of each pass by the reconciler, from any of its threads. What it does must be quick and never raise."""

    def plan(self, seen: Observed) -> Plan:
        """Make the plan, and look at it."""
        return make_plan(seen)

    def applied(self, cluster: RayCluster, done: Sequence[Action], refused: Sequence[ProviderError]) -> None:
        """These actions were carried out; these errors kept others from being."""

    def forget(self, cluster: Key) -> None:
        """The cluster is gone."""
