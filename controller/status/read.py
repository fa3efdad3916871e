"""A RayCluster's status as it was written, cut down to what is read of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from controller.raycluster.model import Json

PHASES = UPDATING, RUNNING, RECOVERY, ERROR, SUSPENDING, SUSPENDED = (
    "Updating",
    "Running",
    "AutoscalingExceptionRecovery",
    "Error",
    "Suspending",
    "Suspended",
)


@dataclass(frozen=True)
class Condition:
    """One condition; all empty when the status has none of its type. ``status``: True, False or Unknown."""

    status: str = ""
    reason: str = ""
    message: str = ""
    since: str = ""

    @property
    def met(self) -> bool:
        """It holds."""
        return self.status == "True"


@dataclass(frozen=True)
class ClusterStatus:
    """What a status says. Any client with the right can write one: what is malformed counts as absent.

    ``phase``: one of the known, else empty. ``restarts``: how often the head was lost. ``pending``, ``infeasible``: how
    many tasks, actors and bundles wait. ``blocked``: name and reason of the types that cannot be launched. ``session``:
    Ray's, of a cluster that outlives its head.
    """

    phase: str = ""
    restarts: int = 0
    observed_generation: int = 0
    head_uid: str = ""
    session: str = ""
    desired_workers: int = 0
    ready_workers: int = 0
    pending: int = 0
    infeasible: int = 0
    blocked: frozenset[tuple[str, str]] = frozenset()
    conditions: Mapping[str, Condition] = field(default_factory=dict)

    @classmethod
    def of(cls, status: Json) -> ClusterStatus:
        """Read the status of an object as the API server answers it."""
        phase, head = status.get("phase"), status.get("head")
        return cls(
            phase=phase if phase in PHASES else "",
            restarts=_number(status.get("autoscalerRetries")),
            observed_generation=_number(status.get("observedGeneration")),
            head_uid=_text(head.get("uid")) if isinstance(head, dict) else "",
            session=_text(head.get("session")) if isinstance(head, dict) else "",
            desired_workers=_number(status.get("desiredWorkers")),
            ready_workers=_number(status.get("readyWorkers")),
            pending=sum(_number(s.get("count")) for s in _objects(status.get("pendingDemand"))),
            infeasible=sum(_number(s.get("count")) for s in _objects(status.get("infeasibleDemand"))),
            blocked=frozenset(
                (_text(b.get("name")), _text(b.get("reason"))) for b in _objects(status.get("blockedTypes"))
            ),
            conditions={_text(c.get("type")): _condition(c) for c in _objects(status.get("conditions"))},
        )

    def condition(self, kind: str) -> Condition:
        """The condition of a type."""
        return self.conditions.get(kind, Condition())


def _condition(raw: Json) -> Condition:
    return Condition(*(_text(raw.get(name)) for name in ("status", "reason", "message", "lastTransitionTime")))


def _objects(value: Any) -> list[Json]:
    return [v for v in value if isinstance(v, dict)] if isinstance(value, list) else []


def _number(value: Any) -> int:
    return value if isinstance(value, int) else 0


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
