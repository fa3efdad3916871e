"""Values that the API server would refuse, or that would leave a cluster cut off: the chart says so by itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
import yaml

from tests.support.chart import CHART, helm, one, render
from tests.support.kube import Kube, KubectlError

BUDGET: dict[str, Any] = {"enabled": True, "minAvailable": "", "maxUnavailable": ""}
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a policy that cannot know where the operator is": (
        {"clusterOnly": True, "networkPolicy": {"enabled": True}},
        "it lets the operator in, which this release does not hold; set operatorNamespace to the operator's namespace,",
    ),
    "source ranges without a load balancer": (
        {"externalService": {"type": "NodePort", "loadBalancerSourceRanges": ["10.0.0.0/8"]}},
        "SourceRanges: a Service of the type NodePort has none; use the type LoadBalancer, or networkPolicy",
    ),
    "a head of two pods": (
        {"podTypes": {"rayHeadType": {"hosts": 2}}},
        "podTypes.rayHeadType.hosts: 2 is for workers, and the head is one pod; remove it",
    ),
    "a budget that says nothing": (
        {"operatorPodDisruptionBudget": BUDGET},
        "operatorPodDisruptionBudget: minAvailable and maxUnavailable are both empty; give one of them",
    ),
}
# Beside the same switches, what is right.
TAKEN: list[dict[str, Any]] = [
    {"clusterOnly": True, "networkPolicy": {"enabled": True}, "operatorNamespace": "ray-system"},
    {"clusterOnly": True, "networkPolicy": {"enabled": True}, "namespacedOperator": True},
    {"networkPolicy": {"enabled": True}},
    {"operatorOnly": True, "networkPolicy": {"enabled": True}},
    {"externalService": {"loadBalancerSourceRanges": ["10.0.0.0/8"]}},
    {"externalService": {"type": "LoadBalancer", "loadBalancerSourceRanges": ["10.0.0.0/8"]}},
    {"podTypes": {"rayHeadType": {"hosts": 1}, "rayWorkerType": {"hosts": 2}}},
    {"operatorPodDisruptionBudget": {**BUDGET, "enabled": False}},
    {"operatorPodDisruptionBudget": {**BUDGET, "minAvailable": 0}},
    {"operatorPodDisruptionBudget": {**BUDGET, "maxUnavailable": 0}},
    {"operatorPodDisruptionBudget": BUDGET, "clusterOnly": True},
]


@pytest.mark.parametrize("mistake", REFUSED)
def test_refused_with_field_value_and_remedy(environment: Mapping[str, str], mistake: str) -> None:
    values, complaint = REFUSED[mistake]
    done = helm(environment, "template", "x", str(CHART), "-f", "-", stdin=yaml.safe_dump(values))
    assert done.returncode != 0
    assert complaint in done.stderr


@pytest.mark.parametrize("values", TAKEN, ids=str)
def test_its_neighbours_are_taken(environment: Mapping[str, str], values: dict[str, Any]) -> None:
    assert render(environment, "ray", values=values)


def test_the_api_server_refuses_source_ranges_without_a_load_balancer(kube: Kube) -> None:
    """So the chart's refusal keeps nobody from anything."""
    values = {"externalService": {"type": "LoadBalancer", "loadBalancerSourceRanges": ["10.0.0.0/8"]}}
    service = one(render(kube.environment, kube.namespace, values=values), "Service")
    service["spec"]["type"] = "NodePort"
    with pytest.raises(KubectlError, match="LoadBalancerSourceRanges: Forbidden"):
        kube.run("apply", "--dry-run=server", "-f", "-", stdin=json.dumps(service))


@pytest.mark.parametrize(
    ("values", "namespace"),
    [
        ({}, "default"),
        ({"operatorNamespace": "ray-system"}, "ray-system"),
        ({"clusterOnly": True, "operatorNamespace": "ray-system"}, "ray-system"),
        ({"clusterOnly": True, "namespacedOperator": True}, "ray"),
    ],
)
def test_the_policy_of_a_cluster_lets_its_operator_in(
    environment: Mapping[str, str], values: dict[str, Any], namespace: str
) -> None:
    objects = render(environment, "ray", values={**values, "networkPolicy": {"enabled": True}})
    (rule,) = one(objects, "NetworkPolicy", "example-cluster-ray")["spec"]["ingress"]
    assert rule["from"][1] == {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        "podSelector": {"matchLabels": {"cluster.ray.io/component": "operator"}},
    }
