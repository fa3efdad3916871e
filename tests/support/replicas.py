"""Several operators for one namespace, each of which talks to the API server through a proxy of its own: so it is known
whose write each one was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from uuid import uuid4

from .apiserver import ApiServer, Request
from .kube import eventually
from .namespace import Namespace
from .operator import OperatorProcess
from .proxy import Proxy


@dataclass
class Replica:
    """One operator and what it asked of the API server. ``served``: where it says whether it is ready."""

    process: OperatorProcess
    proxy: Proxy
    environment: Mapping[str, str]
    namespace: str

    def start(self, *flags: str) -> None:
        """Start it as a candidate."""
        self.process.start(self.environment, "--leader-elect", "--lease-namespace", self.namespace, *flags)

    def writes(self) -> list[Request]:
        """Everything it changed or tried to change, but for the Lease."""
        return [r for r, _ in list(self.proxy.requests) if r.writes and r.resource != "leases"]

    def lease_reads(self) -> int:
        """How often it has read the Lease."""
        return self.proxy.count(lambda r: r.verb == "get" and r.resource == "leases")

    def leads(self) -> bool:
        """It has held the Lease."""
        asked = list(self.proxy.requests)
        return any(r.resource == "leases" and r.verb in ("create", "update") and code < 300 for r, code in asked)

    def ready(self) -> bool:
        """Its readiness probe says so."""
        found = [line for line in self.process.log().splitlines() if "at port" in line]
        if not found:
            return False
        connection = HTTPConnection("127.0.0.1", int(found[-1].rpartition(" ")[2]), timeout=60)
        connection.request("GET", "/readyz")
        status = connection.getresponse().status
        connection.close()
        return status == 200


class Replicas:
    """As many operators for one namespace as a test asks for."""

    def __init__(self, environment: Mapping[str, str], folder: Path) -> None:
        self._environment = environment
        self._folder = folder
        self.made: list[Replica] = []
        # What ends when they do.
        self.closing: list[Callable[[], None]] = []
        self.server = ApiServer(environment["KUBECONFIG"])
        self.namespace = Namespace(self.server, f"test-{uuid4().hex[:8]}")
        self.namespace.create()

    def start(self, *flags: str) -> Replica:
        """One more."""
        proxy = Proxy(self.server, self._folder)
        proxy.start()
        environment = {**self._environment, "KUBECONFIG": str(proxy.kubeconfig)}
        process = OperatorProcess(environment, self.namespace.name)
        replica = Replica(process, proxy, environment, self.namespace.name)
        self.made.append(replica)
        replica.start("--metrics-address=127.0.0.1:0", *flags)
        eventually(replica.ready)
        return replica

    def stop(self) -> None:
        """All of them."""
        self.namespace.stop()
        for close in self.closing:
            close()
        for replica in self.made:
            replica.process.stop()
            replica.process.close()
            replica.proxy.stop()
        self.namespace.empty()
