"""Why pods are made and go: a label of a fixed set for metrics, a text for people. The text may say anything."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

from controller.objects.views import PodView


class Label(Enum):
    """The values are the labels of the metrics."""

    # Why a pod is made.
    HEAD = "head"
    WORKER = "worker"
    REPLACEMENT = "replacement"
    # Why a pod goes.
    ENDED = "ended"
    NODE_LOST = "node_lost"
    HEAD_LOST = "head_lost"
    DUPLICATE_HEAD = "duplicate_head"
    SPEC_CHANGED = "spec_changed"
    IDLE = "idle"
    STUCK = "stuck"
    ABOVE_MAXIMUM = "above_maximum"
    SUSPENDED = "suspended"
    INTERRUPTED = "interrupted"
    # A drain that an operator without labels has begun.
    OTHER = "other"


LAUNCHES = (Label.HEAD, Label.WORKER, Label.REPLACEMENT)
TERMINATIONS = tuple(label for label in Label if label not in LAUNCHES)


@dataclass(frozen=True)
class Reason:
    """Why something is done. ``label``: for metrics; ``text``: for Events, the log, the status and annotations."""

    label: Label
    text: str

    def extended(self, text: str) -> Reason:
        """The same, with more to say."""
        return replace(self, text=self.text + text)


NODE_LOST = Reason(Label.NODE_LOST, "its node is lost")


def reason_to_create(text: str, attempt: int) -> Reason:
    """Why a worker is made. ``text``: what asks for it; ``attempt``: of its slot, 0 unless the one before crashed."""
    return Reason(Label.REPLACEMENT if attempt else Label.WORKER, text)


def reason_of_drain(pod: PodView) -> Reason:
    """Why a leaving pod is drained, read back from its annotations, in which anyone may have written."""
    known = next((label for label in TERMINATIONS if label.value == pod.drain_label), Label.OTHER)
    return Reason(known, pod.drain_reason)


def reason_of_end(pod: PodView) -> Reason:
    """Why an ended pod is deleted."""
    return Reason(Label.ENDED, f"it ended ({pod.problem or pod.phase})")
