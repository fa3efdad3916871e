"""The ports of the head Service: the default ones, and those that the spec adds or changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ServicePort:
    """One port of the head Service. ``target_port`` is a number or the name of a container port."""

    name: str
    port: int
    target_port: int | str


DEFAULT_SERVICE_PORTS = (
    ServicePort("client", 10001, 10001),
    ServicePort("dashboard", 8265, 8265),
    ServicePort("ray-serve", 8000, 8000),
)


def merge_service_ports(wanted: Sequence[Mapping[str, Any]], gcs_port: int | None = None) -> tuple[ServicePort, ...]:
    """The default ports with the wanted ones merged by name: same name replaces in place, new names follow.

    ``gcs_port``: where workers that outlive their head find the next one; None where they do not.
    """
    ports = {port.name: port for port in DEFAULT_SERVICE_PORTS}
    for raw in wanted:
        ports[raw["name"]] = ServicePort(raw["name"], raw["port"], raw["targetPort"])
    if gcs_port is not None and all(p.port != gcs_port for p in ports.values()):
        ports[f"gcs-{gcs_port}"] = ServicePort(f"gcs-{gcs_port}", gcs_port, gcs_port)
    return tuple(ports.values())
