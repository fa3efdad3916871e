"""What a local cluster is asked to be, and what is kept running for it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from localkube import status
from localkube.cluster import endpoint_of, wanted
from localkube.controlplane import daemons, manifests
from localkube.machine import addresses, components
from localkube.machine.binaries import Binary
from localkube.machine.components import Component
from localkube.machine.console import Failed
from localkube.machine.layout import Layout, Spec, is_name, read_spec, write_spec
from localkube.nodes import dns, kwok, nodeconfig, realnodes
from localkube.nodes.network import is_free, ranges_of


def test_new_cluster_has_three_nodes() -> None:
    assert wanted(None, None, None) == Spec(nodes=3, kwok=0)


def test_numbers_not_asked_for_stay() -> None:
    """`up` without options heals a cluster; it doesn't resize it."""
    current = Spec(nodes=5, kwok=7, link=3, pods="10.245")
    assert wanted(current, None, None) == current
    assert wanted(current, 2, None) == replace(current, nodes=2)
    assert wanted(current, None, 0) == replace(current, kwok=0)


@pytest.mark.parametrize(("current", "asked"), [(0, 3), (3, 0)])
def test_nodes_neither_come_to_nor_leave_a_running_control_plane(current: int, asked: int) -> None:
    with pytest.raises(Failed, match="another --name"):
        wanted(Spec(nodes=current, kwok=0), asked, None)


def test_control_plane_alone_stays_on_loopback() -> None:
    endpoint = endpoint_of(Spec(nodes=0, kwok=0, port=7443))
    assert (endpoint.url, endpoint.advertised) == ("https://127.0.0.1:7443", None)


def test_nodes_are_reached_over_their_link() -> None:
    endpoint = endpoint_of(Spec(nodes=1, kwok=0, link=2, pods="10.245"))
    assert (endpoint.url, endpoint.advertised) == ("https://198.18.2.2:6443", "10.245.1.1")


def test_a_family_of_addresses_is_chosen_once() -> None:
    """What runs keeps its addresses: another family needs another cluster."""
    assert wanted(None, 1, None, "ipv6") == Spec(nodes=1, kwok=0, ip_family="ipv6")
    assert wanted(None, 1, None).ip_family == "ipv4"
    current = Spec(nodes=1, kwok=0, ip_family="ipv6")
    assert wanted(current, None, None) == wanted(current, None, None, "ipv6") == current
    with pytest.raises(Failed, match="has --ip-family ipv6 and was asked for dual: use another --name"):
        wanted(current, None, None, "dual")


@pytest.mark.parametrize(
    ("family", "pods", "node", "advertised"),
    [
        ("ipv4", ["10.245.0.0/16"], ["10.245.3.1"], "10.245.1.1"),
        ("ipv6", ["fd5b:d1a4:7e02::/52"], ["fd5b:d1a4:7e02:3::1"], "fd5b:d1a4:7e02:1::1"),
        ("dual", ["10.245.0.0/16", "fd5b:d1a4:7e02::/52"], ["10.245.3.1", "fd5b:d1a4:7e02:3::1"], "10.245.1.1"),
    ],
)
def test_nodes_and_pods_have_addresses_of_each_family(
    family: str, pods: list[str], node: list[str], advertised: str
) -> None:
    """The host reaches the API server by IPv4, whichever it is."""
    spec = Spec(nodes=200, kwok=0, link=2, pods="10.245", ip_family=family)
    assert (addresses.pods_of(spec), addresses.node_addresses(spec, 3)) == (pods, node)
    endpoint = endpoint_of(spec)
    assert (endpoint.url, endpoint.advertised) == ("https://198.18.2.2:6443", advertised)


@pytest.mark.parametrize("family", ["ipv4", "ipv6", "dual"])
def test_no_two_ranges_of_a_cluster_overlap(family: str) -> None:
    spec = Spec(nodes=200, kwok=0, link=255, ip_family=family)
    nodes = [pods for number in (1, 2, 200) for pods in addresses.pods_on(spec, number)]
    ranges = [*nodes, *addresses.link_ranges(spec), *addresses.services_of(family), addresses.fake_pods(family)]
    for number, one in enumerate(ranges):
        assert is_free(one, ranges[:number])
    assert not any(is_free(one, addresses.pods_of(spec)) for one in nodes)


def test_services_names_and_certificates_are_those_of_the_family() -> None:
    endpoint = endpoint_of(Spec(nodes=1, kwok=0, link=2, ip_family="ipv6"))
    assert (endpoint.first_service, endpoint.dns_service) == ("fd5b:d1a4:7eff:ffff::1", "fd5b:d1a4:7eff:ffff::a")
    named = daemons.certificates(endpoint)[0].names
    assert {"IP:198.18.2.2", "IP:fd5b:d1a4:7eff:ffff::1", "IP:fd5b:d1a4:7e02:1::1"} <= set(named)
    slices = [thing for _, thing in manifests.dns(endpoint.dns_service, "fd5b::1") if thing["kind"] == "EndpointSlice"]
    assert [thing["addressType"] for thing in slices] == ["IPv6"]
    assert dns.question("a.b", 7, ipv6=True)[-4:] == bytes([0, 28, 0, 1])


