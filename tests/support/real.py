"""What tests on real nodes do again and again: an operator, Ray Client through a forwarded port, Ray's own commands."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO

from tests.support.kube import Kube, eventually
from tests.support.manifests import Object

HEAD = "ray-node-type=head"
# What an operator may be, and the condition of one that runs.
RUNNING = {"Deployment": "Available", "Pod": "Ready"}
# How a Ray program begins.
CONNECT = """
import sys
import ray

for attempt in range(5):
    try:
        ray.init(sys.argv[1])
        break
    except ConnectionError:
        # Ray's proxy forks a server for its client beside threads of its own, and now and then that server ends.
        continue
"""


@contextmanager
def operator(kube: Kube, objects: Sequence[Object]) -> Iterator[None]:
    """An operator by its manifest's objects, in the namespace of ``kube``. Its log is shown in the end."""
    kube.apply(*objects)
    ((kind, name),) = ((o["kind"], o["metadata"]["name"]) for o in objects if o["kind"] in RUNNING)
    try:
        kube.run("wait", f"--for=condition={RUNNING[kind]}", f"{kind}/{name}", "--timeout=360s")
        yield
        print(kube.run("logs", f"{kind}/{name}", "--tail=200"))
    finally:
        for obj in reversed(objects):
            kube.run("delete", obj["kind"], obj["metadata"]["name"], "--ignore-not-found")


@contextmanager
def namespaces(kube: Kube, *names: str) -> Iterator[list[Kube]]:
    """kubectl in new namespaces, which are deleted in the end with all that is in them."""
    try:
        for name in names:
            kube.run("create", "namespace", name)
        yield [Kube(kube.environment, name) for name in names]
    finally:
        kube.run("delete", "namespace", *names, "--ignore-not-found", "--timeout=360s")


def ready(kube: Kube, *clusters: str, seconds: int = 300) -> None:
    """Wait until RayClusters are ready as they are wanted now."""
    for cluster in clusters:
        eventually(lambda name=cluster: observed(kube, name))  # type: ignore[misc]
        kube.run("wait", "--for=condition=Ready", f"raycluster/{cluster}", f"--timeout={seconds}s")


def observed(kube: Kube, cluster: str) -> bool:
    """Whether the operator has seen the RayCluster as it is now."""
    found = kube.get("raycluster", cluster)
    return bool(found.get("status", {}).get("observedGeneration") == found["metadata"]["generation"])


def head(kube: Kube, cluster: str) -> Object:
    """The head's pod, of which there is one."""
    found = kube.list("pods", f"{HEAD},ray-cluster-name={cluster}")
    assert len(found) == 1, f"{cluster} has {len(found)} heads"
    return found[0]


def on_head(kube: Kube, cluster: str, *command: str) -> str:
    """What a command prints in the head's container."""
    return kube.run("exec", head(kube, cluster)["metadata"]["name"], "--", *command)


def message(kube: Kube, cluster: str) -> str:
    """Why the RayCluster is not ready, as its status says; empty before the operator has seen it."""
    conditions = kube.get("raycluster", cluster).get("status", {}).get("conditions", [])
    return next((str(c["message"]) for c in conditions if c["type"] == "Ready"), "")


@contextmanager
def forwarded(kube: Kube, service: str, port: int) -> Iterator[int]:
    """A port of this machine that leads to a Service's port."""
    command = ["kubectl", "-n", kube.namespace, "port-forward", f"service/{service}", f":{port}"]
    with subprocess.Popen(command, env=dict(kube.environment), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            found = re.search(r"127\.0\.0\.1:(\d+)", process.stdout.readline())
            assert found, f"{' '.join(command)} does not forward"
            yield int(found[1])
        finally:
            process.terminate()


class Program:
    """A Ray program on this machine, connected through Ray Client, that answers one line for each it is sent."""

    def __init__(self, stdin: IO[str], stdout: IO[str]) -> None:
        self._stdin, self._stdout = stdin, stdout

    def ask(self, question: str = "") -> str:
        """Send a line; the program's answer."""
        print(question, file=self._stdin, flush=True)
        return self.answer()

    def answer(self) -> str:
        """The next answer. Ray may print other lines in between."""
        for line in self._stdout:
            if line.startswith("answer "):
                return line.removeprefix("answer ").strip()
        raise AssertionError("the Ray program ended without an answer")


@contextmanager
def program(source: str, port: int, *arguments: str) -> Iterator[Program]:
    """Run a program; its first argument is the address for ``ray.init``. It is ended in the end."""
    command = [sys.executable, "-c", CONNECT + source, f"ray://127.0.0.1:{port}", *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin and process.stdout
        try:
            yield Program(process.stdin, process.stdout)
        finally:
            process.kill()
