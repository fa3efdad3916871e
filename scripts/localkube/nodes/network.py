"""The links, routes and rules that make the addresses of a cluster with nodes work.

All of it is inside the cluster's network namespace and goes with it; the host sees one end of a veth pair, the
only way in, with a route to the pods behind it.
"""

from __future__ import annotations

import ipaddress
import json
import subprocess
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from localkube.machine import egress, firewall
from localkube.machine.addresses import (
    IPV6,
    LINKS,
    has,
    host_addresses,
    inside_addresses,
    is_ipv6,
    link_ranges,
    node_addresses,
    pods_of,
    pods_on,
)
from localkube.machine.components import running
from localkube.machine.console import Failed
from localkube.machine.layout import Layout, Spec, read_spec
from localkube.machine.namespaces import run_inside

_LINK_CHOICES = 256
_POD_CHOICES = ("10.244", "10.245", "10.246", "10.247")
MAX_NODES = 200


def link_name(spec: Spec) -> str:
    """The host's veth device."""
    return f"localkube{spec.link}"


def bridge_of(number: int) -> str:
    """The bridge that a node's pods are attached to."""
    return f"pods{number}"


def choose(layout: Layout, spec: Spec) -> Spec:
    """The specification with a link and a pod range that nothing on the host uses; unchanged while it runs.

    Raises Failed if there is none. Pods' addresses may clash with the host's as a last resort: then only the
    host cannot reach them.
    """
    if running(layout, "init"):
        return spec
    if read_spec(layout):
        # Its namespaces may have gone a moment ago: the kernel takes the link away in its own time.
        wait_for_link_to_go(link_name(spec), 5)
    taken = ranges_of(_host_routes())
    links = (spec.link, *range(_LINK_CHOICES))
    link = next((number for number in links if _is_free_link(replace(spec, link=number), taken)), None)
    if link is None:
        raise Failed(f"every network in {LINKS} is in use on this machine")
    choices = (spec.pods, *_POD_CHOICES)
    pods = next((prefix for prefix in choices if is_free(f"{prefix}.0.0/16", taken)), spec.pods)
    return replace(spec, link=link, pods=pods)


def is_free(wanted: str, taken: Iterable[str]) -> bool:
    """Whether a range overlaps none of the others; a default route overlaps nothing."""
    network = ipaddress.ip_network(wanted)
    return not any(network.overlaps(ipaddress.ip_network(other)) for other in taken)


def _is_free_link(spec: Spec, taken: Sequence[str]) -> bool:
    """Whether nothing on the host uses the link's ranges; those of IPv6 pods come with the link."""
    wanted = [*link_ranges(spec), *(pods for pods in pods_of(spec) if is_ipv6(pods))]
    return all(is_free(network, taken) for network in wanted)


def ranges_of(routes: Sequence[dict[str, str]]) -> list[str]:
    """Destinations in the output of ``ip -json route show table all``, without the default route."""
    ends = [route["dst"] for route in routes if route["dst"] not in ("0.0.0.0/0", "::/0")]
    return [end for end in ends if end[0].isdigit() or is_ipv6(end)]


def ensure(layout: Layout, spec: Spec, inside: int) -> None:
    """Make the links, addresses, routes and rules that are missing, and a way out to the internet if possible.

    `inside`: pid of the cluster's init process.
    """
    firewall.select_variant(layout, inside)
    if has(spec, IPV6):
        firewall.check_ipv6(inside)
    _link_host(spec, inside)
    for number in range(1, spec.nodes + 1):
        _bridge(spec, number, inside)
    egress.ensure(layout, inside)
    _rules(spec, inside)


def remove_bridge(number: int, inside: int) -> None:
    """Take a node's bridge away."""
    if _has_link(bridge_of(number), inside):
        run_inside(inside, "ip", "link", "del", bridge_of(number))


def wait_for_link_to_go(name: str, seconds: float) -> bool:
    """Wait until the host has no such link; whether that is so."""
    deadline = time.monotonic() + seconds
    while any(link["ifname"] == name for link in json.loads(_ip("-json", "link"))):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def reachable_pods(spec: Spec) -> bool:
    """Whether the host has a route to this cluster's pods."""
    led = {route["dst"] for route in _host_routes() if route.get("dev") == link_name(spec)}
    return led.issuperset(pods_of(spec))


def _link_host(spec: Spec, inside: int) -> None:
    name = link_name(spec)
    if not _has_link("host0", inside):
        _ip("link", "add", name, "type", "veth", "peer", "name", "host0", "netns", str(inside))
    for address in inside_addresses(spec):
        run_inside(inside, *_add_address(address, "host0"))
    run_inside(inside, "ip", "link", "set", "host0", "up")
    run_inside(inside, "ip", "link", "set", "lo", "up")
    for address in host_addresses(spec):
        _ip(*_add_address(address, name)[1:])
    _ip("link", "set", name, "up")
    gateways = {is_ipv6(address): address.partition("/")[0] for address in inside_addresses(spec)}
    for pods in pods_of(spec):
        if is_free(pods, ranges_of(_host_routes())):
            _ip("route", "add", pods, "via", gateways[is_ipv6(pods)], "dev", name)


def _bridge(spec: Spec, number: int, inside: int) -> None:
    name = bridge_of(number)
    if not _has_link(name, inside):
        run_inside(inside, "ip", "link", "add", name, "type", "bridge")
    for address, pods in zip(node_addresses(spec, number), pods_on(spec, number), strict=True):
        run_inside(inside, *_add_address(f"{address}/{ipaddress.ip_network(pods).prefixlen}", name))
    run_inside(inside, "ip", "link", "set", name, "up")


def _rules(spec: Spec, inside: int) -> None:
    _set(inside, "net/ipv4/ip_forward", "1")
    if has(spec, IPV6):
        _set(inside, "net/ipv6/conf/all/forwarding", "1")
    # Packets between pods of one node pass the bridge alone; Services need them to pass iptables too.
    if sees_bridged_packets():
        _set(inside, "net/bridge/bridge-nf-call-iptables", "1")
        if has(spec, IPV6):
            _set(inside, "net/bridge/bridge-nf-call-ip6tables", "1")
    # Between pods nothing is translated, as a pod network should have it; on the way out the pods share an address.
    # slirp4netns knows the way for IPv4 alone.
    for pods in pods_of(spec):
        if not is_ipv6(pods):
            firewall.ensure_rule(inside, "nat", "POSTROUTING", ("-s", pods, "-o", egress.DEVICE, "-j", "MASQUERADE"))


def sees_bridged_packets() -> bool:
    """Whether this kernel can show packets within a bridge to iptables; loading the module is the host's matter."""
    return Path("/proc/sys/net/bridge/bridge-nf-call-iptables").exists()


def _set(inside: int, key: str, value: str) -> None:
    """Set a sysctl of the cluster's own network namespace."""
    run_inside(inside, "sh", "-c", f"echo {value} > /proc/sys/{key}")


def _has_link(name: str, inside: int) -> bool:
    return any(link["ifname"] == name for link in json.loads(run_inside(inside, "ip", "-json", "link")))


def _host_routes() -> list[dict[str, str]]:
    routes: list[dict[str, str]] = []
    for family in ("-4", "-6"):
        routes += json.loads(_ip("-json", family, "route", "show", "table", "all") or "[]")
    return routes


def _add_address(address: str, device: str) -> list[str]:
    # Nobody else has an address of ours: one of IPv6 can be used at once, without asking around.
    return ["ip", "address", "replace", address, "dev", device, *(["nodad"] if is_ipv6(address) else [])]


def _ip(*arguments: str) -> str:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failed(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout
