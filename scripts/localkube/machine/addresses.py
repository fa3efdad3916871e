"""Addresses of a cluster with nodes, in each family that it has: of its link to the host, its nodes, pods and Services.

Those of IPv4 come from ranges that others use too, so they are chosen to fit the host. Those of IPv6 are unique local
ones (RFC 4193), under a prefix that was drawn for this program.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping

from .layout import Spec

IPV4, IPV6, DUAL = "ipv4", "ipv6", "dual"
# What a cluster can be asked for; the first family is that of Services and of what Kubernetes calls an address.
FAMILIES: Mapping[str, tuple[str, ...]] = {IPV4: (IPV4,), IPV6: (IPV6,), DUAL: (IPV4, IPV6)}
# Addresses for tests of networks (RFC 2544), which are not routed.
LINKS = ipaddress.IPv4Network("198.18.0.0/16")
_SERVICES = {IPV4: "10.96.0.0/16", IPV6: "fd5b:d1a4:7eff:ffff::/112"}


def has(spec: Spec, family: str) -> bool:
    """Whether the cluster has addresses of this family."""
    return family in FAMILIES[spec.ip_family]


def services_of(ip_family: str) -> list[str]:
    """The ranges of Services."""
    return [_SERVICES[family] for family in FAMILIES[ip_family]]


def service_address(ip_family: str, number: int) -> str:
    """One of the Services' addresses."""
    return str(ipaddress.ip_network(services_of(ip_family)[0])[number])


def host_addresses(spec: Spec) -> list[str]:
    """The host's end of the link, with the length of its network; that of IPv4 is always there."""
    return _on_link(spec, 1)


def inside_addresses(spec: Spec) -> list[str]:
    """The cluster's end of the link, with the length of its network."""
    return _on_link(spec, 2)


def inside_address(spec: Spec) -> str:
    """Where the host finds the API server, whatever the pods have."""
    return inside_addresses(spec)[0].partition("/")[0]


def link_ranges(spec: Spec) -> list[str]:
    """What nothing else on the host may use."""
    return [str(ipaddress.ip_interface(address).network) for address in host_addresses(spec)]


def pods_of(spec: Spec) -> list[str]:
    """The ranges of all pods' addresses."""
    ranges = {IPV4: f"{spec.pods}.0.0/16", IPV6: f"{_prefix(spec)}::/52"}
    return [ranges[family] for family in FAMILIES[spec.ip_family]]


def pods_on(spec: Spec, number: int) -> list[str]:
    """The ranges of a node's pods."""
    ranges = {IPV4: f"{spec.pods}.{number}.0/24", IPV6: f"{_prefix(spec)}:{number:x}::/64"}
    return [ranges[family] for family in FAMILIES[spec.ip_family]]


def node_addresses(spec: Spec, number: int) -> list[str]:
    """A node's own addresses, the gateways of its pods."""
    return [str(ipaddress.ip_network(pods)[1]) for pods in pods_on(spec, number)]


def node_address(spec: Spec, number: int) -> str:
    """The one that Kubernetes knows first."""
    return node_addresses(spec, number)[0]


def fake_pods(ip_family: str) -> str:
    """The range of made-up addresses, apart from the real ones."""
    return {IPV4: "10.200.0.0/14", IPV6: "fd5b:d1a4:7eff:fffe::/64"}[FAMILIES[ip_family][0]]


def is_ipv6(text: str) -> bool:
    """Whether an address or a range is one of IPv6."""
    return ":" in text


def _prefix(spec: Spec) -> str:
    return f"fd5b:d1a4:7e{spec.link:02x}"


def _on_link(spec: Spec, number: int) -> list[str]:
    addresses = [f"{LINKS[spec.link * 256 + number]}/24"]
    return [*addresses, f"{_prefix(spec)}:f000::{number:x}/64"] if has(spec, IPV6) else addresses
