"""The CRD's description of the status and what the operator writes there: the same fields."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import yaml

from autoscaler.model import Demand, RayState, Shape
from controller.planning.blocked_types import Pause
from controller.planning.idle_record import DECIDED, FIELD, IdleRecord
from controller.planning.observed import RayView
from controller.planning.plan import make_plan
from controller.raycluster.idle_termination import SUSPEND
from controller.raycluster.model import parse_spec
from controller.status.cluster_status import status_of
from tests.support.builders import NOW, cluster, head_pod, raw_spec, raw_type, seen


def everything() -> dict[str, Any]:
    """The status of a cluster that has a head, a block, work that waits and work that never fits, new pods, and a type
    whose workers have several hosts; and what the status has of one that outlives its head and that nothing uses.
    """
    types = [*raw_spec()["podTypes"], raw_type("slice", hosts=2)]
    raw = raw_spec(podTypes=types, headRecovery={"redis": {"address": "redis:6379"}})
    spec = parse_spec(raw)
    head = head_pod(spec, recovery=spec.recovery_token)
    demands = tuple(Demand(Shape.of({name: 1}), 3) for name in ("CPU", "no such thing"))
    answer = RayView(RayState("s", 0.0, (), demands), head.uid, 0.0)
    observed = seen(
        [head],
        cluster(raw),
        ray=answer,
        blocks={"worker-node": Pause("Forbidden", "no", NOW, until=NOW + 8)},
    )
    idle = IdleRecord(DECIDED, "why", 1, 2, "uid", "session", 3, "4", 5, SUSPEND).status
    return status_of(observed, make_plan(observed), done=make_plan(seen([head])).actions) | {FIELD: idle}


def written(value: Any, path: str = "") -> Iterator[str]:
    """The fields of a status; a resource's name is none."""
    if isinstance(value, dict) and not path.endswith(".resources"):
        for name, inner in value.items():
            yield f"{path}.{name}"
            yield from written(inner, f"{path}.{name}")
    elif isinstance(value, list):
        for item in value:
            yield from written(item, path)


def described(schema: Any, path: str = "") -> Iterator[str]:
    """The fields of a schema."""
    for name, inner in schema.get("properties", {}).items():
        yield f"{path}.{name}"
        yield from described(inner.get("items", inner), f"{path}.{name}")


def test_the_scale_is_of_fields_that_the_schema_has() -> None:
    (version,) = yaml.safe_load(files("controller.raycluster").joinpath("raycluster.yaml").read_text())["spec"][
        "versions"
    ]
    properties = version["schema"]["openAPIV3Schema"]["properties"]
    for path in version["subresources"]["scale"].values():
        _, part, field = path.split(".")
        assert field in properties[part]["properties"]
    assert everything()["workerSelector"] == "ray-cluster-name=example,ray-node-type=worker"


def test_the_status_has_the_fields_that_the_schema_describes() -> None:
    (version,) = yaml.safe_load(files("controller.raycluster").joinpath("raycluster.yaml").read_text())["spec"][
        "versions"
    ]
    schema = version["schema"]["openAPIV3Schema"]["properties"]["status"]
    assert set(written(everything())) == set(described(schema))
    conditions = {c["type"] for c in everything()["conditions"]}
    assert all(kind in schema["properties"]["conditions"]["description"] for kind in conditions)
