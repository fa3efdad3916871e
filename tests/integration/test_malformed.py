"""docs/when-a-raycluster-is-wrong.md: its commands print what it shows, and no mistake disturbs another cluster.

``make docs-outputs`` writes what they print into the page.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import guide

from tests.support.kube import Kube, eventually
from tests.support.operator import OperatorProcess
from tests.support.page import with_outputs
from tests.support.prerequisites import ROOT
from tests.support.raycluster import HEAD

PAGE = ROOT / "docs/when-a-raycluster-is-wrong.md"
WRITING = bool(os.environ.get("WRITE_DOCS"))
# When the page is written, what is there after so many looks is taken for what stays.
LOOKS = 10
NODE_IP = "10.9.9.9"


def test_the_page_is_true_and_a_healthy_cluster_does_not_notice(
    kube: Kube, operator: OperatorProcess, tmp_path: Path
) -> None:
    """All mistakes in one namespace with a good cluster, which runs on with the same pods, and then grows."""
    environment = in_namespace(kube, tmp_path)
    kube.run("apply", "-f", str(ROOT / "tests/malformed/good.yaml"))
    eventually(lambda: len(workers_of(kube, "good")) == 1)
    kube.run_pods()
    eventually(lambda: kube.get("raycluster", "good")["status"]["phase"] == "Running")
    before = pods_of(kube, "good")
    commands = guide.parse(PAGE.read_text())
    files = {path.stem for path in (ROOT / "tests/malformed").glob("*.yaml")}
    assert {c.section for c in commands} == files - {"good"}
    printed = [shown(kube, environment, command) for command in commands]
    assert pods_of(kube, "good") == before
    assert kube.get("raycluster", "good")["status"]["phase"] == "Running"
    patch = json.dumps({"spec": {"podTypes": larger(kube.get("raycluster", "good")["spec"]["podTypes"])}})
    kube.run("patch", "raycluster", "good", "--type=merge", "-p", patch)
    eventually(lambda: len(workers_of(kube, "good")) == 2)
    if WRITING:
        PAGE.write_text(with_outputs(PAGE.read_text(), printed))
    else:
        compared = ((c.text, guide.match(c.output, p, {})) for c, p in zip(commands, printed, strict=True))
        assert [(text, wrong) for text, wrong in compared if wrong] == []


def shown(kube: Kube, environment: Mapping[str, str], command: guide.Command) -> str:
    """What a command prints. One that looks is repeated until it prints what the page shows."""
    looks = command.text.startswith(("kubectl get", "kubectl describe"))
    if looks and command.section == "no-such-image":
        play_the_kubelet(kube, command.section)
    seen = [output_of(command.text, environment)]

    def settled() -> bool:
        seen.append(output_of(command.text, environment))
        expected = tuple(seen[-LOOKS].splitlines()) if WRITING and len(seen) >= LOOKS else command.output
        return bool(expected) and not guide.match(expected, seen[-1], {})

    if looks:
        with contextlib.suppress(AssertionError):
            eventually(settled)
    return seen[-1]


def output_of(command: str, environment: Mapping[str, str]) -> str:
    """Everything that a command prints."""
    done = subprocess.run(
        ["/bin/bash", "-c", command],
        cwd=ROOT,
        env=dict(environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.stdout


def play_the_kubelet(kube: Kube, cluster: str) -> None:
    """Say of the worker's image what a kubelet says."""
    selector = f"{HEAD},ray-cluster-name={cluster}"
    eventually(lambda: kube.list("pods", selector))
    kube.run_pods(selector)
    message = 'Back-off pulling image "rayproject/ray:2.6.0.0": ErrImagePull: not found'
    state = {"waiting": {"reason": "ImagePullBackOff", "message": message}}
    container = {"name": "ray", "image": "", "imageID": "", "ready": False, "restartCount": 0, "state": state}
    # A kubelet knows its pods only when they are bound. Until then the real scheduler would say of them, now and then,
    # that no node has room. With an address they are nothing that a fake node's own kubelet would start.
    status = {"podIP": NODE_IP, "podIPs": [{"ip": NODE_IP}], "containerStatuses": [container]}
    for pod in eventually(lambda: workers_of(kube, cluster)):
        name = pod["metadata"]["name"]
        kube.set_pod_status(name, status)
        if "nodeName" not in pod["spec"]:
            kube.bind_pod(name, "kwok-node-0")


def workers_of(kube: Kube, cluster: str) -> list[dict[str, Any]]:
    """The worker pods of a cluster."""
    return kube.list("pods", f"ray-node-type=worker,ray-cluster-name={cluster}")


def pods_of(kube: Kube, cluster: str) -> set[str]:
    """The pods of a cluster, by uid."""
    return {pod["metadata"]["uid"] for pod in kube.list("pods", f"ray-cluster-name={cluster}")}


def larger(pod_types: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The pod types with one more worker."""
    return [{**t, "minWorkers": t["minWorkers"] + 1} if "minWorkers" in t else t for t in pod_types]


def in_namespace(kube: Kube, folder: Path) -> dict[str, str]:
    """An environment whose kubectl is in the test's namespace without being told."""
    config = json.loads(kube.run("config", "view", "--raw", "-o", "json"))
    for context in config["contexts"]:
        context["context"]["namespace"] = kube.namespace
    path = folder / "kubeconfig"
    path.write_text(json.dumps(config))
    return {**kube.environment, "KUBECONFIG": str(path)}
