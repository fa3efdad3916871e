"""What differs in a Ray container whose pod has an address of IPv6, and none of IPv4."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from controller.objects.entrypoint import head_script, worker_script
from tests.support.container import Container, spec_of

ROUTES = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"
WITH_IPV4 = ROUTES + "eth0\t00000000\t010BF40A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
LOOPBACK = "00000000000000000000000000000001 01 80 10 80       lo\n"
LOCAL = "fe80000000000000a8c9d3fffe1b2c3d 02 40 20 80     eth0\n"
GLOBAL = "fd000000000000000000000000000007 02 40 00 80     eth0\n"


def in_pod(script: str, directory: Path, routes: str, addresses: str) -> str:
    """The script as it runs in a pod with these routes of IPv4 and these addresses of IPv6."""
    for name, text in (("route", routes), ("if_inet6", addresses)):
        (directory / name).write_text(text)
        script = script.replace(f"/proc/net/{name}", str(directory / name))
    return script


@pytest.mark.parametrize(
    ("given", "run"),
    [
        ("--head --dashboard-host 0.0.0.0 --port=1", "--head --dashboard-host= --port=1"),
        ("--head --dashboard-host=0.0.0.0", "--head --dashboard-host="),
        ("--head --dashboard-host '0.0.0.0'", "--head --dashboard-host="),
        ('--head --dashboard-host="0.0.0.0"', "--head --dashboard-host="),
        ("--head --dashboard-host=127.0.0.1", "--head --dashboard-host=127.0.0.1"),
        ("--head --dashboard-host=0.0.0.01", "--head --dashboard-host=0.0.0.01"),
        ("--head --note=0.0.0.0", "--head --note=0.0.0.0"),
    ],
)
def test_with_ipv6_alone_the_dashboard_listens_on_all_there_is(container: Container, given: str, run: str) -> None:
    """0.0.0.0 is no address of IPv6: the Service would lead to a closed port."""
    script = head_script(spec_of([f"ray start {given}"]))
    container.run(in_pod(script, container.directory, ROUTES, LOOPBACK + LOCAL + GLOBAL))
    assert container.asked() == [f"ray start --block --no-monitor {run} []"]


@pytest.mark.parametrize(
    ("routes", "addresses"),
    [(WITH_IPV4, LOOPBACK + GLOBAL), (WITH_IPV4, LOOPBACK + LOCAL), (ROUTES, LOOPBACK + LOCAL), (ROUTES, "")],
)
def test_with_ipv4_start_commands_stay_as_they_are(container: Container, routes: str, addresses: str) -> None:
    script = head_script(spec_of(["ray start --head --dashboard-host 0.0.0.0"]))
    container.run(in_pod(script, container.directory, routes, addresses))
    assert container.asked() == ["ray start --block --no-monitor --head --dashboard-host 0.0.0.0 []"]


def test_with_ipv6_alone_serve_listens_on_it(container: Container) -> None:
    script = head_script(spec_of(["ray stop", 'bash -c "ray serve start --http-host=0.0.0.0"', "ray start --head"]))
    container.run(in_pod(script, container.directory, ROUTES, GLOBAL))
    assert container.asked()[0] == "ray serve start --http-host=:: []"


@pytest.mark.parametrize(("host", "shown"), [("127.0.0.1", "127.0.0.1"), ("::1", "[::1]")])
def test_a_worker_has_the_heads_address_with_and_without_brackets(container: Container, host: str, shown: str) -> None:
    """With them before a port, without for what takes host and port apart, such as nc."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as head:
        port = head.getsockname()[1]
        (container.directory / "head ip").write_text(host)
        start = f'(exec 3<>"/dev/tcp/$RAY_HEAD_HOST/{port}") && ray start --address=$RAY_HEAD_IP:{port}'
        spec = spec_of(["ray start --head"], [start], ["echo setup $RAY_HEAD_HOST >> $RAY_LOG"])
        pod_type = spec.worker_types[0]
        script = worker_script(spec, pod_type, head_file=str(container.directory / "head ip"), wait_seconds=9)
        code, said = container.run(script.replace("_ro_port=6379", f"_ro_port={port}"))
    assert code == 0, said
    assert container.asked()[0] == f"setup {host}"
    assert container.asked()[1].endswith(f"--address={shown}:{port} [{shown}]")
