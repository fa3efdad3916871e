"""The namespaces that everything of a cluster with nodes lives in, held by its init process.

Killing that process ends every process inside, and with the namespaces go mounts, links, routes and rules.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from .cache import cache_dir
from .components import Component, ensure_running, running, wait_until
from .console import Failed, step
from .layout import Layout
from .processes import CLONE_NEWNET, CLONE_NEWNS, CLONE_NEWPID

# What inhabits the namespaces asks this name server: the one of slirp4netns.
EGRESS_DNS = "10.0.2.3"


def ensure_init(layout: Layout) -> int:
    """Start the init process unless it runs; its pid on the host."""
    ready = layout.run / "init.ready"
    if running(layout, "init") is None:
        with step("making the cluster's namespaces"):
            ready.unlink(missing_ok=True)
            resolv_conf(layout).write_text(f"nameserver {EGRESS_DNS}\n")
            ensure_running(layout, _init(layout))
    wait_until(layout, ready.exists, "init", 20)
    record = running(layout, "init")
    if record is None:
        raise Failed("the cluster's init process ended")
    return record.process.pid


def resolv_conf(layout: Layout) -> Path:
    """The resolv.conf of containerd, and of pods that ask for their node's name servers."""
    return layout.run / "resolv.conf"


def run_inside(inside: int, *argv: str) -> str:
    """Output of a command in the network namespace of process `inside`. Raises Failed if the command fails."""
    done = subprocess.run(
        ["nsenter", "--target", str(inside), "--net", *argv], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise Failed(f"{' '.join(argv)}: {done.stderr.strip()}")
    return done.stdout


def _init(layout: Layout) -> Component:
    script = Path(__file__).with_name("init.py")
    kept = (layout.state, layout.run, cache_dir())
    argv = (sys.executable, "-I", "-S", str(script), str(layout.run), *(str(path.resolve()) for path in kept))
    return Component("init", argv, "", inside=False, unshare=CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWPID)
