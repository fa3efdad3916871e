"""Daemons of a cluster as values, and the one way to keep them running."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .console import Failed
from .layout import Layout
from .processes import Launch, Record, read_record, spawn, stop


@dataclass(frozen=True)
class Component:
    """One daemon. `files`: its configuration, written before it starts. `inside`: in the cluster's namespaces.
    `unshare`: flags of namespaces that it gets anew.

    It is started anew when any of this changes, so `version` and configuration are always those it runs with.
    """

    name: str
    argv: tuple[str, ...]
    version: str
    files: Mapping[Path, str] = field(default_factory=dict)
    inside: bool = True
    unshare: int = 0

    @property
    def digest(self) -> str:
        """Equal for components that need not be restarted to become one another."""
        files = {str(path): text for path, text in sorted(self.files.items())}
        return hashlib.sha256(json.dumps([self.argv, self.version, files]).encode()).hexdigest()[:16]


def pidfile(layout: Layout, name: str) -> Path:
    """Where the component of this name leaves its `Record`."""
    return layout.pids / f"{name}.json"


def running(layout: Layout, name: str) -> Record | None:
    """The record of a component that runs; None otherwise."""
    record = read_record(pidfile(layout, name))
    return record if record and record.process.alive() else None


def ensure_running(layout: Layout, component: Component, inside: int | None = None) -> bool:
    """Start the component unless it runs as described; whether it had to be started.

    `inside`: pid of the cluster's init process.
    """
    record = running(layout, component.name)
    if record and record.digest == component.digest:
        return False
    if record:
        stop(record.process)
    for path, text in component.files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o600)
    record_of = {"digest": component.digest, "version": component.version}
    record_of["log"] = str(layout.logs / f"{component.name}.log")
    target = inside if component.inside else None
    spawn(Launch(component.argv, pidfile(layout, component.name), record_of, target, component.unshare))
    return True


def stop_component(layout: Layout, name: str, patience: float = 10.0) -> None:
    """End the component, if it runs, and forget it."""
    record = running(layout, name)
    if record:
        stop(record.process, patience)
    pidfile(layout, name).unlink(missing_ok=True)


def wait_until(layout: Layout, condition: Callable[[], bool], guilty: str, seconds: float, missing: str = "") -> None:
    """Wait for a condition that the component `guilty` has to bring about.

    Raises Failed with the end of its log, at once if it dies, else after `seconds`.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if running(layout, guilty) is None:
            raise Failed(f"{guilty} ended{log_tail(layout, guilty)}")
        if time.monotonic() > deadline:
            what = missing or f"{guilty} is not ready"
            raise Failed(f"{what} after {seconds:.0f} s{log_tail(layout, guilty)}")
        time.sleep(0.1)


def log_tail(layout: Layout, name: str, lines: int = 8) -> str:
    """The last lines of a component's log, and where the rest is."""
    path = layout.logs / f"{name}.log"
    try:
        with path.open("rb") as log:
            log.seek(max(0, path.stat().st_size - 8192))
            tail = log.read().decode(errors="replace").splitlines()[-lines:]
    except FileNotFoundError:
        return f"; it left no log at {path}"
    return "".join(f"\n    {line[:400]}" for line in tail) + f"\n  all of it: {path}"
