"""Brings a cluster to what it is asked to be, from whatever state it is in."""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from .controlplane import daemons, manifests
from .controlplane.api import Api, kubeconfig
from .controlplane.daemons import Endpoint
from .controlplane.pki import issue
from .machine import egress, namespaces, packages
from .machine.addresses import IPV4, has, inside_address, node_address, pods_of
from .machine.binaries import CONTROL_PLANE, NODES, Binary, ensure
from .machine.components import ensure_running, log_tail, running, stop_component, wait_until
from .machine.console import Failed, say, step
from .machine.layout import Layout, Spec, alone, locked, read_spec, write_spec
from .nodes import kwok, network, realnodes
from .nodes.nodeconfig import Node
from .nodes.nodefailure import kill_node

# A machine that is busy with other things takes minutes.
_API_SERVER_SECONDS = 300.0


def up(layout: Layout, nodes: int | None, kwok_nodes: int | None, ip_family: str | None = None) -> None:
    """Make the cluster run with this many real and fake nodes and these addresses; None leaves what there is.

    Raises CannotRunHere or Failed; called again, it goes on from where it stopped.
    """
    begin = time.monotonic()
    with locked(layout):
        spec = wanted(read_spec(layout), nodes, kwok_nodes, ip_family)
        if spec.nodes:
            packages.ensure_node_prerequisites(layout)
        binaries = ensure((*(NODES if spec.nodes else CONTROL_PLANE), *(["kwok"] if spec.kwok else [])))
        _make_directories(layout)
        if spec.nodes:
            spec = _up_with_nodes(layout, spec, binaries)
        else:
            spec = _up_alone(layout, spec, binaries)
        say(f"{_summary(layout, spec, binaries)}\n  ready after {time.monotonic() - begin:.1f} s")


def wanted(current: Spec | None, nodes: int | None, kwok_nodes: int | None, ip_family: str | None = None) -> Spec:
    """What the cluster should be, from what it is and what was asked for.

    Raises Failed where it cannot become that: namespaces cannot be put around components that run, and what runs
    keeps its addresses.
    """
    if current is None:
        return Spec(nodes=3 if nodes is None else nodes, kwok=kwok_nodes or 0, ip_family=ip_family or IPV4)
    if ip_family not in (None, current.ip_family):
        raise Failed(
            f"this cluster has --ip-family {current.ip_family} and was asked for {ip_family}: use another --name, "
            "or 'down' first"
        )
    if nodes is not None and (nodes == 0) != (current.nodes == 0):
        has, asked = ("real nodes", "none") if current.nodes else ("a control plane only", "real nodes")
        raise Failed(f"this cluster has {has} and was asked for {asked}: use another --name, or 'down' first")
    return replace(
        current,
        nodes=current.nodes if nodes is None else nodes,
        kwok=current.kwok if kwok_nodes is None else kwok_nodes,
    )


def api_of(layout: Layout, endpoint: Endpoint) -> Api:
    """A client of the cluster's API server."""
    return Api(endpoint.address, endpoint.port, layout.pki)


def endpoint_of(spec: Spec) -> Endpoint:
    """How the cluster's API server is reached."""
    if not spec.nodes:
        return Endpoint("127.0.0.1", spec.port, None, spec.ip_family)
    return Endpoint(inside_address(spec), 6443, node_address(spec, 1), spec.ip_family)


def _up_alone(layout: Layout, spec: Spec, binaries: Mapping[str, Binary]) -> Spec:
    if running(layout, "kube-apiserver") is None:
        spec = replace(spec, port=_free_port(spec.port))
    write_spec(layout, spec)
    _control_plane(layout, spec, binaries, inside=None)
    _fake_nodes(layout, spec, binaries)
    return spec


def _up_with_nodes(layout: Layout, spec: Spec, binaries: Mapping[str, Binary]) -> Spec:
    # What is chosen is taken only when the link is there.
    with alone(layout, "network"):
        spec = network.choose(layout, spec)
        write_spec(layout, spec)
        inside = namespaces.ensure_init(layout)
        network.ensure(layout, spec, inside)
    _control_plane(layout, spec, binaries, inside)
    realnodes.ensure(layout, spec, endpoint_of(spec), binaries, inside)
    _fake_nodes(layout, spec, binaries, inside)
    return spec


