"""``ray-operator status``, ``suspend`` and ``resume`` against a real API server, by a kubeconfig."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.support.kube import Kube, eventually
from tests.support.operator import OperatorProcess
from tests.support.raycluster import NAME, running

PROGRAMS = Path(sys.executable).parent


def command(environment: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command as users do."""
    words = [str(PROGRAMS / "ray-operator"), *arguments]
    return subprocess.run(words, env=dict(environment), capture_output=True, text=True, check=False)


def test_suspend_status_and_resume(kube: Kube, operator: OperatorProcess, example: dict[str, Any]) -> None:
    """Each shows in the next; the plugin of kubectl says the same."""
    kube.apply(example)
    running(kube)

    def say(*arguments: str) -> str:
        done = command(kube.environment, *arguments, "-n", kube.namespace)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    shown = say("status").splitlines()
    assert shown[0].split()[:2] == ["NAME", "PHASE"]
    assert shown[1].split()[:6] == [NAME, "Running", "2", "of", "2", "3"]
    assert "being suspended" in say("suspend", NAME)
    eventually(lambda: say("status").splitlines()[1].split()[1] == "Suspended")
    assert "Suspended True: Requested, spec.suspend is true" in say("status", NAME)
    path = os.pathsep.join([str(PROGRAMS), kube.environment["PATH"]])
    plugin = Kube({**kube.environment, "PATH": path}, kube.namespace)
    done = subprocess.run(
        ["kubectl", "ray-operator", "status", "-n", kube.namespace],
        env=dict(plugin.environment),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.splitlines()[1].split()[:2] == [NAME, "Suspended"], done.stderr
    assert "being resumed" in say("resume", NAME)
    running(kube)
    assert "Suspended False: Resumed" in say("status", NAME)


def test_what_is_not_there_and_what_is_forbidden_is_told_in_one_line(kube: Kube, tmp_path: Path) -> None:
    missing = command(kube.environment, "suspend", "-n", kube.namespace, "no-such")
    assert (missing.returncode, missing.stdout) == (1, "")
    assert f"there is no RayCluster no-such in the namespace {kube.namespace}" in missing.stderr
    kube.run("create", "serviceaccount", "guest")
    token = kube.run("create", "token", "guest").strip()
    config = yaml.safe_load(Path(kube.environment["KUBECONFIG"]).read_text())
    for user in config["users"]:
        user["user"] = {"token": token}
    (tmp_path / "config").write_text(yaml.safe_dump(config))
    guest = {**kube.environment, "KUBECONFIG": str(tmp_path / "config")}
    refused = command(guest, "status", "-n", kube.namespace)
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert "the API server forbids it" in refused.stderr and "Traceback" not in refused.stderr
    nowhere = command({**kube.environment, "KUBECONFIG": "/nowhere"}, "status")
    assert (nowhere.returncode, nowhere.stderr.count("\n")) == (1, 1)
    assert "no usable kubeconfig" in nowhere.stderr
