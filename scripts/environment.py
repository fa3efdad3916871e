"""Gets a Kubernetes cluster ready for the demo and the tests: nodes, tools, images."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import aside
from aside import PrerequisiteError, failed

__all__ = ["PrerequisiteError"]

ROOT = Path(__file__).resolve().parent.parent
LOCAL = str(ROOT / "scripts" / "local-kubernetes")
BUILD_IMAGE = str(ROOT / "scripts" / "build-image")


def prepare(cluster: str, *, name: str = "ray", say: Callable[[str], None]) -> dict[str, str]:
    """A cluster that is up and has the images. Returns the environment for kubectl, helm and the programs.

    Raises:
        PrerequisiteError: it cannot be had on this machine.
    """
    if cluster == "current":
        say("The cluster that KUBECONFIG points to")
        return current()
    say("A local Kubernetes")
    with aside.started([BUILD_IMAGE, "ray"], [BUILD_IMAGE, "operator"]) as images:
        captured(LOCAL, "up", "--name", name)
        say("Images: Ray and the operator")
        archives = [printed.strip() for printed in images.results()]
    captured(LOCAL, "load-image", "--name", name, *archives)
    env = local(name)
    renew_operator(env, archives[1])
    return env


def local(name: str = "ray") -> dict[str, str]:
    """The environment that reaches a local cluster."""
    tools = captured(LOCAL, "binaries", "--for", "tools").strip()
    kubeconfig = captured(LOCAL, "kubeconfig", "--name", name).strip()
    return {**os.environ, "KUBECONFIG": kubeconfig, "PATH": _path(tools)}


def current() -> dict[str, str]:
    """The environment that reaches the cluster the user's kubeconfig points to.

    Raises:
        PrerequisiteError: there is none, or a tool is missing.
    """
    env = {**os.environ, "PATH": _path()}
    for tool in ("kubectl", "helm"):
        if shutil.which(tool, path=env["PATH"]) is None:
            raise PrerequisiteError(f"{tool} is not on PATH; install it, or use the local cluster (CLUSTER=local)")
    done = subprocess.run(["kubectl", "get", "nodes"], env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no answer"])[-1]
        raise PrerequisiteError(f"the current cluster does not answer ({reason}); set KUBECONFIG")
    return env


def shell_setup(cluster: str) -> str:
    """What to type so that kubectl and helm reach the cluster from a shell."""
    if cluster == "current":
        return "nothing, it is your current cluster"
    tools = "PATH=$(scripts/local-kubernetes binaries --for tools):$PATH"
    return f"export KUBECONFIG=$(scripts/local-kubernetes kubeconfig) {tools}"


def renew_operator(env: dict[str, str], archive: str) -> None:
    """Restart an operator of an earlier run if it is not the one whose image was just loaded."""
    which = ["kubectl", "get", "pod", "-l", "cluster.ray.io/component=operator"]
    image = [*which, "-o", "jsonpath={.items[*].status.containerStatuses[*].imageID}"]
    running = subprocess.run(image, env=env, capture_output=True, text=True, check=True).stdout.split()
    if all(image_digest(archive) in image_id for image_id in running):
        return
    subprocess.run(["kubectl", "rollout", "restart", "deployment/ray-operator"], env=env, check=True)
    wait = ["kubectl", "rollout", "status", "deployment/ray-operator", "--timeout=120s"]
    subprocess.run(wait, env=env, check=True)


def image_digest(archive: str) -> str:
    """The image's id, as containerd reports it for a pod: the digest of its configuration."""
    with tarfile.open(archive) as tar:
        manifest = tar.extractfile("manifest.json")
        assert manifest is not None
        return Path(json.load(manifest)[0]["Config"]).stem


def captured(*command: str) -> str:
    """What a step prints on stdout; its progress, on stderr, goes to the user.

    Raises:
        PrerequisiteError: it failed, having said why.
    """
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise failed(command)
    return done.stdout


def _path(*first: str) -> str:
    """PATH with our tools and this interpreter before everything else."""
    return os.pathsep.join([*first, str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
