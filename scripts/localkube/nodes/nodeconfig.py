"""Configuration of a node's daemons and of the cluster's own, as text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from localkube.controlplane.daemons import Endpoint, user_kubeconfig
from localkube.controlplane.pki import Certificate
from localkube.machine.addresses import inside_address, is_ipv6, node_address, node_addresses, pods_of, pods_on
from localkube.machine.binaries import Binary
from localkube.machine.cgroups import root_of
from localkube.machine.components import Component
from localkube.machine.layout import Layout, Spec

from .network import bridge_of
from .published import hosts_toml

PAUSE_IMAGE = "localhost/local-kubernetes/pause:1"


@dataclass(frozen=True)
class Node:
    """One real node: its number, from 1, and all that follows from it."""

    layout: Layout
    spec: Spec
    number: int

    @property
    def name(self) -> str:
        """Its name in Kubernetes."""
        return f"node-{self.number}"

    @property
    def address(self) -> str:
        """Its first InternalIP."""
        return node_address(self.spec, self.number)

    @property
    def addresses(self) -> list[str]:
        """All of them."""
        return node_addresses(self.spec, self.number)

    @property
    def state(self) -> Path:
        """What it keeps."""
        return self.layout.node_state(self.name)

    @property
    def run(self) -> Path:
        """Its sockets."""
        return self.layout.node_run(self.name)

    @property
    def socket(self) -> Path:
        """Where its containerd listens."""
        return self.run / "containerd.sock"

    @property
    def kubelet(self) -> str:
        """Name of its kubelet as a component."""
        return f"{self.name}-kubelet"

    @property
    def containerd(self) -> str:
        """Name of its containerd as a component."""
        return f"{self.name}-containerd"

    @property
    def certificate(self) -> Certificate:
        """Its kubelet's identity, as the Node authorizer wants it, and what it serves logs and exec with."""
        names = (*(f"IP:{address}" for address in self.addresses), f"DNS:{self.name}")
        return Certificate(self.kubelet, f"system:node:{self.name}", "system:nodes", names)


def containerd(node: Node, binary: Binary, plugins: Path, snapshotter: str) -> Component:
    """A node's container runtime, with images, containers and pod network of its own."""
    network = node.state / "cni"
    files = {
        node.state / "containerd.toml": _containerd_toml(node, plugins, network, snapshotter),
        network / "10-pods.conflist": _pod_network(node),
        node.state / "registries/_default/hosts.toml": hosts_toml(),
    }
    argv = (f"{binary.path}", f"--config={node.state}/containerd.toml", "--log-level=warn")
    return Component(node.containerd, argv, binary.version, files)


def _containerd_toml(node: Node, plugins: Path, network: Path, snapshotter: str) -> str:
    cri = 'plugins."io.containerd.grpc.v1.cri"'
    return f"""\
version = 2
root = "{node.state}/containerd"
state = "{node.run}/containerd"
[grpc]
  address = "{node.socket}"
[{cri}]
  sandbox_image = "{PAUSE_IMAGE}"
  # Without CAP_SYS_RESOURCE, which containers often lack, no score may be lowered and runc would fail trying.
  restrict_oom_score_adj = true
[{cri}.registry]
  config_path = "{node.state}/registries"
[{cri}.cni]
  bin_dir = "{plugins}"
  conf_dir = "{network}"
[{cri}.containerd]
  snapshotter = "{snapshotter}"
[{cri}.containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[{cri}.containerd.runtimes.runc.options]
  SystemdCgroup = false
"""


def _pod_network(node: Node) -> str:
    """A bridge per node, which is also its pods' gateway. Addresses are noted in the namespaces' own /var/lib/cni."""
    ranges = pods_on(node.spec, node.number)
    bridge = {
        "type": "bridge",
        "bridge": bridge_of(node.number),
        "isGateway": True,
        "hairpinMode": True,
        "ipam": {
            "type": "host-local",
            "ranges": [[{"subnet": pods}] for pods in ranges],
            "routes": [{"dst": "::/0" if is_ipv6(pods) else "0.0.0.0/0"} for pods in ranges],
        },
    }
    ports = {"type": "portmap", "capabilities": {"portMappings": True}}
    plugins = {"cniVersion": "1.0.0", "name": f"pods-{node.name}", "plugins": [bridge, ports]}
    return json.dumps(plugins, indent=2) + "\n"


