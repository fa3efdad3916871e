"""A real browser without a window: the Chromium of this machine, or Debian's, unpacked into the cache."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import unpacked
from localkube.machine.cache import cache_dir
from playwright.sync_api import Browser, sync_playwright

PROGRAMS = ("chromium", "chromium-headless-shell", "google-chrome", "google-chrome-stable")
PACKAGE = "chromium-headless-shell"
# Fonts of the machine, and those that were unpacked should it have none.
FONTS = """<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><dir>/usr/share/fonts</dir><dir>{place}/usr/share/fonts</dir><cachedir>{place}/fonts</cachedir>
<alias><family>system-ui</family><prefer><family>DejaVu Sans</family></prefer></alias>
<alias><family>sans-serif</family><prefer><family>DejaVu Sans</family></prefer></alias>
<alias><family>monospace</family><prefer><family>DejaVu Sans Mono</family></prefer></alias></fontconfig>
"""


@contextmanager
def browser() -> Iterator[Browser]:
    """The browser, until it is not needed any more.

    Raises:
        unpacked.CannotUnpackError: there is none on this machine, and Debian's cannot be had.
    """
    program, environment = _program()
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, env={**os.environ, **environment})
        try:
            yield started
        finally:
            started.close()


def _program() -> tuple[str, dict[str, str]]:
    """The program, and what has to be in its environment."""
    if found := next(filter(None, map(shutil.which, PROGRAMS)), None):
        return found, {}
    program, environment = _debian()
    if not _runs(program, environment):
        # Unpacked on a machine that had more libraries of its own.
        shutil.rmtree(cache_dir() / "debian" / PACKAGE)
        program, environment = _debian()
    return program, environment


def _debian() -> tuple[str, dict[str, str]]:
    place = unpacked.unpacked(PACKAGE, with_dependencies=True)
    fonts = place / "fonts.conf"
    fonts.write_text(FONTS.format(place=place))
    program = str(place / "usr/lib/chromium" / PACKAGE)
    return program, {"LD_LIBRARY_PATH": unpacked.libraries(place), "FONTCONFIG_FILE": str(fonts)}


def _runs(program: str, environment: dict[str, str]) -> bool:
    command = [program, "--version"]
    return subprocess.run(command, env={**os.environ, **environment}, capture_output=True, check=False).returncode == 0
