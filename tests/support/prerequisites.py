"""Tests that need what a machine may lack: skipped by name there, failed in continuous integration."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import NoReturn

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOCAL = str(ROOT / "scripts" / "local-kubernetes")
# What scripts/local-kubernetes exits with where it cannot run.
CANNOT_RUN_HERE = 3

reasons: set[str] = set()


def cannot_run(reason: str) -> NoReturn:
    """Leave the test out, and say so at the end of the run; in continuous integration, fail."""
    if os.environ.get("CI"):
        pytest.fail(f"a prerequisite is missing: {reason}", pytrace=False)
    reasons.add(reason)
    pytest.skip(reason)


def local_kubernetes(*arguments: str) -> str:
    """Run scripts/local-kubernetes; its progress goes to the terminal. Returns what it prints on stdout."""
    done = subprocess.run([LOCAL, *arguments], capture_output=True, text=True, check=False)
    if done.returncode == CANNOT_RUN_HERE:
        cannot_run(done.stderr.strip().splitlines()[-1].removeprefix("cannot run here: "))
    if done.returncode:
        pytest.fail(f"local-kubernetes {' '.join(arguments)} failed:\n{done.stderr}", pytrace=False)
    return done.stdout.strip()
