"""What the reconciler calls in the course of its passes, for those who watch it at work."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from autoscaler.provider import ProviderError
from controller.planning.actions import Action
from controller.planning.observed import Observed
from controller.planning.plan import Plan
from controller.raycluster.model import Json, Key, RayCluster

# How a pass ended: nothing left to do, due again at some time, to be retried, or with an error.
Outcome = Literal["done", "again", "retry", "failed"]


class Hooks:
    """Called from any of the reconciler's threads. A hook must be quick and never raise; these do nothing."""

    def planned(self, seen: Observed, plan: Plan, seconds: float) -> None:
        """A plan was made from what was seen, in this time."""

    def applied(self, cluster: RayCluster, done: Sequence[Action], refused: Sequence[ProviderError]) -> None:
        """These actions were carried out; these errors kept others from being."""

    def reported(self, cluster: RayCluster, status: Json) -> None:
        """This is the cluster's status now, whether it had to be written or not."""

    def passed(self, outcome: Outcome, seconds: float) -> None:
        """A pass has ended, after this time."""

    def forget(self, cluster: Key) -> None:
        """The cluster is gone."""
