"""Pods' way to the internet: slirp4netns, a network stack in a process, so that the host's firewall stays as it is."""

from __future__ import annotations

import json
import shutil
import time

from .components import Component, ensure_running, running, stop_component
from .console import say
from .layout import Layout
from .namespaces import run_inside

NAME = "slirp4netns"
DEVICE = "egress0"
_SECONDS = 5.0


def ensure(layout: Layout, inside: int) -> None:
    """Start it unless it runs; says so in one line if it doesn't work here, which is no failure."""
    program = shutil.which(NAME)
    if program is None:
        say("  no slirp4netns: pods cannot reach the internet")
        return
    # With the loopback of the host disabled, what listens on the host alone stays out of pods' reach.
    argv = (
        program,
        *("--configure", "--mtu=65520", "--disable-host-loopback", "--netns-type=path"),
        *(f"/proc/{inside}/ns/net", DEVICE),
    )
    ensure_running(layout, Component(NAME, argv, "", inside=False))
    deadline = time.monotonic() + _SECONDS
    while running(layout, NAME) and time.monotonic() < deadline:
        if _has_default_route(inside):
            return
        time.sleep(0.02)
    stop_component(layout, NAME)
    say(f"  slirp4netns does not work here, so pods cannot reach the internet ({layout.logs}/{NAME}.log)")


def works(layout: Layout) -> bool:
    """Whether pods have a way out."""
    return running(layout, NAME) is not None


def _has_default_route(inside: int) -> bool:
    return bool(json.loads(run_inside(inside, "ip", "-json", "route", "show", "default")))
