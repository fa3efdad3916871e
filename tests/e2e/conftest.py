from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping

import environment as cluster_environment
import pytest

from tests.support.prerequisites import LOCAL, cannot_run, local_kubernetes

LOCAL_NAME = "ray"
# Used when the usual local cluster is in somebody's hands.
SPARE_NAME = "test"


def is_up(name: str) -> bool:
    """Whether a local cluster of this name runs."""
    return subprocess.run([LOCAL, "status", "--name", name], capture_output=True, check=False).returncode == 0


def in_use(environment: Mapping[str, str]) -> bool:
    """Whether somebody has an operator or Ray clusters there: the guide's names are taken."""
    command = ["kubectl", "get", "deployments,rayclusters,namespaces", "-A", "-o", "name", "--ignore-not-found"]
    printed = subprocess.run(command, env=dict(environment), capture_output=True, text=True, check=False).stdout
    taken = ("/ray-operator", "raycluster.cluster.ray.io/", "namespace/ray")
    return any(line.endswith(taken[0]) or line.startswith(taken[1:]) for line in printed.splitlines())


@pytest.fixture(scope="session")
def environment() -> Iterator[Mapping[str, str]]:
    """A cluster with real nodes and the images: the local one if it is free, else a spare one beside it."""
    if os.environ.get("CLUSTER") == "current":
        yield cluster_environment.prepare("current", say=print)
        return
    was_up = is_up(LOCAL_NAME)
    name = SPARE_NAME if was_up and in_use(cluster_environment.local(LOCAL_NAME)) else LOCAL_NAME
    try:
        local_kubernetes("up", "--name", name)
        try:
            yield cluster_environment.prepare("local", name=name, say=print)
        except cluster_environment.PrerequisiteError as error:
            cannot_run(str(error))
    finally:
        if not was_up or name == SPARE_NAME:
            local_kubernetes("down", "--name", name)
