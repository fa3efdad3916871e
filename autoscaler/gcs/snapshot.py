"""What is known of one head, and when a new answer is news."""

from __future__ import annotations

from dataclasses import dataclass

from autoscaler.model import RayNode, RayState

from .errors import GcsError


@dataclass(frozen=True)
class Snapshot:
    """What is known of a head. ``state`` is its last answer, however old: see ``state.taken_at``.

    ``error``: why the last question got no answer, None if it got one. ``failing_since``: when the first question
    without an answer since the last good one ended. Times are the poller's clock.
    """

    state: RayState | None
    error: GcsError | None = None
    failing_since: float | None = None


def after(before: Snapshot | None, answer: RayState | GcsError, now: float) -> Snapshot:
    """What is known once a question has ended like this."""
    if isinstance(answer, RayState):
        return Snapshot(answer)
    if before is None:
        return Snapshot(None, answer, now)
    return Snapshot(before.state, answer, now if before.failing_since is None else before.failing_since)


def is_news(before: Snapshot | None, after: Snapshot) -> bool:
    """Whether a decision or a condition may depend on the difference."""
    if before is None or _kind(before.error) != _kind(after.error):
        return True
    if before.state is None or after.state is None:
        return before.state is not after.state
    return essence(before.state) != essence(after.state)


def _kind(error: GcsError | None) -> str | None:
    return error.kind if error else None


def essence(state: RayState) -> tuple[object, ...]:
    """What must differ for an answer to be news: all but the clocks."""
    return state.session, tuple(map(_node_essence, state.nodes)), state.demands, state.gangs, state.requested


def _node_essence(node: RayNode) -> tuple[object, ...]:
    return node.node_id, node.instance_id, node.node_type, node.status, node.total, node.available, node.labels
