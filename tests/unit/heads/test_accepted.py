"""A drain that a head has accepted is asked for again only when a later answer does not show it."""

from __future__ import annotations

import pytest

from controller.heads.accepted import AcceptedDrains
from controller.raycluster.model import Key

A, B = Key("ray", "a"), Key("ray", "b")
DRAIN = (b"1" * 28, 600.0)


@pytest.mark.parametrize(
    ("answered_at", "hidden"),
    [(99.0, True), (100.9, True), (101.0, False), (170.0, False)],
    ids=["before it", "just after it", "when it would show", "much later: the head has forgotten"],
)
def test_only_an_answer_that_is_too_old_hides_it(answered_at: float, hidden: bool) -> None:
    drains = AcceptedDrains(lambda: 100.0)
    drains.note(A, DRAIN)
    assert drains.hides(A, DRAIN, answered_at) is hidden


def test_another_deadline_another_cluster_and_another_head_are_asked() -> None:
    drains = AcceptedDrains(lambda: 100.0)
    drains.note(A, DRAIN)
    assert not drains.hides(A, (DRAIN[0], None), 99.0)
    assert not drains.hides(B, DRAIN, 99.0)
    drains.forget(A)
    assert not drains.hides(A, DRAIN, 99.0)


def test_what_is_remembered_is_bounded_in_time() -> None:
    now = 100.0
    drains = AcceptedDrains(lambda: now)
    drains.note(A, DRAIN)
    now = 161.0
    drains.note(A, (b"2" * 28, None))
    assert not drains.hides(A, DRAIN, 99.0)
