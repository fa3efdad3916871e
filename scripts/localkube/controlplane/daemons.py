"""etcd and the three Kubernetes control plane components: certificates, command lines, configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from localkube.machine.addresses import IPV4, is_ipv6, service_address, services_of
from localkube.machine.binaries import Binary
from localkube.machine.components import Component
from localkube.machine.layout import Layout

from .api import kubeconfig
from .pki import Certificate

_DNS = 10
# The defaults (20 and 50 requests per second) share a server among many clients. Here they would make the start
# take seconds longer and be what bounds the number of pods per second.
_RATE = ("--kube-api-qps=300", "--kube-api-burst=600")
_IN_CLUSTER = ("kubernetes", "kubernetes.default", "kubernetes.default.svc")


@dataclass(frozen=True)
class Endpoint:
    """How the API server is reached: at `address` from the host, and at `advertised` (if any) from pods. `ip_family`:
    that of Services.
    """

    address: str
    port: int
    advertised: str | None
    ip_family: str = IPV4

    @property
    def url(self) -> str:
        """For clients on the host; inside the cluster's namespaces it works too."""
        return f"https://{self.address}:{self.port}"

    @property
    def first_service(self) -> str:
        """The API server's own Service."""
        return service_address(self.ip_family, 1)

    @property
    def dns_service(self) -> str:
        """Where pods look up names."""
        return service_address(self.ip_family, _DNS)


def certificates(endpoint: Endpoint) -> list[Certificate]:
    """Everyone's identity; the groups and users are those that the built-in roles are bound to."""
    addresses = {"127.0.0.1", endpoint.first_service, endpoint.address, endpoint.advertised or "127.0.0.1"}
    names = (*(f"IP:{address}" for address in sorted(addresses)), "DNS:localhost")
    return [
        Certificate("apiserver", "kube-apiserver", names=(*names, *(f"DNS:{name}" for name in _IN_CLUSTER))),
        Certificate("kubelet-client", "kube-apiserver-kubelet-client"),
        Certificate("admin", "kubernetes-admin", "system:masters"),
        Certificate("kube-controller-manager", "system:kube-controller-manager"),
        Certificate("kube-scheduler", "system:kube-scheduler"),
        Certificate("kube-proxy", "system:kube-proxy"),
        Certificate("coredns", "local-kubernetes:coredns"),
        Certificate("kwok", "local-kubernetes:kwok"),
    ]


def components(layout: Layout, endpoint: Endpoint, binaries: Mapping[str, Binary]) -> list[Component]:
    """The control plane, in the order of starting. The certificates must exist."""
    return [
        _etcd(layout, binaries["etcd"]),
        _apiserver(layout, endpoint, binaries["kube-apiserver"]),
        _controller_manager(layout, endpoint, binaries["kube-controller-manager"]),
        _scheduler(layout, endpoint, binaries["kube-scheduler"]),
    ]


def user_kubeconfig(layout: Layout, endpoint: Endpoint, user: str) -> tuple[Path, str]:
    """Path and text of a component's own kubeconfig."""
    path = layout.state / "config" / f"{user}.kubeconfig"
    return path, kubeconfig(endpoint.url, layout.pki, user, layout.name)


def _etcd(layout: Layout, binary: Binary) -> Component:
    # Clients come through a unix socket: no port to conflict, and the directory keeps other users out. The peer
    # addresses are never connected to, but etcd wants their form to be host:port.
    peer = "http://127.0.0.1:1"
    argv = (
        f"{binary.path}",
        f"--data-dir={layout.state}/etcd",
        f"--listen-client-urls={_etcd_socket(layout)}",
        f"--advertise-client-urls={peer}",
        f"--listen-peer-urls=unix://{layout.run}/peer.sock",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        # Several times faster writes. A power failure may lose or corrupt the data of this cluster, which is
        # made for trying things out; a crash or a kill of etcd does not.
        "--unsafe-no-fsync",
        "--auto-compaction-retention=5m",
        "--logger=zap",
        "--log-level=warn",
    )
    return Component("etcd", argv, binary.version)


def _etcd_socket(layout: Layout) -> str:
    return f"unix://{layout.run}/etcd.sock"


def _apiserver(layout: Layout, endpoint: Endpoint, binary: Binary) -> Component:
    if endpoint.advertised:
        everywhere = "::" if is_ipv6(endpoint.advertised) else "0.0.0.0"
        reach = [f"--bind-address={everywhere}", f"--advertise-address={endpoint.advertised}"]
        reach.append("--endpoint-reconciler-type=lease")
    else:
        # No pod could reach loopback, so the Service "kubernetes" gets no endpoint.
        reach = ["--bind-address=127.0.0.1", "--endpoint-reconciler-type=none"]
    pki = layout.pki
    argv = (
        f"{binary.path}",
        *reach,
        f"--secure-port={endpoint.port}",
        f"--etcd-servers={_etcd_socket(layout)}",
        f"--service-cluster-ip-range={','.join(services_of(endpoint.ip_family))}",
        f"--tls-cert-file={pki}/apiserver.crt",
        f"--tls-private-key-file={pki}/apiserver.key",
        f"--client-ca-file={pki}/ca.crt",
        f"--service-account-key-file={pki}/sa.key",
        f"--service-account-signing-key-file={pki}/sa.key",
        "--service-account-issuer=https://kubernetes.default.svc",
        "--authorization-mode=Node,RBAC",
        # The second asks more of the operator than a usual cluster does, as some clusters do.
        "--enable-admission-plugins=NodeRestriction,OwnerReferencesPermissionEnforcement",
        "--allow-privileged=true",
        "--kubelet-preferred-address-types=InternalIP",
        f"--kubelet-certificate-authority={pki}/ca.crt",
        f"--kubelet-client-certificate={pki}/kubelet-client.crt",
        f"--kubelet-client-key={pki}/kubelet-client.key",
    )
    return Component("kube-apiserver", argv, binary.version, _certificate_file(layout, "apiserver"))


def _certificate_file(layout: Layout, name: str) -> dict[Path, str]:
    """The certificate as one of a component's files, so that a new one makes it restart."""
    path = layout.pki / f"{name}.crt"
    return {path: path.read_text()}


def _controller_manager(layout: Layout, endpoint: Endpoint, binary: Binary) -> Component:
    path, text = user_kubeconfig(layout, endpoint, "kube-controller-manager")
    argv = (
        f"{binary.path}",
        f"--kubeconfig={path}",
        f"--service-account-private-key-file={layout.pki}/sa.key",
        f"--root-ca-file={layout.pki}/ca.crt",
        "--use-service-account-credentials",
        "--leader-elect=false",
        "--allocate-node-cidrs=false",
        "--secure-port=0",
        # Nodes that are played by a process beside it are not lost because that gets no CPU for a minute.
        *(() if endpoint.advertised else ("--node-monitor-grace-period=10m",)),
        *_RATE,
    )
    return Component("kube-controller-manager", argv, binary.version, {path: text})


def _scheduler(layout: Layout, endpoint: Endpoint, binary: Binary) -> Component:
    path, text = user_kubeconfig(layout, endpoint, "kube-scheduler")
    argv = (f"{binary.path}", f"--kubeconfig={path}", "--leader-elect=false", "--secure-port=0", *_RATE)
    return Component("kube-scheduler", argv, binary.version, {path: text})