def _control_plane(layout: Layout, spec: Spec, binaries: Mapping[str, Binary], inside: int | None) -> None:
    endpoint = endpoint_of(spec)
    issue(layout.pki, daemons.certificates(endpoint))
    _write_kubeconfig(layout, endpoint)
    api = api_of(layout, endpoint)

    def accepts_pods() -> bool:
        # Pods are refused in a namespace until the controllers have made its service account.
        return api.request("GET", "/api/v1/namespaces/default/serviceaccounts/default")[0] == 200

    etcd, apiserver, *controllers = daemons.components(layout, endpoint, binaries)
    for daemon in (etcd, apiserver):
        ensure_running(layout, daemon, inside)
    if not api.ready():
        with step("starting the API server"):
            wait_until(layout, api.ready, "kube-apiserver", _API_SERVER_SECONDS)
    # Every time, since an earlier call may have been interrupted right before this.
    for path, role in manifests.roles():
        api.apply(path, role)
    # Not before the API server is ready: they would wait for it no longer than ten seconds.
    for daemon in controllers:
        ensure_running(layout, daemon, inside)
    if not accepts_pods():
        with step("starting scheduler and controllers"):
            wait_until(layout, accepts_pods, "kube-controller-manager", 180)
    for daemon in controllers:
        if running(layout, daemon.name) is None:
            raise Failed(f"{daemon.name} ended{log_tail(layout, daemon.name)}")


def _fake_nodes(layout: Layout, spec: Spec, binaries: Mapping[str, Binary], inside: int | None = None) -> None:
    endpoint = endpoint_of(spec)
    api = api_of(layout, endpoint)
    if spec.kwok:
        ensure_running(layout, kwok.component(layout, endpoint, binaries["kwok"]), inside)
    kwok.ensure_nodes(api, spec.kwok, beside_real_nodes=spec.nodes > 0)
    if not spec.kwok:
        stop_component(layout, "kwok")
        return
    selector = "/api/v1/nodes?labelSelector=type%3Dkwok"
    if kwok.all_ready(api.items(selector)):
        return
    with step(f"waiting for {spec.kwok} fake nodes"):
        wait_until(layout, lambda: kwok.all_ready(api.items(selector)), "kwok", 60 + spec.kwok / 20)


def stop_node(layout: Layout, number: int) -> None:
    """Let a node fail."""
    with locked(layout):
        node = _node(layout, number)
        with step(f"stopping {node.name}"):
            kill_node(node)


def start_node(layout: Layout, number: int) -> None:
    """Bring a stopped node back and wait until it is Ready."""
    with locked(layout):
        node = _node(layout, number)
        init = running(layout, "init")
        if init is None:
            raise Failed(f"cluster {layout.name} does not run: 'up' starts it")
        realnodes.start_node(node, endpoint_of(node.spec), ensure(["kubelet"]), init.process.pid)


def _node(layout: Layout, number: int) -> Node:
    spec = read_spec(layout)
    if spec is None or not 1 <= number <= spec.nodes:
        raise Failed(f"cluster {layout.name} has no real node {number}")
    return Node(layout, spec, number)


def _make_directories(layout: Layout) -> None:
    for path in (layout.state, layout.run):
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(0o700)
    for path in (layout.logs, layout.pids, layout.pki):
        path.mkdir(exist_ok=True)


def _write_kubeconfig(layout: Layout, endpoint: Endpoint) -> None:
    text = kubeconfig(endpoint.url, layout.pki, "admin", layout.name)
    path = layout.kubeconfig
    if path.exists() and path.read_text() == text:
        return
    partial = path.with_name("kubeconfig.partial")
    partial.touch(mode=0o600)
    partial.write_text(text)
    partial.replace(path)


def _free_port(preferred: int) -> int:
    """`preferred` if no process listens on it, else one that the system finds free."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            # As the API server will: a port in TIME_WAIT is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise Failed("no port on 127.0.0.1 is free")


def _summary(layout: Layout, spec: Spec, binaries: Mapping[str, Binary]) -> str:
    counts = [f"{spec.nodes} nodes" if spec.nodes else "control plane only, no real nodes"]
    if spec.kwok:
        counts.append(f"{spec.kwok} fake nodes")
    program = Path("scripts/local-kubernetes")
    name = "" if layout.name == "ray" else f" --name {layout.name}"
    lines = [
        f"cluster {layout.name}: {', '.join(counts)}, Kubernetes {binaries['kube-apiserver'].version}",
        f"  kubeconfig {layout.kubeconfig}",
        f"  logs       {layout.logs}",
        f"  remove     {program} down{name}",
    ]
    if spec.nodes:
        lines[1:1] = _network_summary(layout, spec)
    return "\n".join(lines)


def _network_summary(layout: Layout, spec: Spec) -> list[str]:
    there = ", ".join(pods_of(spec)) if network.reachable_pods(spec) else "not reachable from this machine"
    out = "through slirp4netns" if egress.works(layout) and has(spec, IPV4) else "none"
    return [f"  pods       {there}", f"  internet   {out}"]
