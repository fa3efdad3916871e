"""Forty releases with different values: every object is valid for each Kubernetes that the chart is for."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import kubernetes_validate
import pytest

from controller.cli.checks import check
from tests.integration.test_chart_pods import FULL
from tests.support.chart import render

OLDEST, NEWEST = "1.28", "1.37"
PEERS = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}]
# Each is in about half of the releases.
CHOICES: list[dict[str, Any]] = [
    {"namespacedOperator": True, "watchNamespaces": ["a", "b"]},
    {"restricted": True},
    {"podTypes": {"rayWorkerType": FULL}},
    {"podTypes": {"gpu": {"minWorkers": 1, "maxWorkers": 2, "CPU": 4, "memory": "8Gi", "GPU": 1}}},
    {"imagePullSecrets": [{"name": "registry"}], "operatorImage": "registry.example.com/ray-operator:1"},
    {"operatorImageDigest": "sha256:" + "0" * 64},
    {
        "headServicePorts": [{"name": "metrics", "port": 8080, "targetPort": 8080}],
        "externalService": {"type": "NodePort"},
    },
    {
        "externalService": {
            "type": "LoadBalancer",
            "annotations": {"a": "b"},
            "loadBalancerSourceRanges": ["10.0.0.0/8"],
        }
    },
    {"operatorShards": 4},
    {"operatorReplicas": 3, "operatorPodDisruptionBudget": {"enabled": True, "minAvailable": "50%"}},
    {"operatorUpdateStrategy": {"type": "Recreate"}},
    {"operatorTopologySpreadConstraints": [], "operatorAffinity": {"podAntiAffinity": {}}},
    {
        "operatorNodeSelector": {"a": "b"},
        "operatorTolerations": [{"operator": "Exists"}],
        "operatorPriorityClassName": "high",
    },
    {"operatorPodLabels": {"a": "b"}, "operatorPodAnnotations": {"a": "b"}, "operatorLogFormat": "json"},
    {
        "operatorExtraArgs": ["--workers=8"],
        "operatorExtraEnv": [{"name": "A", "value": "b"}],
        "operatorLogLevel": "debug",
    },
    {
        "operatorExtraVolumes": [{"name": "ca", "configMap": {"name": "ca"}}],
        "operatorExtraVolumeMounts": [{"name": "ca", "mountPath": "/ca"}],
    },
    {"operatorReadinessProbe": {"initialDelaySeconds": 5}, "operatorLivenessProbe": {"timeoutSeconds": 9}},
    {"operatorServiceAccount": {"create": False, "name": "mine"}},
    {"rbac": {"create": False}},
    {"rbac": {"aggregateRoles": True}},
    {"metricsTlsSecret": "tls", "rayCredentials": {"a": "secret-of-a"}},
    {
        "monitoring": {
            "serviceMonitor": True,
            "podMonitor": True,
            "rules": True,
            "dashboard": True,
            "namespace": "monitoring",
        }
    },
    {"monitoring": {"scrapeAnnotations": False, "interval": "15s"}},
    {"networkPolicy": {"enabled": True, "from": PEERS}, "operatorNamespace": "ray-system"},
    {"networkPolicy": {"enabled": True, "metricsFrom": PEERS}, "operatorNamespace": "ray-system"},
    {"commonLabels": {"team": "a"}, "commonAnnotations": {"team": "a"}},
    {"fullnameOverride": "mine", "nameOverride": "other"},
    {"operatorPodSecurityContext": {"runAsUser": 7}, "operatorSecurityContext": {"readOnlyRootFilesystem": False}},
]
SEEDS = range(40)


def chosen(seed: int) -> dict[str, Any]:
    """Values of one release. Maps are merged, as Helm does with several files."""
    pick = random.Random(seed)
    values: dict[str, Any] = pick.choice([{}, {}, {"operatorOnly": True}, {"clusterOnly": True}])
    for choice in CHOICES:
        if pick.random() < 0.5:
            values = merged(values, choice)
    return values


def merged(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Both, the other's values over the one's."""
    inner = {k: merged(one[k], v) for k, v in other.items() if isinstance(v, dict) and isinstance(one.get(k), dict)}
    return {**one, **other, **inner}


@pytest.mark.parametrize("seed", SEEDS)
def test_each_release_is_valid(environment: Mapping[str, str], seed: int) -> None:
    """Strictly: no unknown field, no wrong type. Kinds of others are checked for their metadata alone."""
    objects = render(environment, "ray", values=chosen(seed), tests=True)
    assert objects
    names = [(o["kind"], o["metadata"].get("namespace"), o["metadata"]["name"]) for o in objects]
    assert len(names) == len(set(names))
    for obj in objects:
        if obj["kind"] == "RayCluster":
            assert check(obj) == ()
        elif "monitoring.coreos.com" not in obj["apiVersion"]:
            for version in (OLDEST, NEWEST):
                kubernetes_validate.validate(obj, version, strict=True)
