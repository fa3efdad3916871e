"""What runs of a cluster."""

from __future__ import annotations

from typing import Any

from .cluster import endpoint_of
from .controlplane.api import Api
from .machine.components import pidfile
from .machine.console import Failed
from .machine.layout import Layout, Spec, read_spec
from .machine.processes import read_record
from .nodes.nodeconfig import Node


def report(layout: Layout) -> tuple[str, bool]:
    """A table of components and nodes, and whether all of them are well."""
    spec = read_spec(layout)
    if spec is None:
        raise Failed(f"there is no cluster {layout.name}")
    rows, running = _components(layout, spec)
    nodes, ready = _nodes(layout, spec)
    return "\n".join((*table(rows), "", *nodes)), running and ready


def component_names(layout: Layout, spec: Spec) -> list[str]:
    """Every daemon that the cluster should have."""
    names = ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"]
    if spec.nodes:
        names = ["init", *names, "kube-proxy", "coredns", "registry"]
        if pidfile(layout, "slirp4netns").exists():
            names.append("slirp4netns")
    for number in range(1, spec.nodes + 1):
        node = Node(layout, spec, number)
        names += [node.containerd, node.kubelet]
    return [*names, "kwok"] if spec.kwok else names


def duration(seconds: float) -> str:
    """As in ``3d4h``, ``2h5m``, ``7m`` or ``12s``."""
    minutes, hours, days = int(seconds // 60), int(seconds // 3600), int(seconds // 86400)
    if days:
        return f"{days}d{hours % 24}h"
    if hours:
        return f"{hours}h{minutes % 60}m"
    return f"{minutes}m" if minutes else f"{int(seconds)}s"


def table(rows: list[tuple[str, ...]]) -> list[str]:
    """Rows as lines, with columns under each other."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _components(layout: Layout, spec: Spec) -> tuple[list[tuple[str, ...]], bool]:
    rows: list[tuple[str, ...]] = [("COMPONENT", "PID", "UP", "VERSION", "LOG")]
    well = True
    for name in component_names(layout, spec):
        record = read_record(pidfile(layout, name))
        log = str(layout.logs / f"{name}.log")
        if record and record.process.alive():
            process = record.process
            rows.append((name, str(process.pid), duration(process.uptime()), record.version or "-", log))
        else:
            rows.append((name, "-", "not running", record.version if record and record.version else "-", log))
            well = False
    return rows, well


def _nodes(layout: Layout, spec: Spec) -> tuple[list[str], bool]:
    endpoint = endpoint_of(spec)
    try:
        nodes = Api(endpoint.address, endpoint.port, layout.pki).items("/api/v1/nodes")
    except (OSError, Failed) as error:
        return [f"nodes: unknown ({error})"], False
    real = [node for node in nodes if node["metadata"].get("labels", {}).get("type") != "kwok"]
    rows: list[tuple[str, ...]] = [("NODE", "READY", "ADDRESS", "VERSION")]
    for node in real:
        version = node["status"]["nodeInfo"]["kubeletVersion"]
        rows.append((node["metadata"]["name"], _ready(node), _addresses(node), version))
    fake = f"{len(nodes) - len(real)} fake nodes"
    lines = table(rows) if real else ["no real nodes"]
    return [*lines, *([fake] if spec.kwok else [])], all(row[1] == "True" for row in rows[1:])


def _addresses(node: dict[str, Any]) -> str:
    found = [a["address"] for a in node["status"].get("addresses", []) if a["type"] == "InternalIP"]
    return ",".join(found) or "-"


def _ready(node: dict[str, Any]) -> str:
    for condition in node["status"].get("conditions", []):
        if condition["type"] == "Ready":
            return str(condition["status"])
    return "Unknown"
