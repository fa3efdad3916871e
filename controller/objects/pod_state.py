"""A pod's state in one word, for metrics and the status page."""

from __future__ import annotations

from .views import PodView


def state_of(pod: PodView) -> str:
    """``terminating``, ``ended``, ``lost`` (its machine does not answer), ``ready``, ``starting`` or ``pending``."""
    if pod.deleting:
        return "terminating"
    if pod.ended:
        return "ended"
    if pod.phase == "Unknown":
        return "lost"
    if pod.ready:
        return "ready"
    return "starting" if pod.phase == "Running" else "pending"
