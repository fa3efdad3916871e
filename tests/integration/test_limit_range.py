"""A namespace whose LimitRange gives containers the resources that they do not name."""

from __future__ import annotations

import json
from typing import Any

from tests.support.kube import Kube, eventually
from tests.support.operator import OperatorProcess
from tests.support.raycluster import HEAD, WORKER, launched

DEFAULTS = {
    "apiVersion": "v1",
    "kind": "LimitRange",
    "metadata": {"name": "defaults"},
    "spec": {
        "limits": [
            {
                "type": "Container",
                "default": {"cpu": "2", "memory": "3Gi"},
                "defaultRequest": {"cpu": "1", "memory": "2Gi"},
            }
        ]
    },
}


def test_ray_is_told_what_the_limit_range_gives(kube: Kube, operator: OperatorProcess, example: dict[str, Any]) -> None:
    """Head and worker: neither podConfig has resources, their pods have."""
    kube.apply(DEFAULTS)
    for pod_type in example["spec"]["podTypes"]:
        pod_type["podConfig"]["spec"]["containers"][0].pop("resources")
        pod_type.pop("rayResources", None)
    eventually(lambda: kube.apply(example))
    launched(kube, workers=2)
    for pod in (*kube.list("pods", HEAD), *kube.list("pods", WORKER)):
        (ray,) = pod["spec"]["containers"]
        assert ray["resources"]["limits"] == {"cpu": "2", "memory": "3Gi"}
        told = json.loads(next(v["value"] for v in ray["env"] if v["name"] == "RAY_OVERRIDE_RESOURCES"))
        assert told == {"CPU": 2, "GPU": 0, "memory": 3 * 2**30 * 7 // 10}
