"""iptables inside a cluster's namespaces, in whichever of its two variants the kernel has."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from .console import CannotRunHere, Failed
from .layout import Layout
from .namespaces import run_inside

# The machine's own choice first.
_VARIANTS = ("", "-nft", "-legacy")
_COMMANDS = ("", "-save", "-restore")


def select_variant(layout: Layout, inside: int) -> None:
    """Make this process, and the daemons it starts from now on, find iptables of a variant that works.

    All of them must use the same one: rules of one variant are invisible to the other.
    Raises CannotRunHere if neither works.
    """
    variant = next((variant for variant in _VARIANTS if _works(f"iptables{variant}", inside)), None)
    if variant is None:
        raise CannotRunHere("iptables does not work in a network namespace of this kernel")
    if variant:
        directory = layout.run / f"iptables{variant}"
        _link(directory, variant)
        os.environ["PATH"] = f"{directory}:{os.environ['PATH']}"


def check_ipv6(inside: int) -> None:
    """Raises CannotRunHere where Services of IPv6 would have no rules."""
    if not _works("ip6tables", inside):
        raise CannotRunHere("ip6tables does not work in a network namespace of this kernel: no IPv6")


def ensure_rule(inside: int, table: str, chain: str, rule: Sequence[str]) -> None:
    """Append a rule, unless it is there."""
    try:
        run_inside(inside, "iptables", "-w", "-t", table, "-C", chain, *rule)
    except Failed:
        run_inside(inside, "iptables", "-w", "-t", table, "-A", chain, *rule)


def _works(program: str, inside: int) -> bool:
    if shutil.which(program) is None:
        return False
    try:
        run_inside(inside, program, "-w", "-t", "nat", "-S", "POSTROUTING")
    except Failed:
        return False
    return True


def _link(directory: Path, variant: str) -> None:
    directory.mkdir(exist_ok=True)
    for family in ("iptables", "ip6tables"):
        for command in _COMMANDS:
            program, link = shutil.which(f"{family}{variant}{command}"), directory / f"{family}{command}"
            if program and not link.exists():
                link.symlink_to(program)
