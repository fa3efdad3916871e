"""A status that somebody else has written keeps nothing from working: it is written anew."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.builders import NAME, NAMESPACE
from tests.support.world import well

CONDITIONS: list[Any] = [None, [None], ["Ready"], "Ready", {"type": "Ready"}, [{}], [{"type": None}], 7]


@pytest.mark.parametrize("conditions", CONDITIONS, ids=str)
def test_conditions_of_any_shape_are_replaced(conditions: Any) -> None:
    world = well()
    found = world.api.objects["rayclusters", NAMESPACE, NAME]
    world.api.put("rayclusters", {**found, "status": {**found["status"], "conditions": conditions}})
    world.now += 10
    world.tell()
    world.step()
    assert world.condition("Ready")["status"] == "True"
    assert world.status["phase"] == "Running"
