"""Which pods autoscalers of nodes are to leave alone, as the spec says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class DoNotDisrupt:
    """``head``: the head. ``busy_workers``: workers while Ray says that they are at work."""

    head: bool = False
    busy_workers: bool = False


def parse_do_not_disrupt(raw: dict[str, Any] | None) -> DoNotDisrupt:
    """Read the field; absent, or null, it protects nothing."""
    given = raw or {}
    return DoNotDisrupt(bool(given.get("head")), bool(given.get("busyWorkers")))
