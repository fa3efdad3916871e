"""A real API server as tests see it: kubectl, and waiting for what must become true."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")


class KubectlError(AssertionError):
    """kubectl failed; the message holds what it said."""


@dataclass(frozen=True)
class Kube:
    """kubectl in one namespace, with an environment that holds KUBECONFIG and PATH."""

    environment: Mapping[str, str]
    namespace: str = "default"

    def run(self, *arguments: str, stdin: str | None = None) -> str:
        """What kubectl prints.

        Raises:
            KubectlError: it failed.
        """
        done = subprocess.run(
            ["kubectl", "-n", self.namespace, *arguments],
            env=dict(self.environment),
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise KubectlError(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def apply(self, *objects: Mapping[str, Any]) -> str:
        """Apply objects."""
        return self.run("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))

    def get(self, resource: str, name: str) -> dict[str, Any]:
        """One object."""
        found: dict[str, Any] = json.loads(self.run("get", resource, name, "-o", "json"))
        return found

    def list(self, resource: str, selector: str = "") -> list[dict[str, Any]]:
        """The objects of the namespace that are not on their way out, in name order."""
        items = json.loads(self.run("get", resource, "-l", selector, "-o", "json"))["items"]
        live = (i for i in items if "deletionTimestamp" not in i["metadata"])
        return sorted(live, key=lambda i: str(i["metadata"]["name"]))

    def set_pod_status(self, name: str, status: Mapping[str, Any]) -> None:
        """Say what a kubelet would say about a pod."""
        patch = json.dumps({"status": status})
        self.run("patch", "pod", name, "--subresource=status", "--type=merge", "-p", patch)

    def bind_pod(self, name: str, node: str) -> None:
        """Say what the scheduler would say about a pod: it goes to a node. The scheduler says nothing more then."""
        path = f"/api/v1/namespaces/{self.namespace}/pods/{name}/binding"
        binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": name}}
        self.run("create", "--raw", path, "-f", "-", stdin=json.dumps({**binding, "target": {"name": node}}))

    def run_pods(self, selector: str = "") -> None:
        """Play the kubelet: every pod that waits becomes running and ready."""
        for number, pod in enumerate(self.list("pods", selector), start=1):
            if pod["status"].get("phase") == "Pending":
                self.set_pod_status(pod["metadata"]["name"], running(f"10.9.8.{number}"))


def running(ip: str) -> dict[str, Any]:
    """The status of a pod whose containers are up."""
    return {
        "phase": "Running",
        "podIP": ip,
        "podIPs": [{"ip": ip}],
        "conditions": [{"type": "Ready", "status": "True"}],
    }


def names(objects: Sequence[Mapping[str, Any]]) -> list[str]:
    """The objects' names."""
    return [o["metadata"]["name"] for o in objects]


def eventually(look: Callable[[], T], *, within: float = 180.0) -> T:
    """Look again and again until something true is seen, and return it.

    What a look asserts, what kubectl complains about, and a field that is not there are taken as "not yet".

    Raises:
        AssertionError: it was not seen in time.
    """
    deadline = time.monotonic() + within
    while True:
        problem: object = None
        try:
            seen = look()
            if seen:
                return seen
        except (AssertionError, KeyError) as error:
            problem = error
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within:.0f} s: {problem or 'still false'}")
        time.sleep(0.1)
