"""How a RayCluster is read, with the defaults of the legacy operator."""

from __future__ import annotations

from typing import Any

import pytest

from controller.raycluster.model import DEFAULT_HEAD_START, Key, RayCluster, parse_spec
from controller.raycluster.service_ports import ServicePort
from tests.support.builders import raw_cluster, raw_spec, raw_type

BARE = {"headPodType": "h", "podTypes": [raw_type("h"), raw_type("w")]}


def test_absent_fields_have_the_legacy_defaults() -> None:
    spec = parse_spec(BARE)
    assert (spec.max_workers, spec.upscaling_speed, spec.idle_timeout_minutes) == (2, 1.0, 5.0)
    assert spec.head_start == DEFAULT_HEAD_START
    assert spec.worker_start == ("ulimit -n 65536; ray start --address=$RAY_HEAD_IP:6379",)
    assert [(t.name, t.min_workers, t.max_workers) for t in spec.pod_types] == [("h", 0, 0), ("w", 0, 2)]
    assert (spec.head.name, [t.name for t in spec.worker_types]) == ("h", ["w"])


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        ({}, []),
        ({"minWorkers": 2}, []),
        ({"maxWorkers": 0}, []),
        ({"maxWorkers": 2}, [("h", 0, 2, False)]),
        ({"minWorkers": 1, "maxWorkers": 2}, [("h", 1, 2, False)]),
    ],
)
def test_workers_are_of_the_heads_type_where_its_bounds_say_so(bounds: dict[str, Any], expected: list[Any]) -> None:
    spec = parse_spec({"headPodType": "h", "podTypes": [raw_type("h", **bounds), raw_type("w")]})
    types = [(t.name, t.min_workers, t.max_workers, t.is_head) for t in spec.worker_types]
    assert types == [*expected, ("w", 0, 2, False)]
    assert (spec.head.name, spec.head.is_head) == ("h", True)


def test_an_upscaling_speed_of_zero_means_unset_and_an_idle_timeout_of_zero_means_zero() -> None:
    spec = parse_spec({**BARE, "upscalingSpeed": 0, "idleTimeoutMinutes": 0})
    assert (spec.upscaling_speed, spec.idle_timeout_minutes) == (1.0, 0.0)


def test_worker_setup_commands_win_over_their_alias() -> None:
    given: list[tuple[dict[str, Any], tuple[str, ...]]] = [
        ({}, ()),
        ({"setupCommands": ["x"]}, ("x",)),
        ({"workerSetupCommands": ["y"]}, ("y",)),
        ({"setupCommands": ["x"], "workerSetupCommands": ["y"]}, ("y",)),
        ({"setupCommands": ["x"], "workerSetupCommands": []}, ()),
    ]
    types = [raw_type(f"t{number}", **fields) for number, (fields, _) in enumerate(given)]
    spec = parse_spec({"headPodType": "t0", "podTypes": types})
    assert [t.setup_commands for t in spec.pod_types] == [expected for _, expected in given]


@pytest.mark.parametrize(
    ("command", "port"),
    [
        ("ray start --head --port=1234", 1234),
        ("ray start --head --port 1234 -v", 1234),
        ("ulimit -n 1; ray start --head --port=1234", 1234),
        ("ray start --head --dashboard-port=1 --ray-client-server-port=2", 6379),
        ("ray start --head", 6379),
    ],
)
def test_the_port_is_read_from_the_start_commands(command: str, port: int) -> None:
    assert parse_spec({**BARE, "headStartRayCommands": ["ray stop", command]}).gcs_port == port


def test_workers_go_to_the_heads_port_unless_told_otherwise() -> None:
    head = {"headStartRayCommands": ["ray start --head --port=6400"]}
    assert parse_spec({**BARE, **head}).worker_start == ("ulimit -n 65536; ray start --address=$RAY_HEAD_IP:6400",)
    assert parse_spec({**BARE, **head, "workerStartRayCommands": ["x"]}).worker_start == ("x",)


def test_service_ports_are_merged_by_name_in_order() -> None:
    wanted: list[dict[str, Any]] = [
        {"name": "test-port", "port": 123, "targetPort": "http"},
        {"name": "client", "port": 555, "targetPort": 666},
    ]
    assert parse_spec(raw_spec(headServicePorts=wanted)).service_ports == (
        ServicePort("client", 555, 666),
        ServicePort("dashboard", 8265, 8265),
        ServicePort("ray-serve", 8000, 8000),
        ServicePort("test-port", 123, "http"),
    )


def test_an_object_is_read_with_its_place_and_incarnation() -> None:
    found = RayCluster.from_object(raw_cluster(uid="u", resourceVersion="12", generation=3, deletionTimestamp="now"))
    assert (found.key, found.uid, found.resource_version, found.generation) == (Key("ray", "example"), "u", 12, 3)
    assert found.deleting
    assert (str(found.key), found.key.log_prefix) == ("ray/example", "example,ray:")
    assert (found.namespace, found.name, found.status) == ("ray", "example", {})


def test_an_object_without_anything_optional_can_be_read() -> None:
    metadata = {"name": "n", "namespace": "ns", "uid": "u", "resourceVersion": "1"}
    found = RayCluster.from_object({"metadata": metadata, "spec": None, "status": None})
    assert (found.spec, found.status, found.generation, found.deleting) == ({}, {}, 0, False)
