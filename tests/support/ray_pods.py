"""The Ray processes in the pods of a namespace without nodes: a fake GCS per head, and the workers as its nodes."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from autoscaler.model import NodeStatus
from tests.fakes.gcs import STATUS_NUMBER, FakeGcs

PORT = 6379
DRAINING = STATUS_NUMBER[NodeStatus.DRAINING]
Pod = dict[str, Any]


class RayPods:
    """Every worker is busy from its start; one that is told to leave finishes before the next look."""

    def __init__(self) -> None:
        # Whether work that waits is taken by those who join; else it waits for ever.
        self.take_work = False
        # By the uid of the head's pod.
        self._heads: dict[str, FakeGcs] = {}
        # By their pods' uids: where they have joined, and as whom.
        self._workers: dict[str, tuple[FakeGcs, str]] = {}

    def start_head(self, pod: Pod) -> str:
        """Start the head in a pod. Returns its address, one of this machine's own that nothing else uses."""
        while True:
            address = "127." + ".".join(str(random.randint(1, 254)) for _ in range(3))
            try:
                self._heads[pod["metadata"]["uid"]] = FakeGcs(host=address, port=PORT, name=pod["metadata"]["name"])
            except RuntimeError:
                continue  # Somebody else's.
            return address

    def look(self, pods: Iterable[Pod]) -> None:
        """Processes end with their pods or when told to leave, and workers join the head that they were told of."""
        live = {p["metadata"]["uid"]: p for p in pods if "deletionTimestamp" not in p["metadata"]}
        for uid in self._heads.keys() - live.keys():
            self._heads.pop(uid).close()
        for uid, (gcs, name) in self._workers.items():
            if uid not in live or gcs.nodes[name].status == DRAINING:
                gcs.set_status(name, NodeStatus.DEAD)
        self._workers = {uid: worker for uid, worker in self._workers.items() if uid in live}
        for uid, pod in live.items():
            gcs_of_pod = self._heads.get(_head_of(pod))
            address = pod["status"].get("podIP", "")
            if gcs_of_pod and address and uid not in self._workers:
                metadata = pod["metadata"]
                node_type = metadata["labels"]["ray-user-node-type"]
                gcs_of_pod.add_node(metadata["name"], node_type, {"CPU": 1}, status=NodeStatus.RUNNING, ip=address)
                if self.take_work:
                    _take_work(gcs_of_pod)
                self._workers[uid] = gcs_of_pod, metadata["name"]

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


def _head_of(pod: Pod) -> str:
    running = pod["status"].get("phase") == "Running"
    return str(pod["metadata"].get("annotations", {}).get("cluster.ray.io/head-uid")) if running else ""
