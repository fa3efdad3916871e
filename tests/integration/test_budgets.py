"""PodDisruptionBudgets of workers, and the scale that Kubernetes counts from; the test plays the kubelet."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.kube import Kube, KubectlError, eventually, names
from tests.support.operator import OperatorProcess
from tests.support.raycluster import NAME, WORKER, running

SELECTOR = {"ray-cluster-name": NAME, "ray-node-type": "worker"}


def of_fixed_size(example: dict[str, Any], workers: int) -> dict[str, Any]:
    head, worker = example["spec"]["podTypes"]
    types = [head, {**worker, "minWorkers": workers, "maxWorkers": workers}]
    return {**example, "spec": {**example["spec"], "podTypes": types, "maxWorkers": workers}}


def budget(**rule: Any) -> dict[str, Any]:
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "workers"},
        "spec": {"selector": {"matchLabels": SELECTOR}, **rule},
    }


def evict(kube: Kube, name: str) -> None:
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}}
    path = f"/api/v1/namespaces/{kube.namespace}/pods/{name}/eviction"
    kube.run("create", "--raw", path, "-f", "-", stdin=json.dumps(body))


@pytest.mark.parametrize("rule", [{"maxUnavailable": "30%"}, {"minAvailable": "70%"}, {"maxUnavailable": 3}])
def test_a_budget_counts_from_the_clusters_scale(
    kube: Kube, operator: OperatorProcess, example: dict[str, Any], rule: dict[str, Any]
) -> None:
    kube.apply(of_fixed_size(example, 10), budget(**rule))
    running(kube, 10)

    def status() -> dict[str, Any]:
        found: dict[str, Any] = kube.get("pdb", "workers")["status"]
        return {k: found[k] for k in ("expectedPods", "desiredHealthy", "currentHealthy", "disruptionsAllowed")}

    expected = {"expectedPods": 10, "desiredHealthy": 7, "currentHealthy": 10, "disruptionsAllowed": 3}
    eventually(lambda: status() == expected)
    workers = names(kube.list("pods", WORKER))
    for name in workers[:3]:
        evict(kube, name)
    with pytest.raises(KubectlError, match="disruption budget"):
        evict(kube, workers[3])


def test_scale_shows_the_workers_and_sets_the_most_of_them(
    kube: Kube, operator: OperatorProcess, example: dict[str, Any]
) -> None:
    """What is less than the minimums is refused, in the words of the rule."""
    kube.apply(of_fixed_size(example, 2))
    running(kube, 2)
    shown = json.loads(kube.run("get", "raycluster", NAME, "--subresource=scale", "-o", "json"))
    assert (shown["kind"], shown["spec"]["replicas"], shown["status"]["replicas"]) == ("Scale", 2, 2)
    assert len(kube.list("pods", shown["status"]["selector"])) == 2
    kube.run("scale", "raycluster", NAME, "--replicas=5")
    assert kube.get("raycluster", NAME)["spec"]["maxWorkers"] == 5
    with pytest.raises(KubectlError, match="lower minWorkers"):
        kube.run("scale", "raycluster", NAME, "--replicas=1")
    eventually(lambda: kube.get("raycluster", NAME)["status"]["observedGeneration"] == 2)
    assert len(kube.list("pods", WORKER)) == 2
