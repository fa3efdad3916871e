"""The head Service."""

from __future__ import annotations

from dataclasses import replace

from controller.objects.service import build_service, is_current, service_name
from controller.objects.views import ServiceView
from controller.raycluster.model import parse_spec
from tests.support.builders import cluster, raw_spec, service

CLUSTER = cluster()
SPEC = parse_spec(CLUSTER.spec)


def test_the_service_is_what_legacy_clients_expect() -> None:
    built = build_service(CLUSTER, SPEC)
    assert service_name(CLUSTER) == built["metadata"]["name"] == "example-ray-head"
    assert built["metadata"]["labels"] == {"ray-cluster-name": "example"}
    assert built["metadata"]["ownerReferences"][0]["uid"] == CLUSTER.uid
    assert built["spec"] == {
        "selector": {"cluster.ray.io/component": "example-ray-head"},
        "ports": [
            {"name": "client", "port": 10001, "targetPort": 10001, "protocol": "TCP"},
            {"name": "dashboard", "port": 8265, "targetPort": 8265, "protocol": "TCP"},
            {"name": "ray-serve", "port": 8000, "targetPort": 8000, "protocol": "TCP"},
        ],
    }


def test_a_service_as_made_is_current_and_what_the_api_server_adds_does_not_matter() -> None:
    raw = build_service(CLUSTER, SPEC)
    raw["metadata"] |= {"uid": "u", "resourceVersion": "1"}
    raw["spec"] |= {"clusterIP": "10.96.0.9", "type": "ClusterIP", "sessionAffinity": "None"}
    raw["spec"]["ports"][0]["nodePort"] = 30001
    assert is_current(ServiceView.from_object(raw), CLUSTER, SPEC)


def test_other_ports_or_another_selector_are_outdated() -> None:
    wanted = parse_spec(raw_spec(headServicePorts=[{"name": "client", "port": 1, "targetPort": 10001}]))
    assert not is_current(service(), CLUSTER, wanted)
    extra = (*service().selector, ("app", "mine"))
    assert not is_current(replace(service(), selector=extra), CLUSTER, SPEC)
