"""RayClusters of a shape that no code expects, where no API server has checked them against the CRD."""

from __future__ import annotations

from .problem import Problem

# What code raises that meets a value of a shape it did not expect.
SHAPE_ERRORS = (AttributeError, IndexError, KeyError, TypeError, ValueError)


def shape_problems(spec: object) -> tuple[Problem, ...]:
    """Which parts of a RayCluster's spec are of a wrong kind, a string where a list is needed say; never empty."""
    # With the schemas of Kubernetes come 30 MB, of which an operator of RayClusters in shape has no need.
    from .schema import wrong_kinds  # noqa: PLC0415

    return wrong_kinds(spec) or (Problem("spec", "is not the spec of a RayCluster; compare it with the examples"),)
