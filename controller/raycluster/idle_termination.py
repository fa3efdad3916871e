"""What becomes of a cluster that nothing uses, as ``spec.idleTermination`` says it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .problem import Problem
from .spelling import quoted

PATH = "spec.idleTermination"
SUSPEND, DELETE = "Suspend", "Delete"
ACTIONS = (SUSPEND, DELETE)
# Also in the CRD. Below the least one nobody could connect in time.
MIN_MINUTES = 0.1
MAX_MINUTES = 525_600
# Another value than before resumes a cluster that was suspended because nothing used it. It is no part of the spec,
# so that whoever keeps the spec elsewhere, as GitOps tools do, finds it unchanged.
RESUMED_ANNOTATION = "cluster.ray.io/resumed-at"

Json = Mapping[str, Any]


@dataclass(frozen=True)
class IdleTermination:
    """``minutes``: without any use, then it is suspended or deleted, see ACTIONS."""

    minutes: float
    action: str = SUSPEND

    @property
    def seconds(self) -> float:
        """For how long nothing has to use the cluster."""
        return self.minutes * 60


def parse_idle(raw: Json | None) -> IdleTermination | None:
    """``spec.idleTermination`` with its default. Call only with one in which ``idle_problems`` finds nothing."""
    return IdleTermination(float(raw["minutes"]), raw.get("action") or SUSPEND) if raw else None


def idle_problems(raw: Json | None) -> Iterator[Problem]:
    """Everything wrong with ``spec.idleTermination``.

    Raises:
        AttributeError, TypeError: a part of it is of a wrong kind.
    """
    if raw is None:
        return
    minutes, action = raw.get("minutes"), raw.get("action")
    if minutes is None:
        yield Problem(f"{PATH}.minutes", "is missing; write after how many minutes without use")
    elif isinstance(minutes, bool):
        raise TypeError(f"{quoted(minutes)} is not a number")
    elif not MIN_MINUTES <= minutes <= MAX_MINUTES:
        yield Problem(f"{PATH}.minutes", f"{quoted(minutes)} is not a number from {MIN_MINUTES} to {MAX_MINUTES}")
    if action is not None and action not in ACTIONS:
        yield Problem(f"{PATH}.action", f"{quoted(action)} is not an action; use {' or '.join(ACTIONS)}")
