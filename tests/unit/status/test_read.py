"""What is read of a status, whoever wrote it."""

from __future__ import annotations

from typing import Any

import pytest

from controller.status.read import ClusterStatus, Condition

WRITTEN: dict[str, Any] = {
    "phase": "Running",
    "autoscalerRetries": 2,
    "observedGeneration": 3,
    "head": {"uid": "u1"},
    "desiredWorkers": 5,
    "readyWorkers": 4,
    "pendingDemand": [{"resources": {"CPU": 1.0}, "count": 7}, {"resources": {"GPU": 1.0}, "count": 2}],
    "blockedTypes": [{"name": "gpu", "reason": "QuotaExceeded", "message": "used up", "since": "now"}],
    "conditions": [{"type": "Ready", "status": "True", "reason": "ClusterReady", "message": "m"}],
}


def test_a_status_is_read_as_it_was_written() -> None:
    assert ClusterStatus.of(WRITTEN) == ClusterStatus(
        phase="Running",
        restarts=2,
        observed_generation=3,
        head_uid="u1",
        desired_workers=5,
        ready_workers=4,
        pending=9,
        blocked=frozenset({("gpu", "QuotaExceeded")}),
        conditions={"Ready": Condition("True", "ClusterReady", "m")},
    )


def test_a_condition_that_is_not_there_does_not_hold() -> None:
    assert not ClusterStatus.of({}).condition("Ready").met
    assert not ClusterStatus.of({"conditions": [{"type": "Ready", "status": "Unknown"}]}).condition("Ready").met
    assert ClusterStatus.of(WRITTEN).condition("Ready").met


@pytest.mark.parametrize("value", [None, 1.5, "text", [None], [[]], {}, {"uid": 7}, ["text"]])
@pytest.mark.parametrize("name", sorted(WRITTEN))
def test_what_has_not_its_form_counts_as_absent(name: str, value: Any) -> None:
    absent = {n: v for n, v in WRITTEN.items() if n != name}
    assert ClusterStatus.of({**absent, name: value}) == ClusterStatus.of(absent)