def kubelet(node: Node, endpoint: Endpoint, binary: Binary, resolver: Path) -> Component:
    """A node's agent."""
    kubeconfig, text = user_kubeconfig(node.layout, endpoint, node.kubelet)
    configuration = node.state / "kubelet.json"
    argv = (
        f"{binary.path}",
        f"--config={configuration}",
        f"--kubeconfig={kubeconfig}",
        f"--hostname-override={node.name}",
        f"--node-ip={','.join(node.addresses)}",
        f"--root-dir={node.state}/kubelet",
        f"--cert-dir={node.state}/kubelet/pki",
    )
    files = {configuration: json.dumps(_kubelet_settings(node, endpoint, resolver), indent=2) + "\n", kubeconfig: text}
    return Component(node.kubelet, argv, binary.version, files)


def _kubelet_settings(node: Node, endpoint: Endpoint, resolver: Path) -> dict[str, object]:
    pki = node.layout.pki
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": f"{pki}/ca.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": f"{pki}/{node.kubelet}.crt",
        "tlsPrivateKeyFile": f"{pki}/{node.kubelet}.key",
        "address": node.address,
        "healthzPort": 0,
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": root_of(node.layout, node.name),
        "enforceNodeAllocatable": [],
        "failSwapOn": False,
        "failCgroupV1": False,
        # With this the kubelet only reads the machine's sysctls; init.py shows it those that it wants.
        "protectKernelDefaults": True,
        "containerRuntimeEndpoint": f"unix://{node.socket}",
        "imageServiceEndpoint": f"unix://{node.socket}",
        "clusterDNS": [endpoint.dns_service],
        "clusterDomain": "cluster.local",
        "resolvConf": f"{resolver}",
        # The disk is the machine's: however full others made it, evicting pods would not help.
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "200Mi", "imagefs.available": "200Mi"},
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "podLogsDir": f"{node.state}/podlogs",
        "volumePluginDir": f"{node.state}/volume-plugins",
    }


def kube_proxy(layout: Layout, spec: Spec, endpoint: Endpoint, binary: Binary, bridged: bool) -> Component:
    """Services for all nodes at once, which share a network namespace.

    `bridged`: whether iptables sees packets within a bridge. If not, answers must be made to come back through it.
    """
    kubeconfig, text = user_kubeconfig(layout, endpoint, "kube-proxy")
    configuration = layout.state / "config" / "kube-proxy.json"
    settings = {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "clientConnection": {"kubeconfig": f"{kubeconfig}"},
        "clusterCIDR": ",".join(pods_of(spec)),
        "hostnameOverride": "node-1",
        "iptables": {"masqueradeAll": not bridged},
        # These limits belong to the machine.
        "conntrack": {
            "maxPerCore": 0,
            "min": 0,
            "tcpEstablishedTimeout": "0s",
            "tcpCloseWaitTimeout": "0s",
        },
    }
    if is_ipv6(node_address(spec, 1)):
        # It starts before the Node is there that would tell it which family comes first.
        settings["bindAddress"] = node_address(spec, 1)
    files = {configuration: json.dumps(settings, indent=2) + "\n", kubeconfig: text}
    return Component("kube-proxy", (f"{binary.path}", f"--config={configuration}"), binary.version, files)


def coredns(layout: Layout, spec: Spec, endpoint: Endpoint, binary: Binary, upstream: str | None) -> Component:
    """Names of Services and pods, and of the rest of the world if there is an `upstream` to ask."""
    kubeconfig, text = user_kubeconfig(layout, endpoint, "coredns")
    others = f"forward . {upstream}" if upstream else "template ANY ANY {\n        rcode NXDOMAIN\n    }"
    corefile = f"""\
.:53 {{
    bind {node_address(spec, 1)} {inside_address(spec)}
    errors
    kubernetes cluster.local in-addr.arpa ip6.arpa {{
        kubeconfig {kubeconfig}
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
    }}
    cache 30 {{
        disable success cluster.local
        disable denial cluster.local
    }}
    loadbalance
    {others}
}}
"""
    path = layout.state / "config" / "Corefile"
    files: Mapping[Path, str] = {path: corefile, kubeconfig: text}
    return Component("coredns", (f"{binary.path}", f"-conf={path}"), binary.version, files)
