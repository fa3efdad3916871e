"""Namespaces that enforce the Pod Security profile "restricted": the operator's pods and Ray's."""

from __future__ import annotations

import json

import pytest

from tests.support.chart import one, render
from tests.support.kube import Kube, eventually
from tests.support.operator import OperatorProcess
from tests.support.raycluster import condition

ENFORCED = "pod-security.kubernetes.io/enforce=restricted"


@pytest.fixture
def restricted(kube: Kube) -> Kube:
    """A namespace that takes restricted pods only."""
    kube.run("label", "namespace", kube.namespace, ENFORCED)
    return kube


def test_the_operators_pods_are_admitted(restricted: Kube) -> None:
    """Its Deployment's, and those of helm test, as they come."""
    objects = render(restricted.environment, restricted.namespace, "namespacedOperator=true", tests=True)
    restricted.apply(one(objects, "ServiceAccount"))
    template = one(objects, "Deployment")["spec"]["template"]
    pod = {"apiVersion": "v1", "kind": "Pod", **template, "metadata": {**template["metadata"], "name": "operator"}}
    for made in (pod, one(objects, "Pod", "ray-operator-test")):
        restricted.run("create", "--dry-run=server", "-f", "-", stdin=json.dumps(made))


def test_a_cluster_for_restricted_namespaces_gets_its_pods(restricted: Kube, operator: OperatorProcess) -> None:
    """With the chart's restricted=true: head, workers and the pod of helm test."""
    objects = render(restricted.environment, restricted.namespace, "clusterOnly=true", "restricted=true", tests=True)
    restricted.apply(*objects)
    eventually(lambda: len(restricted.list("pods", "ray-cluster-name")) == 3)


def test_the_status_of_a_cluster_that_is_not_for_them_says_what_its_pods_lack(
    restricted: Kube, operator: OperatorProcess
) -> None:
    """The API server's words are in the status, and no pod was tried in vain."""
    restricted.apply(*render(restricted.environment, restricted.namespace, "clusterOnly=true"))
    eventually(lambda: 'violates PodSecurity "restricted' in condition(restricted, "SpecValid").get("message", ""))
    assert condition(restricted, "SpecValid")["reason"] == "PodRejected"
    assert restricted.list("pods") == []
