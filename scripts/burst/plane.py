"""A control plane for a benchmark, and what its user does there."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Any

import environment as cluster_environment
import orjson
from elastic import ray_cluster

from controller.kube.access import by_kubeconfig
from controller.kube.client import JSON_PATCH, MERGE_PATCH, METADATA_ONLY, ApiError, HttpClient, Request
from controller.objects.labels import CLUSTER_LABEL, KIND_LABEL, WORKER
from controller.objects.pod import build_pod, slot_name
from controller.raycluster.model import PLURAL, RayCluster, parse_spec

ROOT = Path(__file__).resolve().parent.parent.parent
# A scheduler that there is not: what is measured is the operator, and the API server.
NO_SCHEDULER = "none"
USER_THREADS = 8
PATIENCE_SECONDS = 600.0


@contextmanager
def control_plane(name: str, fake_nodes: int = 0) -> Iterator[Plane]:
    """A control plane that knows RayClusters, without nodes or with fake ones of KWOK. It ends with the block."""
    up = (cluster_environment.LOCAL, "up", "--control-plane-only", "--kwok", str(fake_nodes), "--name", name)
    cluster_environment.captured(*up)
    try:
        environment = cluster_environment.local(name)
        plane = Plane(environment, "" if fake_nodes else NO_SCHEDULER)
        plane.kubectl("apply", "-f", str(ROOT / "charts/ray/crds"))
        plane.kubectl("wait", "--for=condition=Established", "crd/rayclusters.cluster.ray.io", "--timeout=60s")
        yield plane
    finally:
        cluster_environment.captured(cluster_environment.LOCAL, "down", "--name", name)


class Plane:
    """What a user of the control plane does. Its programs have ``environment``, its pods ``scheduler``."""

    def __init__(self, environment: Mapping[str, str], scheduler: str) -> None:
        self.environment = environment
        self._scheduler = scheduler
        self._client = HttpClient(by_kubeconfig(None, environment["KUBECONFIG"]))

    def kubectl(self, *arguments: str) -> None:
        """Run kubectl.

        Raises:
            CalledProcessError: it failed.
        """
        subprocess.run(["kubectl", *arguments], env=dict(self.environment), check=True, stdout=subprocess.DEVNULL)

    def make_clusters(
        self, namespace: str, count: int, workers: int, most: int, *, memory: int = 0, **fields: Any
    ) -> list[RayCluster]:
        """A new namespace with so many clusters. ``workers``: at first; ``most``: how many a cluster may have.

        ``memory``: bytes that a worker has for Ray, if it is to matter. ``fields``: more of the spec.
        """
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
        self._client.send(Request("create", "namespaces", body=body))

        def make(number: int) -> RayCluster:
            made = _cluster(f"burst-{number}", workers, most, self._scheduler, memory)
            made["spec"].update(fields)
            return RayCluster.from_object(self._client.send(Request("create", PLURAL, namespace, body=made)))

        return self._each(make, range(count))

    def scale(self, clusters: Sequence[RayCluster], workers: int) -> list[tuple[float, float]]:
        """Have each cluster keep so many workers. When each was asked for, and when that was answered."""
        return self._each(lambda cluster: self._scale(cluster, workers), clusters)

    def scale_and_make(self, clusters: Sequence[RayCluster]) -> list[float]:
        """Have each cluster keep one worker, and create its pod, as the user. When each was asked for."""

        def make(cluster: RayCluster) -> float:
            asked, _ = self._scale(cluster, 1)
            self.make_worker(cluster)
            return asked

        return self._each(make, clusters)

    def _scale(self, cluster: RayCluster, workers: int) -> tuple[float, float]:
        patch = [{"op": "replace", "path": "/spec/podTypes/1/minWorkers", "value": workers}]
        asked = time.monotonic()
        self._client.send(Request("patch", PLURAL, *cluster.key, body=patch, content_type=JSON_PATCH))
        return asked, time.monotonic()

    def make_worker(self, cluster: RayCluster) -> float:
        """Create one worker's pod, as the user. When it was asked for."""
        [(_, body)] = worker_pods([cluster], 1)
        asked = time.monotonic()
        self._client.send(Request("create", "pods", cluster.namespace, body=body))
        return asked

    def pods(self, cluster: RayCluster, kind: str, count: int) -> list[str]:
        """The names of a cluster's pods of a kind (``head``, ``worker``), once there are so many."""
        selector = f"{CLUSTER_LABEL}={cluster.name},{KIND_LABEL}={kind}"
        request = Request("list", "pods", cluster.namespace, query={"labelSelector": selector})
        found: list[str] = []

        def enough() -> bool:
            found[:] = [item["metadata"]["name"] for item in self._client.send(request)["items"]]
            return len(found) >= count

        self.until(enough, every=0.2)
        return found

    def run_pod(self, namespace: str, name: str, address: str) -> None:
        """Say what a kubelet would say: the pod runs, at this address, and is ready."""
        ready = [{"type": "Ready", "status": "True"}]
        status = {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}], "conditions": ready}
        self._client.send(
            Request(
                "patch",
                "pods",
                namespace,
                name,
                subresource="status",
                body={"status": status},
                content_type=MERGE_PATCH,
            )
        )

    def delete_clusters(self, namespace: str) -> None:
        """Delete all of a namespace."""
        self._client.send(Request("delete", PLURAL, namespace))

    def delete_pods(self, namespace: str) -> None:
        """The API server's own deletion of all pods of a namespace. It ends a request after a minute, done or not."""
        while True:
            try:
                self._client.send(Request("delete", "pods", namespace))
                return
            except ApiError as error:
                if error.status not in (0, 504):
                    raise

    def count(self, namespace: str, resource: str = "pods") -> int:
        """How many objects there are. The server counts them in its database: seldom asked, it costs little."""
        page = self._client.send(Request("list", resource, namespace, query={"limit": "1"}))
        return len(page["items"]) + int(page["metadata"].get("remainingItemCount", 0))

    def until(self, done: Callable[[], bool], every: float = 0.02) -> float:
        """Seconds until it is so, looked at every so many seconds.

        Raises:
            TimeoutError: it never is.
        """
        started = time.monotonic()
        while not done():
            if time.monotonic() - started > PATIENCE_SECONDS:
                raise TimeoutError("what the benchmark waits for does not come")
            time.sleep(every)
        return time.monotonic() - started

    def arrivals(self, namespace: str, *, running: bool = False) -> Arrivals:
        """The workers of a namespace that a watch reports from now on; with ``running``, once they run."""
        return Arrivals(self._client, namespace, {"fieldSelector": "status.phase=Running"} if running else {})

    def statuses(self, namespace: str) -> list[Mapping[str, Any]]:
        """The statuses of the clusters."""
        items = self._client.send(Request("list", PLURAL, namespace))["items"]
        return [item.get("status") or {} for item in items]

    def _each(self, work: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
        with ThreadPoolExecutor(USER_THREADS) as pool:
            return list(pool.map(work, items))


class Arrivals:
    """``first``: cluster -> when its first worker was reported, by the monotonic clock. ``count``: of all workers."""

    def __init__(self, client: HttpClient, namespace: str, selector: Mapping[str, str]) -> None:
        self.first: dict[str, float] = {}
        self._seen: set[str] = set()
        self._end = threading.Event()
        query = {"labelSelector": f"{KIND_LABEL}={WORKER}", "watch": "true", "timeoutSeconds": "600", **selector}
        self._client = client
        self._request = Request("watch", "pods", namespace, query=query, accept=METADATA_ONLY)
        threading.Thread(target=self._follow, daemon=True).start()

    @property
    def count(self) -> int:
        """How many there have been."""
        return len(self._seen)

    def _follow(self) -> None:
        """The server ends a watch whose client is behind. The next one begins with all that is there."""
        while not self._end.is_set():
            with suppress(ApiError):
                for event in self._client.watch(self._request, PATIENCE_SECONDS):
                    if self._end.is_set():
                        return
                    if event["type"] == "ADDED":
                        metadata = event["object"]["metadata"]
                        self.first.setdefault(metadata["labels"][CLUSTER_LABEL], time.monotonic())
                        self._seen.add(metadata["uid"])

    def stop(self) -> None:
        """No more is looked at."""
        self._end.set()


def worker_pods(clusters: Sequence[RayCluster], workers: int) -> Iterator[tuple[str, bytes]]:
    """The requests (path, body) that make the workers of these clusters: the operator's own pods."""
    for cluster in clusters:
        spec = parse_spec(cluster.spec)
        kind = spec.worker_types[0]
        # Of ten thousand names that are made from numbers, a few are equal.
        names = dict.fromkeys(slot_name(cluster, kind, ordinal) for ordinal in range(2 * workers))
        for name in islice(names, workers):
            pod = build_pod(cluster, spec, kind, name)
            yield Request("create", "pods", cluster.namespace).path, orjson.dumps(pod)


def _cluster(name: str, workers: int, most: int, scheduler: str, memory: int) -> dict[str, Any]:
    resources = {"CPU": 1, **({"memory": memory} if memory else {})}
    kind = {"name": "worker", "minWorkers": workers, "maxWorkers": most, "rayResources": resources}
    made = ray_cluster(name, [kind], maxWorkers=most)
    for pod_type in made["spec"]["podTypes"] if scheduler else ():
        pod_type["podConfig"]["spec"]["schedulerName"] = scheduler
    return made
