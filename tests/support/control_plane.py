"""Control planes without nodes, each shared by all processes of a test run.

The first process that needs one starts it; the others wait for that and use it too; the main process ends them all.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import environment as cluster_environment

from .prerequisites import ROOT, local_kubernetes

# Fake nodes take only pods that tolerate this, so that other pods wait for the test that plays their kubelet.
FAKE_NODES = ("taint", "node", "--all", "--overwrite", "kwok.x-k8s.io/node=fake:NoSchedule")


def start(run: str, purpose: str, *options: str) -> Mapping[str, str]:
    """A control plane that knows RayClusters. Returns the environment of its users.

    ``run`` names the test run, ``purpose`` the plane within it; ``options`` are those of ``local-kubernetes up``.
    """
    name = f"{run}-{purpose}"
    record = _folder() / f"{name}.plane"
    with _alone():
        if not record.exists() or not record.read_text():
            record.touch()
            _start(name, options)
            record.write_text("up")
        return cluster_environment.local(name)


def _start(name: str, options: Sequence[str]) -> None:
    local_kubernetes("binaries", "--for", "tools")
    local_kubernetes("up", "--control-plane-only", "--name", name, *options)
    env = cluster_environment.local(name)
    if "--kwok" in options:
        _kubectl(env, *FAKE_NODES)
    _kubectl(env, "apply", "-f", str(ROOT / "charts/ray/crds"))
    for condition in ("create", "condition=Established"):
        _kubectl(env, "wait", f"--for={condition}", "crd/rayclusters.cluster.ray.io", "--timeout=180s")


def end(run: str) -> None:
    """End every control plane of a run."""
    for record in sorted(_folder().glob(f"{run}-*.plane")):
        local_kubernetes("down", "--name", record.stem)
        record.unlink()


def _folder() -> Path:
    return Path(tempfile.gettempdir())


@contextmanager
def _alone() -> Iterator[None]:
    """One plane of a user is started at a time: each looks for a port that is free."""
    with (_folder() / f"control-planes-{os.getuid()}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _kubectl(env: Mapping[str, str], *arguments: str) -> None:
    subprocess.run(["kubectl", *arguments], env=dict(env), check=True, capture_output=True)
