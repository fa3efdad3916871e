"""A Lease (``coordination.k8s.io/v1``) as it was read, and how one is written. The times in it are for people."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from .client import Client, Request

log = logging.getLogger(__name__)

RESOURCE = "leases"
# The Lease of an operator that leads alone. Those that share the clusters hold it together.
LEASE_NAME = "ray-operator"
# For how long a Lease is its holder's after a change of it was seen; how long before that its holder ceases to write;
# how often it is renewed; how often others look at it.
LEASE_SECONDS = 15.0
DEADLINE_SECONDS = 10.0
RENEW_SECONDS = 2.0
LOOK_SECONDS = 1.0


@dataclass(frozen=True)
class Record:
    """The lease as the API server has it. ``seconds`` is how long its holder asks to be waited for."""

    holder: str
    seconds: float
    version: str
    acquired: str
    changes: int

    @classmethod
    def of(cls, obj: dict[str, Any]) -> Record:
        """Read it."""
        spec = obj.get("spec") or {}
        return cls(
            holder=spec.get("holderIdentity") or "",
            seconds=float(spec.get("leaseDurationSeconds") or LEASE_SECONDS),
            version=obj["metadata"]["resourceVersion"],
            acquired=spec.get("acquireTime") or "",
            changes=spec.get("leaseTransitions") or 0,
        )


@dataclass(frozen=True)
class LeaseAt:
    """Where leases are, who asks for them, and the connection for it: with short limits, shared with nothing else."""

    namespace: str
    identity: str
    client: Client


class LeaseWriter:
    """Writes leases of one namespace. ``wall``: seconds since the epoch."""

    def __init__(self, client: Client, namespace: str, wall: Callable[[], float]) -> None:
        self._client = client
        self._namespace = namespace
        self._wall = wall

    def write(self, name: str, seen: Record | None, *, holder: str, seconds: float = LEASE_SECONDS) -> Record:
        """Give the lease a holder, "" for none. It has to be as it was ``seen``, None: it has to be absent.

        Raises:
            ApiError: it is not (409, 404), or the API server refuses or does not answer.
        """
        now = datetime.fromtimestamp(self._wall(), timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        same = seen is not None and seen.holder == holder
        # One that is given up changes hands when another takes it.
        changes = seen.changes + (0 if same or not holder else 1) if seen else 0
        body: dict[str, Any] = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": name},
            "spec": {
                "holderIdentity": holder,
                "leaseDurationSeconds": int(seconds),
                "acquireTime": seen.acquired if seen and (same or not holder) else now,
                "renewTime": now,
                "leaseTransitions": changes,
            },
        }
        if seen is None:
            return Record.of(self._client.send(Request("create", RESOURCE, self._namespace, body=body)))
        body["metadata"]["resourceVersion"] = seen.version
        return Record.of(self._client.send(Request("update", RESOURCE, self._namespace, name, body=body)))


def keep_turning(
    turn: Callable[[], float], stop: threading.Event, on_turn: Callable[[], None], after_defect: float
) -> None:
    """Turn until ``stop`` is set, each time after the pause that the last turn asks for. ``on_turn``: before each."""
    while not stop.is_set():
        on_turn()
        try:
            pause = turn()
        except Exception:
            # An answer that is no Lease must not end the thread: this process would not lead again.
            log.exception("renewing a lease failed unexpectedly")
            pause = after_defect
        stop.wait(pause)