def test_pods_of_both_families_get_an_address_and_a_way_out_of_each(tmp_path: Path) -> None:
    node = nodeconfig.Node(Layout("x", tmp_path, tmp_path), Spec(nodes=1, kwok=0, ip_family="dual"), 1)
    files = nodeconfig.containerd(node, Binary(tmp_path, "1"), tmp_path, "native").files
    ipam = json.loads(files[node.state / "cni/10-pods.conflist"])["plugins"][0]["ipam"]
    assert [pods["subnet"] for (pods,) in ipam["ranges"]] == ["10.244.1.0/24", "fd5b:d1a4:7e00:1::/64"]
    assert [route["dst"] for route in ipam["routes"]] == ["0.0.0.0/0", "::/0"]


def test_ranges_of_the_host_leave_out_what_is_no_range() -> None:
    routes = ["default", "192.0.2.0/24", "127.0.0.1", "0.0.0.0/0", "::/0", "fd00::/64", "fe80::1"]
    assert ranges_of([{"dst": route} for route in routes]) == ["192.0.2.0/24", "127.0.0.1", "fd00::/64", "fe80::1"]


def test_free_range_overlaps_no_other() -> None:
    taken = ["10.244.7.0/24", "192.0.2.1"]
    assert not is_free("10.244.0.0/16", taken)
    assert is_free("10.245.0.0/16", taken)
    assert not is_free("fd5b:d1a4:7e00::/52", ["10.244.0.0/16", "fd5b:d1a4::/32"])
    assert is_free("fd5b:d1a4:7e00::/52", ["10.244.0.0/16", "fd00::/64"])


def test_specification_survives_on_disk(tmp_path: Path) -> None:
    layout = Layout("x", tmp_path, tmp_path)
    assert read_spec(layout) is None
    write_spec(layout, Spec(nodes=2, kwok=1, port=1, link=4, pods="10.246"))
    assert read_spec(layout) == Spec(nodes=2, kwok=1, port=1, link=4, pods="10.246")


def test_specification_of_another_version_is_told_from_none(tmp_path: Path) -> None:
    (tmp_path / "cluster.json").write_text('{"machines": 3}')
    with pytest.raises(Failed, match="'down' first"):
        read_spec(Layout("x", tmp_path, tmp_path))


@pytest.mark.parametrize(("name", "good"), [("ray", True), ("a-1", True), ("-a", False), ("A", False), ("../x", False)])
def test_names_are_safe_in_paths(name: str, good: bool) -> None:
    assert is_name(name) is good


def test_a_component_is_another_once_its_configuration_changes(tmp_path: Path) -> None:
    """This is what makes `up` restart exactly what changed."""
    one = Component("etcd", ("/bin/etcd",), "v1", {tmp_path: "a"})
    assert one.digest == replace(one).digest
    others = (replace(one, files={tmp_path: "b"}), replace(one, argv=("/bin/etcd", "-x")), replace(one, version="v2"))
    assert one.digest not in {other.digest for other in others}


def test_log_tail_is_short_and_says_where_the_rest_is(tmp_path: Path) -> None:
    layout = Layout("x", tmp_path, tmp_path)
    layout.logs.mkdir()
    (layout.logs / "etcd.log").write_text("".join(f"line {number}\n" for number in range(1000)))
    tail = components.log_tail(layout, "etcd", lines=2)
    assert tail == f"\n    line 998\n    line 999\n  all of it: {layout.logs}/etcd.log"


def test_every_daemon_is_expected_to_run(tmp_path: Path) -> None:
    names = status.component_names(Layout("x", tmp_path, tmp_path), Spec(nodes=2, kwok=1))
    assert {"init", "etcd", "coredns", "node-2-containerd", "node-2-kubelet", "kwok"} <= set(names)
    alone = status.component_names(Layout("x", tmp_path, tmp_path), Spec(nodes=0, kwok=0))
    assert alone == ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"]


@pytest.mark.parametrize(
    ("seconds", "text"), [(5, "5s"), (65, "1m"), (2 * 3600 + 300, "2h5m"), (86400 * 3 + 3600 * 4, "3d4h")]
)
def test_durations_read_at_a_glance(seconds: float, text: str) -> None:
    assert status.duration(seconds) == text


def test_fake_nodes_beside_real_ones_keep_ordinary_pods_off() -> None:
    assert kwok.node("kwok-node-0", beside_real_nodes=True)["spec"]["taints"][0]["effect"] == "NoSchedule"
    assert kwok.node("kwok-node-0", beside_real_nodes=False)["spec"]["taints"] == []


def test_a_node_is_ready_only_by_word_of_its_present_kubelet() -> None:
    """After a reboot the API server still has what the last kubelet said."""
    condition = {"type": "Ready", "status": "True", "lastHeartbeatTime": "2026-01-01T00:00:00Z"}
    said = 1_767_225_600
    assert realnodes.is_ready({"status": {"conditions": [condition]}}, since=said)
    assert not realnodes.is_ready({"status": {"conditions": [condition]}}, since=said + 60)
    assert not realnodes.is_ready({"status": {"conditions": [{**condition, "status": "False"}]}}, since=said)
    assert not realnodes.is_ready({"status": {}}, since=0)


def test_nodes_above_the_number_wanted_go_highest_first(tmp_path: Path) -> None:
    for number in (1, 2, 10, 3):
        (tmp_path / "nodes" / f"node-{number}").mkdir(parents=True)
    assert realnodes.removable(Layout("x", tmp_path, tmp_path), 2) == [10, 3]
