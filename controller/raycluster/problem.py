"""What is wrong with a RayCluster, and where."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One thing wrong: where, what, and what to do about it."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


def covered(path: str, told: Collection[str]) -> bool:
    """Something was said about a place that holds it; or about parts of it, when it is out of shape as a whole."""
    return any(path.startswith((f"{t}.", f"{t}[")) or t.startswith(f"{path}.") for t in told)
