"""Placement groups that wait at a played head."""

from __future__ import annotations

from autoscaler.model import Demand, Gang, Shape, Strategy

from .kube import eventually
from .namespace import Namespace


def wait_for_groups(space: Namespace) -> None:
    """Two placement groups of four bundles wait, each of which needs four workers."""
    bundles = (Demand(Shape.of({"CPU": 1}), 4),)
    (head,) = eventually(space.heads)
    for node in head.nodes.values():
        # The head itself takes no bundle.
        node.available_resources.clear()
    head.gangs = tuple(Gang(bundles, Strategy.STRICT_SPREAD, letters * 18) for letters in ("ab", "cd"))
