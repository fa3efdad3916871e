"""Makes each change of tests/mutants.yaml in a copy of the project, and says which of them the tests notice.

A change that no test notices shows a hole in the tests. Exit code 1 if there is one. Words limit it to changes whose
description has them.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
TABLE = ROOT / "tests" / "mutants.yaml"
COPIED = ("autoscaler", "controller", "tests", "scripts", "charts", "manifests", "docs", "setup.cfg", "pyproject.toml")
# A change may make a test run for ever: that is noticed too.
PATIENCE_SECONDS = 600


@dataclass(frozen=True)
class Mutant:
    """``old`` becomes ``new`` in ``file``. ``tests``: what has to notice."""

    what: str
    file: str
    old: str
    new: str
    tests: str


def read(words: Sequence[str]) -> list[Mutant]:
    """Those whose description has all of the words."""
    rows: list[dict[str, Any]] = yaml.safe_load(TABLE.read_text())
    return [mutant for mutant in (Mutant(**row) for row in rows) if all(word in mutant.what for word in words)]


def changed(text: str, mutant: Mutant) -> str:
    """The text with the change.

    Raises:
        ValueError: what is to be replaced does not stand there once.
    """
    if text.count(mutant.old) != 1:
        raise ValueError(f"{mutant.file} has {text.count(mutant.old)} times: {mutant.old!r}")
    return text.replace(mutant.old, mutant.new)


def noticed_by(copy: Path, mutant: Mutant) -> str:
    """The first test that fails in the copy; empty when none does."""
    file = copy / mutant.file
    before = file.read_text()
    file.write_text(changed(before, mutant))
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *mutant.tests.split()]
    try:
        done = subprocess.run(command, cwd=copy, capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        return "a test that does not end"
    finally:
        file.write_text(before)
    if done.returncode == 0:
        return ""
    failed = [line for line in done.stdout.splitlines() if line.startswith(("FAILED ", "ERROR "))]
    return failed[0].split(" - ")[0].split(maxsplit=1)[1] if failed else f"exit code {done.returncode}"


def main() -> int:
    """Try all of them; 1 if one is not noticed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", help="only changes whose description has these words")
    mutants = read(parser.parse_args().words)
    holes = 0
    with tempfile.TemporaryDirectory(prefix="ray-mutants-") as folder:
        copy = Path(folder)
        for name in COPIED:
            source = ROOT / name
            (shutil.copytree if source.is_dir() else shutil.copy)(source, copy / name)
        for mutant in mutants:
            started = time.monotonic()
            by = noticed_by(copy, mutant)
            holes += not by
            print(f"{time.monotonic() - started:5.0f} s  {mutant.what}\n         {by or 'NOBODY NOTICES'}", flush=True)
    print(f"{len(mutants)} changes, {holes} that no test notices")
    return bool(holes)


if __name__ == "__main__":
    sys.exit(main())
