"""Where a cluster keeps what it has, and what it was asked to be."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from .console import Failed
from .locks import held

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,18}[a-z0-9])?")


@dataclass(frozen=True)
class Layout:
    """The directories of one cluster. `run` holds sockets: their paths may have 107 bytes at most."""

    name: str
    state: Path
    run: Path

    @property
    def logs(self) -> Path:
        """One file per component."""
        return self.state / "logs"

    @property
    def pids(self) -> Path:
        """One pidfile per component, ``NAME.json``."""
        return self.state / "pids"

    @property
    def pki(self) -> Path:
        """Keys and certificates."""
        return self.state / "pki"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.state / "kubeconfig"

    def node_state(self, node: str) -> Path:
        """What a real node keeps: images, containers, volumes."""
        return self.state / "nodes" / node

    def node_run(self, node: str) -> Path:
        """A real node's sockets and running containers."""
        return self.run / node


@dataclass(frozen=True)
class Spec:
    """What a cluster was asked to be and the choices that must stay as they are.

    `nodes`: real nodes, 0 for a control plane alone. `kwok`: fake nodes. `port`: the API server's, on loopback,
    of a control plane alone. `link`: which of the host's point-to-point networks leads to a cluster with nodes,
    and `pods` the first two bytes of its pods' addresses of IPv4. `ip_family`: which addresses pods and Services have.
    """

    nodes: int
    kwok: int
    port: int = 6443
    link: int = 0
    pods: str = "10.244"
    ip_family: str = "ipv4"


def is_name(text: str) -> bool:
    """Whether a cluster can be called that: the name is part of paths and of control groups."""
    return _NAME.fullmatch(text) is not None


def layout_of(name: str) -> Layout:
    """The directories of the cluster `name`, found from any checkout; not created."""
    if os.geteuid() == 0:
        return Layout(name, Path("/var/lib/local-kubernetes", name), Path("/run/local-kubernetes", name))
    given = os.environ.get("XDG_STATE_HOME", "")
    home = Path(given) if given.startswith("/") else Path.home() / ".local/state"
    state = home / "local-kubernetes" / name
    if len(os.fsencode(state)) > 80:
        raise Failed(f"{state} is too long for the sockets in it: set XDG_STATE_HOME to a shorter path")
    return Layout(name, state, state / "run")


def read_spec(layout: Layout) -> Spec | None:
    """What the cluster was asked to be; None if there is no such cluster."""
    try:
        return Spec(**json.loads((layout.state / "cluster.json").read_text()))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise Failed(
            f"{layout.state}/cluster.json is not one of this version: remove the cluster with 'down' first"
        ) from error


def write_spec(layout: Layout, spec: Spec) -> None:
    """Remember what the cluster is asked to be."""
    partial = layout.state / "cluster.json.partial"
    partial.write_text(json.dumps(asdict(spec), indent=2) + "\n")
    partial.replace(layout.state / "cluster.json")


@contextmanager
def locked(layout: Layout) -> Iterator[None]:
    """Hold the cluster for oneself; waits for another `up` or `down` of it to end. The lock lies beside the state."""
    path = layout.state.with_name(f".{layout.name}.lock")
    with held(path, f"another command on cluster {layout.name}"):
        try:
            yield
        finally:
            if not layout.state.exists():
                path.unlink(missing_ok=True)


@contextmanager
def alone(layout: Layout, what: str) -> Iterator[None]:
    """Be the only command on this machine, of whichever cluster, that does this."""
    path = layout.state.with_name(f".{what.replace(' ', '-')}.lock")
    with held(path, f"another command on the {what} of this machine"):
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
