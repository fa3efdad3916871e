"""A real Prometheus finds operator and Ray nodes by the annotations that the chart gives them, and has data of both."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support.chart import CHART, helm, settings
from tests.support.kube import Kube, eventually
from tests.support.prerequisites import cannot_run
from tests.support.prometheus import Prometheus

NAMESPACE, RELEASE = "ray", "example-cluster"
VALUES = ("namespacedOperator=true", "podTypes.rayWorkerType.minWorkers=1", "podTypes.rayWorkerType.CPU=500m")


@pytest.fixture
def kube(environment: Mapping[str, str]) -> Iterator[Kube]:
    """A namespaced operator, and a cluster of a head and a worker."""
    if os.environ.get("CLUSTER") == "current":
        cannot_run("pods of a cluster elsewhere cannot be scraped from here")
    kube = Kube(environment, NAMESPACE)
    try:
        done = helm(
            environment, "-n", NAMESPACE, "install", RELEASE, str(CHART), "--create-namespace", *settings(*VALUES)
        )
        assert done.returncode == 0, done.stderr
        kube.run("wait", "--for=condition=Ready", f"raycluster/{RELEASE}", "--timeout=540s")
        yield kube
    finally:
        kube.run("delete", "namespace", NAMESPACE, "--ignore-not-found", "--timeout=540s")


def annotated(kube: Kube) -> dict[str, Any]:
    """What Prometheus makes of the annotations; Debian's cannot ask Kubernetes by itself."""
    found = []
    for pod in kube.list("pods"):
        annotations = pod["metadata"].get("annotations", {})
        if annotations.get("prometheus.io/scrape") == "true":
            target = f"{pod['status']['podIP']}:{annotations['prometheus.io/port']}"
            kind = pod["metadata"]["labels"].get("ray-node-type", "operator")
            found.append({"targets": [target], "labels": {"kind": kind}})
    return {"job_name": "pods", "static_configs": found}


def test_prometheus_has_data_of_the_operator_and_of_every_ray_node(kube: Kube, tmp_path: Path) -> None:
    """Each node tells of its CPUs, and the operator of both nodes."""
    prometheus = Prometheus(tmp_path, annotated(kube))
    try:
        told = "count by (kind) (ray_node_cpu_count)"
        eventually(lambda: {s["metric"]["kind"] for s in prometheus.query(told)} == {"head", "worker"}, within=120)
        ready = f'sum(ray_operator_nodes{{raycluster="{RELEASE}",state="ready"}})'
        eventually(lambda: [s["value"][1] for s in prometheus.query(ready)] == ["2"])
    finally:
        prometheus.close()
