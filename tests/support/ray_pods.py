"""The Ray processes in the pods of a namespace without nodes: a fake GCS per head, and the workers as its nodes."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from autoscaler.model import Demand, NodeStatus
from tests.fakes.gcs import STATUS_NUMBER, FakeGcs

PORT = 6379
DRAINING = STATUS_NUMBER[NodeStatus.DRAINING]
Pod = dict[str, Any]


class RayPods:
    """Every worker is busy from its start; one that is told to leave finishes before the next look, or lingers.

    Where a head keeps what it knows outside of its pod, the next one knows what waits, and the workers join it.
    """

    def __init__(self) -> None:
        # Whether work that waits is taken by those who join; else it waits for ever.
        self.take_work = False
        # Whether one that is told to leave has still something to finish.
        self.linger = False
        # By the uid of the head's pod.
        self._heads: dict[str, FakeGcs] = {}
        # By cluster: the head that outlived its last one's pod, and what waits there.
        self._recovered: dict[str, FakeGcs] = {}
        self._kept: dict[str, tuple[Demand, ...]] = {}
        # By their pods' uids: where they have joined, and as whom.
        self._workers: dict[str, tuple[FakeGcs, str]] = {}

    def start_head(self, pod: Pod) -> str:
        """Start the head in a pod. Returns its address, one of this machine's own that nothing else uses."""
        while True:
            address = "127." + ".".join(str(random.randint(1, 254)) for _ in range(3))
            try:
                gcs = FakeGcs(host=address, port=PORT, name=pod["metadata"]["name"])
            except RuntimeError:
                continue  # Somebody else's.
            self._heads[pod["metadata"]["uid"]] = gcs
            if _recovers(pod):
                gcs.demands = self._kept.get(_cluster_of(pod), ())
                self._recovered[_cluster_of(pod)] = gcs
            return address

    def look(self, pods: Iterable[Pod]) -> None:
        """Processes end with their pods or when told to leave, and workers join the head that they were told of."""
        live = {p["metadata"]["uid"]: p for p in pods if "deletionTimestamp" not in p["metadata"]}
        self._kept |= {cluster: gcs.demands for cluster, gcs in self._recovered.items()}
        for uid in self._heads.keys() - live.keys():
            self._heads.pop(uid).close()
        for uid, (gcs, name) in self._workers.items():
            if uid not in live or (gcs.nodes[name].status == DRAINING and not self.linger):
                gcs.set_status(name, NodeStatus.DEAD)
        self._workers = {uid: worker for uid, worker in self._workers.items() if uid in live}
        for uid, pod in live.items():
            gcs_of_pod = self._joins(pod)
            address = pod["status"].get("podIP", "")
            joined, _ = self._workers.get(uid, (None, ""))
            if gcs_of_pod and address and joined is not gcs_of_pod:
                metadata = pod["metadata"]
                node_type = metadata["labels"]["ray-user-node-type"]
                gcs_of_pod.add_node(metadata["name"], node_type, {"CPU": 1}, status=NodeStatus.RUNNING, ip=address)
                if self.take_work and not joined:
                    _take_work(gcs_of_pod)
                self._workers[uid] = gcs_of_pod, metadata["name"]

    def _joins(self, pod: Pod) -> FakeGcs | None:
        """The head that a worker knows, if it runs: the one of its pod, or the latest behind the Service."""
        head = _head_of(pod)
        if not head.startswith("service-"):
            return self._heads.get(head)
        latest = self._recovered.get(_cluster_of(pod))
        return latest if latest in self._heads.values() else None

    def heads(self) -> list[FakeGcs]:
        """Those that run."""
        return list(self._heads.values())

    def joined(self) -> set[str]:
        """The workers that are there, by their pods' uids."""
        return set(self._workers)

    def finish(self, idle_seconds: float) -> None:
        """All work is over, and has been for so long."""
        for gcs, name in list(self._workers.values()):
            gcs.set_status(name, NodeStatus.IDLE)
            gcs.nodes[name].idle_duration_ms = int(idle_seconds * 1000)

    def close(self) -> None:
        """End all heads."""
        self.look(())


def _take_work(gcs: FakeGcs) -> None:
    """A node that joins runs what has waited longest."""
    if gcs.demands:
        first, *others = gcs.demands
        left = [replace(first, count=first.count - 1)] if first.count > 1 else []
        gcs.demands = (*left, *others)


def _cluster_of(pod: Pod) -> str:
    return str(pod["metadata"]["labels"]["ray-cluster-name"])


def _recovers(pod: Pod) -> bool:
    """Whether what this head knows outlives its pod."""
    stores = {"RAY_gcs_storage", "RAY_REDIS_ADDRESS"}
    return any(v["name"] in stores for c in pod["spec"]["containers"] for v in c.get("env") or ())


def _head_of(pod: Pod) -> str:
    running = pod["status"].get("phase") == "Running"
    return str(pod["metadata"].get("annotations", {}).get("cluster.ray.io/head-uid")) if running else ""
