"""Small builders: a cluster, its pods and its Service, with everything defaulted that a test does not care about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from controller.objects.labels import HEAD, WORKER
from controller.objects.pod import build_pod, slot_name
from controller.objects.service import build_service
from controller.objects.views import PodView, ServiceView
from controller.planning.observed import Observed
from controller.raycluster.model import ClusterSpec, Key, RayCluster, config_hash, parse_spec

NAMESPACE, NAME, UID = "ray", "example", "cluster-uid"
NOW = 1_700_000_000.0
NOW_TEXT = "2023-11-14T22:13:20Z"
IDLE = "trap : TERM INT; sleep infinity & wait;"


def pod_config(prefix: str = "ray-worker-", **resources: str) -> dict[str, Any]:
    """A podConfig as the legacy chart renders it."""
    amounts = resources or {"cpu": "1", "memory": "1Gi"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"generateName": prefix},
        "spec": {
            "restartPolicy": "Never",
            "volumes": [{"name": "dshm", "emptyDir": {"medium": "Memory"}}],
            "containers": [
                {
                    "name": "ray-node",
                    "image": "rayproject/ray:latest",
                    "imagePullPolicy": "Always",
                    "command": ["/bin/bash", "-c", "--"],
                    "args": [IDLE],
                    "env": [{"name": "RAY_gcs_server_rpc_server_thread_num", "value": "1"}],
                    "ports": [{"containerPort": port} for port in (6379, 10001, 8265, 8000)],
                    "volumeMounts": [{"mountPath": "/dev/shm", "name": "dshm"}],
                    "resources": {"requests": dict(amounts), "limits": dict(amounts)},
                }
            ],
        },
    }


def raw_type(name: str, prefix: str = "ray-worker-", **fields: Any) -> dict[str, Any]:
    """A pod type as users write it."""
    return {"name": name, "podConfig": pod_config(prefix), **fields}


def raw_spec(workers: int = 2, **fields: Any) -> dict[str, Any]:
    """A head and one worker type, as in the legacy example."""
    types = [raw_type("head-node", "ray-head-"), raw_type("worker-node", minWorkers=workers, maxWorkers=10)]
    return {"maxWorkers": 10, "headPodType": "head-node", "podTypes": types, **fields}


def cluster(spec: dict[str, Any] | None = None, **fields: Any) -> RayCluster:
    """A RayCluster that the API server might answer."""
    made = RayCluster(Key(NAMESPACE, NAME), UID, 10, 1, False, raw_spec() if spec is None else spec, {})
    return replace(made, **fields)


def head_pod(spec: ClusterSpec, **fields: Any) -> PodView:
    """A head that runs well, made by the operator for this spec."""
    return replace(_pod(spec, spec.head_pod_type, HEAD, 0), **{"uid": "head-uid", "ip": "10.0.0.1", **fields})


def worker_pod(spec: ClusterSpec, ordinal: int = 0, node_type: str = "worker-node", **fields: Any) -> PodView:
    """A worker that runs well and knows the head of ``head_pod``."""
    told = {"head_ip": "10.0.0.1", "head_uid": "head-uid"}
    made = _pod(spec, node_type, WORKER, ordinal)
    return replace(made, **{"uid": f"{node_type}-{ordinal}-uid", **told, **fields})


def _pod(spec: ClusterSpec, node_type: str, kind: str, ordinal: int) -> PodView:
    pod_type = next(t for t in spec.pod_types if t.name == node_type)
    return PodView(
        key=Key(NAMESPACE, slot_name(cluster(), pod_type, ordinal)),
        uid="",
        resource_version=20,
        owner_uid=UID,
        cluster=Key(NAMESPACE, NAME),
        kind=kind,
        node_type=node_type,
        phase="Running",
        ip=f"10.0.1.{ordinal}",
        ready=True,
        deleting=False,
        head_ip="",
        head_uid="",
        config_hash=config_hash(spec, pod_type),
        attempt=0,
        started_at=NOW - 3600,
        ended_at=NOW - 3600,
        problem="",
    )


def failed(pod: PodView, seconds_ago: float = 0.0, lived: float = 3.0, **fields: Any) -> PodView:
    """The pod, ended some time ago after a life of some seconds."""
    ended = NOW - seconds_ago
    return replace(
        pod,
        phase="Failed",
        ready=False,
        problem="Error, exit code 1",
        ended_at=ended,
        started_at=ended - lived,
        **fields,
    )


def service(owner: RayCluster | None = None, **fields: Any) -> ServiceView:
    """The head Service as the operator made it."""
    owner = owner or cluster()
    raw = build_service(owner, parse_spec(owner.spec))
    raw["metadata"] |= {"uid": "service-uid", "resourceVersion": "15"}
    return replace(ServiceView.from_object(raw), **fields)


def seen(
    pods: Sequence[PodView] = (),
    of: RayCluster | None = None,
    head_service: ServiceView | None = None,
    without_service: bool = False,
    **fields: Any,
) -> Observed:
    """What the planner is shown; the Service is as it should be unless said otherwise."""
    of = of or cluster()
    found = None if without_service else head_service or service(of)
    return replace(Observed(of, parse_spec(of.spec), tuple(pods), found, NOW), **fields)


def raw_cluster(spec: dict[str, Any] | None = None, **metadata: Any) -> dict[str, Any]:
    """A RayCluster as users write it."""
    return {
        "apiVersion": "cluster.ray.io/v1",
        "kind": "RayCluster",
        "metadata": {"name": NAME, "namespace": NAMESPACE, **metadata},
        "spec": raw_spec() if spec is None else spec,
    }


def raw_pod(status: dict[str, Any] | None = None, **metadata: Any) -> dict[str, Any]:
    """A worker pod as the API server and the kubelet report it."""
    of = cluster()
    spec = parse_spec(of.spec)
    raw = build_pod(of, spec, spec.worker_types[0], "example-ray-worker-abcde")
    raw["metadata"] |= {"uid": "pod-uid", "resourceVersion": "7", "creationTimestamp": NOW_TEXT, **metadata}
    if status is not None:
        raw["status"] = status
    return raw
