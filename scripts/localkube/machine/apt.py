"""Debian's apt-get, of which one at a time may run on a machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from .cache import cache_dir
from .locks import held

# Seconds for which the machine's own apt may install, upgrades for example.
_PATIENCE = 600
APT_GET = ("apt-get", "-o", f"DPkg::Lock::Timeout={_PATIENCE}")


@contextmanager
def apt_alone() -> Iterator[None]:
    """Be the only one of our commands that runs apt-get: a second one would fail, not wait."""
    with held(cache_dir() / ".apt.lock", "another command that runs apt-get"):
        yield
