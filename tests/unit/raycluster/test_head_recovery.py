"""spec.headRecovery: what is wrong with one is told with its place and a remedy, and both checks agree about it."""

from __future__ import annotations

from typing import Any

import pytest

from controller.raycluster.head_recovery import HeadRecovery, Redis, Storage, parse_recovery, ray_version
from controller.raycluster.model import parse_spec
from controller.raycluster.schema import schema_problems
from controller.raycluster.validation import problems
from tests.support.builders import raw_cluster, raw_spec

ROOT = "spec.headRecovery"
WRONG: dict[str, tuple[Any, str]] = {
    "neither": ({}, f"{ROOT}: has neither storage nor redis"),
    "both": ({"storage": {}, "redis": {"address": "r:1"}}, f"{ROOT}: has both"),
    "a claim and a size": ({"storage": {"claimName": "a", "size": "1Gi"}}, f"{ROOT}.storage.claimName"),
    "a claim to retain": ({"storage": {"claimName": "a", "retain": True}}, f"{ROOT}.storage.claimName"),
    "no claim's name": ({"storage": {"claimName": "A_b"}}, f"{ROOT}.storage.claimName: 'A_b' cannot be"),
    "no size": ({"storage": {"size": "much"}}, f"{ROOT}.storage.size: 'much' is not a quantity"),
    "nothing": ({"storage": {"size": "0"}}, f"{ROOT}.storage.size: '0' is not more than 0"),
    "no mode": ({"storage": {"accessModes": ["ReadOnlyMany"]}}, f"{ROOT}.storage.accessModes: 'ReadOnlyMany'"),
    "no port": ({"redis": {"address": "redis"}}, f"{ROOT}.redis.address: 'redis' is not host:port"),
    "a port out of range": ({"redis": {"address": "redis:70000"}}, f"{ROOT}.redis.address"),
    "no address": ({"redis": {}}, f"{ROOT}.redis.address: is missing; write"),
    "a user without password": ({"redis": {"address": "r:1", "username": "a"}}, f"{ROOT}.redis.username: needs"),
    "no Secret": (
        {"redis": {"address": "r:1", "passwordSecret": {"name": "A", "key": "a"}}},
        f"{ROOT}.redis.passwordSecret.name",
    ),
    "no key": (
        {"redis": {"address": "r:1", "passwordSecret": {"name": "a", "key": "a b"}}},
        f"{ROOT}.redis.passwordSecret.key",
    ),
    "a list": ({"storage": []}, f"{ROOT}.storage: [] is not a mapping"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_told_with_its_place(name: str) -> None:
    recovery, expected = WRONG[name]
    told = [str(p) for p in problems("a", raw_spec(headRecovery=recovery))]
    assert [t for t in told if t.startswith(expected)] == told != []


@pytest.mark.parametrize(
    "recovery",
    [
        {"storage": {}},
        {"storage": {"size": 1000000, "storageClassName": "", "accessModes": ["ReadWriteOncePod"], "retain": True}},
        {"storage": {"claimName": "mine.too"}},
        {"redis": {"address": "[::1]:6379", "tls": True}},
        {"redis": {"address": "r:1", "username": "a", "passwordSecret": {"name": "a", "key": "b.c"}}},
    ],
)
def test_what_is_right_is_taken(recovery: dict[str, Any]) -> None:
    spec = raw_spec(headRecovery=recovery)
    assert (problems("a", spec), schema_problems(raw_cluster(spec))) == ((), ())


def test_fields_get_their_defaults() -> None:
    assert parse_recovery({"storage": {}}) == HeadRecovery(Storage("1Gi", None, ("ReadWriteOnce",), "", False))
    assert parse_recovery({"redis": {"address": "r:1"}}) == HeadRecovery(redis=Redis("r:1"))
    assert parse_recovery(None) is None


def test_the_head_service_leads_to_the_gcs_unless_it_does_already() -> None:
    ports = parse_spec(raw_spec(headRecovery={"storage": {}})).service_ports
    assert [(p.name, p.port, p.target_port) for p in ports][3:] == [("gcs-6379", 6379, 6379)]
    given = [{"name": "mine", "port": 6379, "targetPort": 6379}]
    own = parse_spec(raw_spec(headRecovery={"storage": {}}, headServicePorts=given)).service_ports
    assert [p.name for p in own][3:] == ["mine"]
    taken = [{"name": "mine", "port": 6379, "targetPort": 80}]
    (told,) = problems("a", raw_spec(headRecovery={"storage": {}}, headServicePorts=taken))
    assert told.path == "spec.headServicePorts"


@pytest.mark.parametrize(
    ("image", "version"),
    [
        ("rayproject/ray:2.60.0", "2.60.0"),
        ("registry:5000/ray:2.60.0-py311-gpu", "2.60.0"),
        ("ray:nightly-2.61.0.dev", "2.61.0"),
        ("rayproject/ray:latest", ""),
        ("10.0.0.1:5000/ray", ""),
        ("ray@sha256:00", ""),
    ],
)
def test_a_tag_tells_the_version_of_ray(image: str, version: str) -> None:
    assert ray_version(image) == version
