"""One namespace of a real API server: its user, its kubelet, and what an outsider sees of it."""

from __future__ import annotations

import json
import re
import threading
import time
from calendar import timegm
from collections import Counter
from collections.abc import Callable
from typing import Any

from tests.fakes.gcs import FakeGcs

from .apiserver import JSON_PATCH, MERGE, ApiServer
from .followed import Followed
from .kube import PATIENCE, eventually, running
from .ray_pods import RayPods

BASES = {"rayclusters": "/apis/cluster.ray.io/v1", "jobs": "/apis/batch/v1"}
# What differs from run to run and means nothing.
_VOLATILE_METADATA = ("uid", "resourceVersion", "creationTimestamp", "managedFields")
_VOLATILE = ("lastTransitionTime", "clusterIP", "clusterIPs", "lastDecision")


class Namespace:
    """Acts and looks in one namespace. ``kubelet`` runs its pods from then on, and Ray in them."""

    def __init__(self, server: ApiServer, name: str) -> None:
        self.server = server
        self.name = name
        self._stop = threading.Event()
        self._kubelet = threading.Thread(target=self._run_pods, daemon=True)
        self._seen = Followed(server, f"/api/v1/namespaces/{name}/pods")
        # Uids of the pods that were run.
        self._begun: set[str] = set()
        self._pods_run = 0
        self._ray = RayPods()
        self._heads_only = False
        self._start_seconds: Callable[[dict[str, Any]], float] = lambda pod: 0.0

    def create(self) -> None:
        """Make the namespace."""
        self.server.ask("POST", "/api/v1/namespaces", {"metadata": {"name": self.name}})

    def kubelet(
        self,
        *,
        heads_only: bool = False,
        take_work: bool = False,
        start_seconds: Callable[[dict[str, Any]], float] | None = None,
    ) -> None:
        """Every pod that waits for no gate becomes running and ready, until ``stop``; heads only where there are other
        nodes.

        ``take_work``: a worker that joins takes work that waits; else that waits for ever.
        ``start_seconds``: how long a pod takes for that; no time at all where it is not given.
        """
        self._heads_only = heads_only
        self._start_seconds = start_seconds or self._start_seconds
        self._ray.take_work = take_work
        self._seen.start()
        self._kubelet.start()

    def stop(self) -> None:
        """The kubelet stops."""
        self._stop.set()
        self._seen.stop()
        if self._kubelet.is_alive():
            self._kubelet.join()
        self._ray.close()

    def path(self, resource: str, name: str = "") -> str:
        """The path of a resource, or of one object."""
        base = BASES.get(resource.partition("/")[0], "/api/v1")
        resource, _, sub = resource.partition("/")
        return "/".join([base, "namespaces", self.name, *(part for part in (resource, name, sub) if part)])

    def get(self, resource: str, name: str) -> dict[str, Any]:
        """One object."""
        return self.server.ask("GET", self.path(resource, name))

    def all(self, resource: str, selector: str = "") -> list[dict[str, Any]]:
        """The objects that are not on their way out, in name order."""
        query = f"?labelSelector={selector}" if selector else ""
        items = self.server.ask("GET", self.path(resource) + query)["items"]
        live = (i for i in items if "deletionTimestamp" not in i["metadata"])
        return sorted(live, key=lambda i: str(i["metadata"]["name"]))

    def pods(self, kind: str = "") -> list[dict[str, Any]]:
        """The Ray pods, of a kind if one is given."""
        return self.all("pods", f"ray-node-type={kind}" if kind else "ray-cluster-name")

    def heads(self) -> list[FakeGcs]:
        """What runs in the pods of heads, to be told what work waits."""
        return self._ray.heads()

    def linger(self, still: bool) -> None:
        """Whether workers that are told to leave have still something to finish."""
        self._ray.linger = still

    def finish_work(self, idle_seconds: float) -> None:
        """All workers have been idle for so long, once the last of them has joined: who joins later is busy.

        None has been idle for longer than its pod is there: as of a real one, nobody would believe that.
        """
        eventually(lambda: self._ray.joined() == {p["metadata"]["uid"] for p in self.pods("worker")})
        eventually(lambda: all(_age(p) > idle_seconds + 1 for p in self.pods("worker")))
        self._ray.finish(idle_seconds)

    def make(self, cluster: dict[str, Any]) -> dict[str, Any]:
        """Create a RayCluster."""
        return self.server.ask("POST", self.path("rayclusters"), cluster)

    def edit(self, name: str, *operations: tuple[str, Any]) -> None:
        """Replace fields of a RayCluster's spec, each given by its path below spec."""
        patch = [{"op": "add", "path": f"/spec/{path}", "value": value} for path, value in operations]
        self.server.ask("PATCH", self.path("rayclusters", name), patch, JSON_PATCH)

    def delete(self, resource: str, name: str) -> None:
        """Delete an object at once."""
        self.server.ask("DELETE", self.path(resource, name) + "?gracePeriodSeconds=0")

    def empty(self) -> None:
        """Its clusters and their pods go: a scheduler looks at all pods that wait whenever a node comes."""
        for resource in ("rayclusters", "pods"):
            self.server.ask("DELETE", self.path(resource) + "?gracePeriodSeconds=0")

    def end_pod(self, name: str, status: dict[str, Any]) -> None:
        """Say what a kubelet would say about a pod."""
        self.server.ask("PATCH", self.path("pods/status", name), {"status": status}, MERGE)

    def _run_pods(self) -> None:
        while not self._stop.wait(0.05):
            pods = self._seen.all()
            self._ray.look(pods)
            for pod in pods:
                begun = pod["metadata"]["uid"] in self._begun or "deletionTimestamp" in pod["metadata"]
                if pod["status"].get("phase") == "Pending" and not begun and self._may_run(pod):
                    self._run_pod(pod)

    def _may_run(self, pod: dict[str, Any]) -> bool:
        mine = _is_head(pod) or not self._heads_only
        return mine and not pod["spec"].get("schedulingGates") and _age(pod) >= self._start_seconds(pod)

    def _run_pod(self, pod: dict[str, Any]) -> None:
        self._pods_run += 1
        address = f"10.9.{self._pods_run // 250}.{self._pods_run % 250 + 1}"
        if _is_head(pod):
            address = self._ray.start_head(pod)
        try:
            self.end_pod(pod["metadata"]["name"], running(address))
        except AssertionError:
            return  # Deleted in the meantime.
        self._begun.add(pod["metadata"]["uid"])

    def events(self) -> Counter[str]:
        """How many Events there are of each reason."""
        return Counter(e["reason"] for e in self.all("events"))

    def condition(self, name: str, kind: str) -> dict[str, Any]:
        """A condition of a RayCluster, empty when it has none."""
        conditions = self.get("rayclusters", name).get("status", {}).get("conditions", [])
        return next((c for c in conditions if c["type"] == kind), {})

    def settled(self, name: str, workers: int) -> bool:
        """The cluster runs as its newest spec says, and every worker knows the head."""
        cluster = self.get("rayclusters", name)
        status = cluster.get("status", {})
        if status.get("phase") != "Running" or status["readyWorkers"] != workers:
            return False
        told = [p["metadata"]["annotations"].get("cluster.ray.io/head-uid") for p in self.pods("worker")]
        heads = [p["metadata"]["uid"] for p in self.pods("head")]
        return status["observedGeneration"] == cluster["metadata"]["generation"] and told == heads * workers

    def snapshot(self) -> list[str]:
        """Everything in the namespace that the operator is responsible for, without what differs from run to run."""
        found = [*self.all("rayclusters"), *self.pods(), *self.all("services", "ray-cluster-name")]
        tokens = {self.name: "<namespace>"}
        for obj in found:
            kind = obj["metadata"].get("labels", {}).get("ray-node-type", "cluster")
            tokens[obj["metadata"]["uid"]] = f"<{kind} uid>"
            if kind != "cluster":
                tokens[obj["metadata"]["name"]] = f"<{kind}>"
                tokens[obj.get("status", {}).get("podIP") or "no address"] = f"<{kind} address>"
        texts = [json.dumps(_stable(obj), sort_keys=True) for obj in found]
        for value in sorted(tokens, key=len, reverse=True):
            texts = [re.sub(rf"{re.escape(value)}(?=[\\\": ])", tokens[value], text) for text in texts]
        return sorted(texts)

    def wait_for(self, expected: list[str], within: float = 180.0 * PATIENCE) -> None:
        """Wait until the snapshot is what is expected.

        Raises:
            AssertionError: it is not in time; the message shows what differs.
        """
        deadline = time.monotonic() + within
        while (seen := self.snapshot()) != expected:
            if time.monotonic() > deadline:
                more, less = Counter(seen) - Counter(expected), Counter(expected) - Counter(seen)
                lines = [*(f"+ {n} {text}" for text, n in more.items()), *(f"- {n} {text}" for text, n in less.items())]
                raise AssertionError(f"{self.name} differs from an undisturbed run:\n" + "\n".join(lines))
            time.sleep(0.1)


