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


def exists(name: str) -> bool:
    """Whether there is a local cluster of this name, in whatever state."""
    status = subprocess.run([LOCAL, "status", "--name", name], capture_output=True, text=True, check=False)
    return bool(status.stdout.strip())


def is_free(name: str) -> bool:
    """Whether a local cluster that exists is well and nobody's: one with a stopped node is in somebody's hands."""
    status = subprocess.run([LOCAL, "status", "--name", name], capture_output=True, check=False)
    return status.returncode == 0 and not in_use(cluster_environment.local(name))


def in_use(environment: Mapping[str, str]) -> bool:
    """Whether somebody has an operator or Ray clusters there: the guide's names are taken."""
    # Any RayCluster will do; the kind is not known to a cluster that never had an operator, and nothing is printed.
    taken = {
        "deployments": ("ray-operator",),
        "namespaces": (
            "ray",
            "ray-system",
            "ray-autoscaling",
            "ray-suspend",
            "ray-recovery",
            "ray-interruptions",
            "ray-mesh",
            "ray-hosts",
            "ray-idle",
            "ray-libraries",
            "ray-converted",
        ),
        "rayclusters": (),
    }
    for kind, names in taken.items():
        command = ["kubectl", "get", kind, "-A", "-o", "name", "--ignore-not-found"]
        printed = subprocess.run(command, env=dict(environment), capture_output=True, text=True, check=False).stdout
        found = [line.split("/")[-1] for line in printed.splitlines()]
        if any(name in names or not names for name in found):
            return True
    return False


@pytest.fixture(scope="session")
def local_name(worker_id: str) -> str:
    """The local cluster to use: the usual one if it is free, else a spare one; empty for the user's current cluster.

    Of several processes that run tests, each but the first has a cluster of its own.
    """
    if os.environ.get("CLUSTER") == "current":
        return ""
    if worker_id not in ("master", "gw0"):
        return f"{SPARE_NAME}-{worker_id.removeprefix('gw')}"
    return SPARE_NAME if exists(LOCAL_NAME) and not is_free(LOCAL_NAME) else LOCAL_NAME


@pytest.fixture(scope="session")
def environment(local_name: str) -> Iterator[Mapping[str, str]]:
    """A cluster with real nodes and the images."""
    if not local_name:
        environment = cluster_environment.prepare("current", say=print)
        if in_use(environment):
            cannot_run(
                "the current cluster has a Ray operator, RayClusters or the namespace ray; tests need it without"
            )
        yield environment
        return
    was_there = exists(local_name)
    local_kubernetes("up", "--name", local_name)
    try:
        yield cluster_environment.prepare("local", name=local_name, say=print)
    except cluster_environment.PrerequisiteError as error:
        cannot_run(str(error))
    finally:
        if not was_there:
            local_kubernetes("down", "--name", local_name)
