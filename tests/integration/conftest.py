from __future__ import annotations

from collections.abc import Iterator, Mapping
from uuid import uuid4

import pytest
import yaml
from browser import browser
from playwright.sync_api import Browser
from unpacked import CannotUnpackError

from tests.support import control_plane
from tests.support.apiserver import ApiServer
from tests.support.kube import Kube
from tests.support.operator import OperatorProcess
from tests.support.prerequisites import ROOT, cannot_run


@pytest.fixture(scope="session")
def environment(run_name: str) -> Mapping[str, str]:
    """The control plane, and tools that fit it. Its fake nodes take pods that tolerate their taint."""
    return control_plane.start(run_name, "main", "--kwok", "4")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A real browser, for modules of the group ``browser``: while it is there, its process cannot use asyncio."""
    try:
        with browser() as started:
            yield started
    except CannotUnpackError as error:
        cannot_run(f"there is no Chromium on PATH, and {error}")


@pytest.fixture
def kube(environment: Mapping[str, str]) -> Iterator[Kube]:
    """kubectl in a namespace of the test's own."""
    kube = Kube(environment, f"test-{uuid4().hex[:8]}")
    server, path = ApiServer(environment["KUBECONFIG"]), "/api/v1/namespaces"
    server.ask("POST", path, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": kube.namespace}})
    yield kube
    server.ask("DELETE", f"{path}/{kube.namespace}")


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
