"""Real nodes: a containerd and a kubelet each, with Services and names for all of them."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from localkube.controlplane import manifests
from localkube.controlplane.api import Api
from localkube.controlplane.daemons import Endpoint
from localkube.machine import cgroups, egress, firewall
from localkube.machine.addresses import inside_address, is_ipv6, node_address
from localkube.machine.binaries import Binary
from localkube.machine.components import Component, ensure_running, running, stop_component, wait_until
from localkube.machine.console import step
from localkube.machine.layout import Layout, Spec
from localkube.machine.namespaces import EGRESS_DNS, resolv_conf

from . import dns, network, published
from .nodeconfig import Node, coredns, kube_proxy, kubelet
from .nodefailure import kill_node
from .runtimes import start_runtimes

_READY_SECONDS = 180.0
_PROBE = "kubernetes.default.svc.cluster.local"


def ensure(layout: Layout, spec: Spec, endpoint: Endpoint, binaries: Mapping[str, Binary], inside: int) -> None:
    """Make the specification's nodes run and wait until they are Ready and names resolve; remove others."""
    api = Api(endpoint.address, endpoint.port, layout.pki)
    nodes = [Node(layout, spec, number) for number in range(1, spec.nodes + 1)]
    for number in removable(layout, spec.nodes):
        _remove(Node(layout, spec, number), api, inside)
    start_runtimes(nodes, inside)
    _start_services(layout, spec, endpoint, binaries, inside)
    for node in nodes:
        ensure_running(layout, kubelet(node, endpoint, binaries["kubelet"], resolv_conf(layout)), inside)
    _wait_for_names(layout, spec)
    _wait_for_nodes(nodes, api)


def start_node(node: Node, endpoint: Endpoint, binaries: Mapping[str, Binary], inside: int) -> None:
    """Make one node run and wait until it is Ready."""
    firewall.select_variant(node.layout, inside)
    start_runtimes([node], inside)
    agent = kubelet(node, endpoint, binaries["kubelet"], resolv_conf(node.layout))
    ensure_running(node.layout, agent, inside)
    _wait_for_nodes([node], Api(endpoint.address, endpoint.port, node.layout.pki))


def removable(layout: Layout, wanted: int) -> list[int]:
    """Numbers of nodes that are there and no longer wanted, the highest first."""
    names = [path.name for path in (layout.state / "nodes").glob("node-*")]
    return sorted((n for n in (int(name.removeprefix("node-")) for name in names) if n > wanted), reverse=True)


def is_ready(node: Mapping[str, Any], since: float) -> bool:
    """Whether a Node is Ready by a word that its kubelet said after `since` (seconds since the epoch).

    After a restart the API server still holds what the kubelet said before.
    """
    for condition in node["status"].get("conditions", []):
        if condition["type"] == "Ready":
            said = datetime.strptime(condition["lastHeartbeatTime"], "%Y-%m-%dT%H:%M:%S%z").timestamp()
            # The API's times are whole seconds.
            return bool(condition["status"] == "True") and said >= since - 1
    return False


def _start_services(
    layout: Layout, spec: Spec, endpoint: Endpoint, binaries: Mapping[str, Binary], inside: int
) -> None:
    bridged = network.sees_bridged_packets()
    upstream = EGRESS_DNS if egress.works(layout) else None
    daemons: list[Component] = [
        published.component(layout),
        kube_proxy(layout, spec, endpoint, binaries["kube-proxy"], bridged),
        coredns(layout, spec, endpoint, binaries["coredns"], upstream),
    ]
    for daemon in daemons:
        ensure_running(layout, daemon, inside)
    api = Api(endpoint.address, endpoint.port, layout.pki)
    for path, thing in manifests.dns(endpoint.dns_service, node_address(spec, 1)):
        api.apply(path, thing)


def _wait_for_names(layout: Layout, spec: Spec) -> None:
    answers = partial(dns.resolves, inside_address(spec), _PROBE, is_ipv6(node_address(spec, 1)))
    if not answers():
        with step("waiting for CoreDNS to answer"):
            wait_until(layout, answers, "coredns", 180)


def _wait_for_nodes(nodes: Sequence[Node], api: Api) -> None:
    waiting = [node for node in nodes if not _says_ready(node, api)]
    if not waiting:
        return
    with step(f"waiting for {len(waiting)} of {len(nodes)} nodes to be Ready"):
        for node in waiting:
            says_ready = partial(_says_ready, node, api)
            wait_until(node.layout, says_ready, node.kubelet, _READY_SECONDS, f"{node.name} is not Ready")


def _says_ready(node: Node, api: Api) -> bool:
    record = running(node.layout, node.kubelet)
    status, text = api.request("GET", f"/api/v1/nodes/{node.name}")
    if record is None or status != 200:
        return False
    return is_ready(json.loads(text), since=time.time() - record.process.uptime())


def _remove(node: Node, api: Api, inside: int) -> None:
    with step(f"removing {node.name}"):
        kill_node(node)
        for name in (node.kubelet, node.containerd):
            stop_component(node.layout, name)
        for pod in api.items(f"/api/v1/pods?fieldSelector=spec.nodeName%3D{node.name}"):
            metadata = pod["metadata"]
            api.delete(f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}")
        api.delete(f"/api/v1/nodes/{node.name}")
        network.remove_bridge(node.number, inside)
        cgroups.remove(node.layout, node.name)
        # What is still mounted there in the cluster's own mount namespace is detached by this. The state comes
        # last: as long as it is there, an interrupted removal goes on with the next call.
        for directory in (node.run, node.state):
            if directory.exists():
                shutil.rmtree(directory)
