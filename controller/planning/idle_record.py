"""What the status keeps of a cluster's idleness: it survives the process, and a change of the spec overrides it."""

from __future__ import annotations

from calendar import timegm
from dataclasses import dataclass
from time import strptime
from typing import Any

from controller.raycluster.idle_termination import ACTIONS, SUSPEND
from controller.raycluster.model import Json, RayCluster, timestamp

FIELD = "idle"
STATES = IN_USE, IDLE, UNKNOWN, DECIDED = "InUse", "Idle", "Unknown", "Decided"


@dataclass(frozen=True)
class IdleRecord:
    """``status.idle``. Times are Unix seconds, 0 where there is none.

    ``since``: since when nothing uses the cluster. ``head``, ``session``: of whom that is known. ``generation``,
    ``resumed``: what a user wanted then. ``last_end``: of the last driver, by the head's clock.
    """

    state: str = ""
    message: str = ""
    since: int = 0
    last_end: int = 0
    head: str = ""
    session: str = ""
    generation: int = 0
    resumed: str = ""
    decided_at: int = 0
    action: str = ""

    @classmethod
    def of(cls, status: Json) -> IdleRecord:
        """Read it from a status. Any client with the right can write one: what is malformed counts as absent."""
        raw = status.get(FIELD)
        if not isinstance(raw, dict) or raw.get("state") not in STATES:
            return cls()
        record = cls(
            state=raw["state"],
            message=_text(raw.get("message")),
            since=_seconds(raw.get("since")),
            last_end=_seconds(raw.get("lastJobEndedAt")),
            head=_text(raw.get("headUID")),
            session=_text(raw.get("session")),
            generation=raw["generation"] if isinstance(raw.get("generation"), int) else 0,
            resumed=_text(raw.get("resumed")),
            decided_at=_seconds(raw.get("decidedAt")),
            action=_text(raw.get("action")),
        )
        whole = record.decided_at > 0 and record.action in ACTIONS
        return record if whole or record.state != DECIDED else cls()

    @classmethod
    def current(cls, cluster: RayCluster) -> IdleRecord:
        """The same; nothing where the user has changed the spec since, or resumed the cluster."""
        record = cls.of(cluster.status)
        same = (record.generation, record.resumed) == (cluster.generation, cluster.resumed)
        return record if same else cls()

    @property
    def words(self) -> str:
        """In one sentence; empty where it is not looked at."""
        return f"in use: {self.message}" if self.state == IN_USE else self.message

    @property
    def status(self) -> dict[str, Any]:
        """As the status has it."""
        times = {"since": self.since, "decidedAt": self.decided_at, "lastJobEndedAt": self.last_end}
        texts = {"action": self.action, "headUID": self.head, "session": self.session, "resumed": self.resumed}
        return {
            "state": self.state,
            "message": self.message,
            "generation": self.generation,
            **{name: timestamp(time) for name, time in times.items() if time},
            **{name: text for name, text in texts.items() if text},
        }


def is_put_to_sleep(cluster: RayCluster) -> bool:
    """Whether it was decided to suspend the cluster because nothing uses it, and no user has overridden that."""
    record = IdleRecord.current(cluster)
    return record.state == DECIDED and record.action == SUSPEND and bool(cluster.spec.get("idleTermination"))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _seconds(value: Any) -> int:
    try:
        return max(0, timegm(strptime(_text(value), "%Y-%m-%dT%H:%M:%SZ")))
    except ValueError:
        return 0