def _age(pod: dict[str, Any]) -> float:
    """Seconds since it was bound to a node, or created."""
    since = pod["status"].get("startTime") or pod["metadata"]["creationTimestamp"]
    return time.time() - timegm(time.strptime(since, "%Y-%m-%dT%H:%M:%SZ"))


def _is_head(pod: dict[str, Any]) -> bool:
    return bool(pod["metadata"].get("labels", {}).get("ray-node-type") == "head")


def _stable(obj: dict[str, Any]) -> dict[str, Any]:
    """The object without its volatile fields; of a pod's status only what the operator decides on."""
    metadata = {k: v for k, v in obj["metadata"].items() if k not in _VOLATILE_METADATA}
    kept: dict[str, Any] = {**_without_volatile(obj), "metadata": metadata}
    if obj.get("kind", "Pod") == "Pod" and "containers" in obj["spec"]:
        ready = [c["status"] for c in obj["status"].get("conditions", []) if c["type"] == "Ready"]
        kept["status"] = {"phase": obj["status"]["phase"], "ready": ready}
    return kept


def _without_volatile(obj: Any) -> Any:
    if isinstance(obj, list):
        return [_without_volatile(item) for item in obj]
    if isinstance(obj, dict):
        return {k: _without_volatile(v) for k, v in obj.items() if k not in _VOLATILE}
    return obj
