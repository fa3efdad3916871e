"""A podConfig that carries the operator's own labels and annotations, which it goes by, is run as one without them."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from controller.objects import labels
from controller.raycluster.model import API_VERSION
from tests.support.builders import raw_spec
from tests.support.world import World

OWN = {v for v in vars(labels).values() if isinstance(v, str) and v.startswith(labels.OWN_PREFIX)}
OWN_NAMES = sorted(OWN - {labels.OWN_PREFIX, API_VERSION})
LEGACY = [labels.CLUSTER_LABEL, labels.KIND_LABEL, labels.TYPE_LABEL, labels.NODE_NAME_LABEL]


def run(metadata: dict[str, Any]) -> World:
    spec = raw_spec()
    for pod_type in spec["podTypes"]:
        pod_type["podConfig"]["metadata"] |= metadata
    world = World(spec)
    world.turns(10)
    return world


@pytest.mark.parametrize("value", ["1", "9999999999", "other", "other-ray-head"])
@pytest.mark.parametrize("name", [*OWN_NAMES, *LEGACY])
def test_no_mark_in_a_podconfig_has_pods_made_and_deleted_again_and_again(name: str, value: str) -> None:
    plain, marked = run({}), run({"labels": {name: value}, "annotations": {name: value}})
    assert Counter(marked.api.writes) == Counter(plain.api.writes)
    assert marked.status == plain.status
    own = [a for pod in marked.api.of("pods") for a in pod["metadata"]["annotations"].items()]
    assert (name, value) not in own or name in LEGACY


def test_who_writes_one_is_told() -> None:
    world = run({"labels": {"cluster.ray.io/component": "other-ray-head"}})
    notes = [e["message"] for e in world.api.events if e["reason"] == "SpecNote"]
    said = "podConfig.metadata.labels: 'cluster.ray.io/component' is left out: cluster.ray.io/ is the operator's own"
    assert notes == [f"spec.podTypes[{index}].{said}" for index in (0, 1)]
