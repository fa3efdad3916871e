from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from uuid import uuid4

import environment as cluster_environment
import pytest
import yaml

from tests.support.kube import Kube, eventually
from tests.support.operator import OperatorProcess
from tests.support.prerequisites import ROOT, local_kubernetes


@pytest.fixture(scope="session")
def environment() -> Iterator[Mapping[str, str]]:
    """A control plane of its own, without nodes, and tools that fit it."""
    with control_plane(f"test-{os.getpid()}") as env:
        yield env


@pytest.fixture(scope="session")
def fake_nodes() -> Iterator[Mapping[str, str]]:
    """Another one, with nodes on which pods look as if they ran."""
    with control_plane(f"test-{os.getpid()}-nodes", "--kwok", "4") as env:
        yield env


@contextmanager
def control_plane(name: str, *options: str) -> Iterator[Mapping[str, str]]:
    """A control plane that knows RayClusters, and the environment of its users."""
    local_kubernetes("binaries", "--for", "tools")
    try:
        local_kubernetes("up", "--control-plane-only", "--name", name, *options)
        env = cluster_environment.local(name)
        subprocess.run(["kubectl", "apply", "-f", ROOT / "charts/ray/crds"], env=env, check=True, capture_output=True)
        # kubectl does not wait for conditions of what has none yet.
        wait = ("wait", "--for=condition=Established", "crd/rayclusters.cluster.ray.io", "--timeout=30s")
        eventually(lambda: Kube(env).run(*wait))
        yield env
    finally:
        local_kubernetes("down", "--name", name)


@pytest.fixture
def kube(environment: Mapping[str, str]) -> Kube:
    """kubectl in a namespace of the test's own."""
    kube = Kube(environment, f"test-{uuid4().hex[:8]}")
    kube.run("create", "namespace", kube.namespace)
    return kube


@pytest.fixture
def operator(kube: Kube) -> Iterator[OperatorProcess]:
    """The operator as a process, looking after the test's namespace."""
    process = OperatorProcess(kube.environment, kube.namespace)
    process.start()
    yield process
    assert process.stop() == 0


@pytest.fixture
def example() -> dict[str, object]:
    """The example RayCluster: a head and two workers."""
    loaded: dict[str, object] = yaml.safe_load((ROOT / "manifests/example_cluster.yaml").read_text())
    return loaded
