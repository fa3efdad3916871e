"""What the chart makes for Prometheus and Grafana, where it is asked to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import yaml

from tests.support.chart import CHART, one, render

KINDS = {"ServiceMonitor", "PodMonitor", "PrometheusRule", "ConfigMap"}
EVERYTHING = tuple(f"monitoring.{part}=true" for part in ("serviceMonitor", "podMonitor", "rules", "dashboard"))
RELEASE = {"monitoring": {"labels": {"release": "prometheus"}}}


def monitored(environment: Mapping[str, str], *assignments: str) -> list[dict[str, Any]]:
    """A release with everything for monitoring."""
    return render(environment, "ray", *EVERYTHING, *assignments, values=RELEASE)


def test_none_of_it_is_there_without_being_asked_for(environment: Mapping[str, str]) -> None:
    """A cluster without the Prometheus operator does not know these kinds."""
    kinds = {obj["kind"] for obj in render(environment, "ray")}
    assert "Deployment" in kinds and not kinds & KINDS
    assert not {obj["kind"] for obj in monitored(environment, "clusterOnly=true")} & KINDS


def test_the_monitors_find_what_they_are_for(environment: Mapping[str, str]) -> None:
    """By the labels and port names that Service, operator and Ray pods have."""
    objects = monitored(environment)
    service, monitor = one(objects, "Service", "ray-operator-metrics"), one(objects, "ServiceMonitor")
    template = one(objects, "Deployment")["spec"]["template"]
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert service["spec"]["selector"].items() <= template["metadata"]["labels"].items()
    ports = {port["name"] for port in template["spec"]["containers"][0]["ports"]}
    assert {service["spec"]["ports"][0]["targetPort"], monitor["spec"]["endpoints"][0]["port"]} == ports
    for pod_type in one(objects, "RayCluster")["spec"]["podTypes"]:
        named = {port.get("name") for port in pod_type["podConfig"]["spec"]["containers"][0]["ports"]}
        assert one(objects, "PodMonitor")["spec"]["podMetricsEndpoints"][0]["port"] in named


def test_ray_nodes_are_looked_for_where_the_operator_looks_after_them(environment: Mapping[str, str]) -> None:
    """Everywhere, in the release's namespace, or in those that are named."""
    cases = {
        (): {"any": True},
        ("namespacedOperator=true",): {"matchNames": ["ray"]},
        ("namespacedOperator=true", "watchNamespaces={a,b}"): {"matchNames": ["a", "b"]},
    }
    for assignments, expected in cases.items():
        objects = monitored(environment, *assignments)
        assert one(objects, "PodMonitor")["spec"]["namespaceSelector"] == expected


def test_rules_and_dashboard_are_those_of_the_files(environment: Mapping[str, str]) -> None:
    objects = monitored(environment)
    rules = yaml.safe_load((CHART / "monitoring/alerts.yaml").read_text())
    assert one(objects, "PrometheusRule")["spec"] == rules
    (text,) = one(objects, "ConfigMap", "ray-operator-dashboard")["data"].values()
    assert json.loads(text) == json.loads((CHART / "monitoring/dashboard.json").read_text())


def test_labels_by_which_prometheus_and_grafana_choose_are_on_all_of_them(environment: Mapping[str, str]) -> None:
    for obj in monitored(environment):
        if obj["kind"] in KINDS:
            assert obj["metadata"]["labels"]["release"] == "prometheus"


def test_an_operator_with_tls_is_asked_with_tls(environment: Mapping[str, str]) -> None:
    """And its certificate is checked."""
    (endpoint,) = one(monitored(environment, "metricsTlsSecret=tls"), "ServiceMonitor")["spec"]["endpoints"]
    assert endpoint["scheme"] == "https"
    assert endpoint["tlsConfig"]["ca"]["secret"] == {"name": "tls", "key": "ca.crt"}
    assert endpoint["tlsConfig"]["serverName"] == "ray-operator-metrics.default.svc"
