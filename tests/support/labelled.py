"""Shapes with label selectors, for tests."""

from __future__ import annotations

from autoscaler.model import LabelConstraint, LabelOperator, Selector, Shape


def labelled(shape: Shape, **labels: str) -> Shape:
    """The shape, on nodes that have all of these labels."""
    constraints = tuple(LabelConstraint.of(key, LabelOperator.IN, [value]) for key, value in sorted(labels.items()))
    return Shape(shape.resources, (Selector(constraints),))
