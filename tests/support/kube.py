"""A real API server as tests see it: kubectl, and waiting for what must become true.

What is looked at again and again is asked for without kubectl, of which each start costs a quarter of a second of CPU.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import urllib3

from .apiserver import MERGE, ApiServer, Request

T = TypeVar("T")
# How many times longer than on an idle machine of two cores a test waits at most.
PATIENCE = float(os.environ.get("TEST_PATIENCE") or 3)
# Name that tests use -> path of the API, and plural. For any other kubectl knows the way.
_PLACES = {
    name: (path, plural)
    for path, plurals in {
        "/api/v1": ("pods", "services", "events", "nodes", "resourcequotas"),
        "/apis/batch/v1": ("jobs",),
        "/apis/cluster.ray.io/v1": ("rayclusters",),
    }.items()
    for plural in plurals
    for name in (plural, plural.removesuffix("s"))
}
_WITHOUT_NAMESPACE = ("nodes",)


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
        if resource in _PLACES:
            return self._ask("GET", f"{self._path(resource)}/{quote(name)}")
        found: dict[str, Any] = json.loads(self.run("get", resource, name, "-o", "json"))
        return found

    def list(self, resource: str, selector: str = "") -> list[dict[str, Any]]:
        """The objects of the namespace that are not on their way out, in name order."""
        if resource in _PLACES:
            found = self._ask("GET", f"{self._path(resource)}?labelSelector={quote(selector)}")
            kind = {"apiVersion": found["apiVersion"], "kind": found["kind"].removesuffix("List")}
            items = [{**kind, **item} for item in found["items"]]
        else:
            items = json.loads(self.run("get", resource, "-l", selector, "-o", "json"))["items"]
        live = (i for i in items if "deletionTimestamp" not in i["metadata"])
        return sorted(live, key=lambda i: str(i["metadata"]["name"]))

    def set_pod_status(self, name: str, status: Mapping[str, Any]) -> None:
        """Say what a kubelet would say about a pod."""
        self._ask("PATCH", f"{self._path('pods')}/{name}/status", {"status": status}, MERGE)

    def bind_pod(self, name: str, node: str) -> None:
        """Say what the scheduler would say about a pod: it goes to a node. The scheduler says nothing more then."""
        binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": name}, "target": {"name": node}}
        self._ask("POST", f"{self._path('pods')}/{name}/binding", binding)

    def run_pods(self, selector: str = "") -> None:
        """Play the kubelet: every pod that waits becomes running and ready."""
        for number, pod in enumerate(self.list("pods", selector), start=1):
            if pod["status"].get("phase") == "Pending":
                self.set_pod_status(pod["metadata"]["name"], running(f"10.9.8.{number}"))

    def _path(self, resource: str) -> str:
        path, plural = _PLACES[resource]
        return f"{path}/{plural}" if plural in _WITHOUT_NAMESPACE else f"{path}/namespaces/{self.namespace}/{plural}"

    def _ask(
        self, method: str, target: str, body: Any = None, content_type: str = "application/json"
    ) -> dict[str, Any]:
        """The answer, without what kubectl does not show.

        Raises:
            KubectlError: the API server refused, or did not answer.
        """
        data = b"" if body is None else json.dumps(body).encode()
        try:
            answer = _server(self.environment).send(Request.parse(method, target, data, content_type))
        except urllib3.exceptions.HTTPError as error:
            raise KubectlError(f"{method} {target}: {error}") from error
        if not answer.done:
            raise KubectlError(f"{method} {target}: {answer.body.decode(errors='replace')[:1000]}")
        found: dict[str, Any] = json.loads(answer.body)
        for item in (found, *found.get("items", ())):
            item["metadata"].pop("managedFields", None)
        return found


def _server(environment: Mapping[str, str]) -> ApiServer:
    """The one that kubectl would ask. A file that is written anew names another one."""
    path = Path(environment.get("KUBECONFIG") or "~/.kube/config").expanduser()
    return _server_of(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=8)
def _server_of(kubeconfig: Path, _: int) -> ApiServer:
    return ApiServer(str(kubeconfig))


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


def at_this_load(seconds: float) -> float:
    """How long that takes at most here and now, for what takes so many seconds on an idle machine."""
    return seconds * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def eventually(look: Callable[[], T], *, within: float = 180.0, promised: bool = False) -> T:
    """Look again and again until something true is seen, and return it.

    What a look asserts, what kubectl complains about, and a field that is not there are taken as "not yet". ``within``:
    seconds on an idle machine; on a busy one it may take ``PATIENCE`` times as long, or if the time is ``promised`` as
    much longer as processes wait for a core.

    Raises:
        AssertionError: it was not seen in time.
    """
    within = at_this_load(within) if promised else within * PATIENCE
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
