"""A pod type whose workers have several hosts, and the pods of such workers."""

from __future__ import annotations

from typing import Any

from controller.objects.hosts import Host, worker_name
from controller.objects.pod import slot_name
from controller.objects.service import build_hosts_service
from controller.objects.views import PodView, ServiceView
from controller.raycluster.model import ClusterSpec, parse_spec
from tests.support.builders import cluster, raw_spec, raw_type, worker_pod

TYPE = "slice"
TPU = {"cloud.google.com/gke-tpu-accelerator": "tpu-v4-podslice", "cloud.google.com/gke-tpu-topology": "2x2x2"}


def slice_spec(workers: int = 0, hosts: int = 2, *, tpus: bool = False, **fields: Any) -> dict[str, Any]:
    """A head without CPUs, and a type of so many hosts, of which so many workers have to run."""
    more: dict[str, Any] = {
        name: fields.pop(name) for name in ("maxWorkers", "idleTimeoutMinutes", "labels") if name in fields
    }
    bounds: dict[str, Any] = {"minWorkers": workers, "maxWorkers": 10, "hosts": hosts, **more}
    made = raw_type(TYPE, "slice-", **bounds)
    if tpus:
        made["podConfig"]["spec"]["nodeSelector"] = dict(TPU)
        made["podConfig"]["spec"]["containers"][0]["resources"]["limits"]["google.com/tpu"] = 4
    types = [raw_type("head-node", "ray-head-", rayResources={"CPU": 0}), made]
    return raw_spec(**{"podTypes": types, "maxWorkers": 10, **fields})


def slice_pods(spec: ClusterSpec, ordinal: int = 0, **fields: Any) -> list[PodView]:
    """The pods of one worker, complete and well."""
    pod_type = next(t for t in spec.pod_types if t.name == TYPE)
    slot = slot_name(cluster(), pod_type, ordinal)
    pods = []
    for index in range(pod_type.hosts):
        name = Host(slot, index).pod_name
        made = worker_pod(spec, 10 * ordinal + index, TYPE)
        own = {"key": made.key._replace(name=name), "group": worker_name(slot), "host": index}
        changed = {"uid": f"{name}-uid", "hosts": pod_type.hosts, "complete": index == 0, **fields}
        pods.append(PodView(**{**{f: getattr(made, f) for f in made.__slots__}, **own, **changed}))
    return pods


def slice_service() -> ServiceView:
    """The Service of such workers as it is once it has been made."""
    raw = build_hosts_service(cluster())
    raw["metadata"] |= {"uid": "hosts-service-uid", "resourceVersion": "16"}
    return ServiceView.from_object(raw)


SPEC = parse_spec(slice_spec())
