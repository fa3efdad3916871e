"""Node types, nodes and demand for the scheduler, in a word each."""

from __future__ import annotations

from typing import Any

from autoscaler.model import QUANTUM, Demand, NodeType, Selector, Shape
from autoscaler.scheduling.scheduler import Existing


def node_type(
    name: str, least: int = 0, most: int = 100, labels: dict[str, str] | None = None, **amounts: float
) -> NodeType:
    return NodeType(name, {n: int(a * QUANTUM) for n, a in amounts.items()}, least, most, labels or {})


def node(name: str, kind: NodeType, free: float = 1.0, **more: Any) -> Existing:
    left = {n: int(a * free) for n, a in kind.resources.items()}
    return Existing(name, kind.name, kind.resources, left, kind.labels, **more)


def demand(count: int, *selectors: Selector, **amounts: float) -> Demand:
    return Demand(Shape.of(amounts, selectors), count)
