"""Steps that run beside others: nothing that they say is lost, and none outlives what it was for."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import aside
import pytest

SAYS = "import sys; print(sys.argv[1], file=sys.stderr); print(sys.argv[2])"
LASTS = """
import pathlib, signal, sys, time
signal.signal(signal.SIGTERM, signal.default_int_handler)
try:
    pathlib.Path(sys.argv[1]).touch()
    time.sleep(600)
except KeyboardInterrupt:
    pathlib.Path(sys.argv[2]).touch()
"""


def command(program: str, *arguments: str) -> list[str]:
    return [sys.executable, "-c", program, *arguments]


def test_steps_run_in_order_and_what_they_say_is_shown_when_they_are_watched(
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    with aside.started(command(SAYS, "first step", "a"), command(SAYS, "second step", "b")) as steps:
        steps.join()
        assert capfdbinary.readouterr().err == b""
        assert steps.results() == ["a\n", "b\n"]
    assert capfdbinary.readouterr().err == b"first step\nsecond step\n"


def test_what_is_said_while_it_is_watched_is_shown_at_once(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    with aside.started(command(SAYS, "a step", "a")) as steps:
        assert steps.results() == ["a\n"]
    assert capfdbinary.readouterr().err == b"a step\n"


def test_after_a_step_that_fails_there_is_no_next_one(tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    steps = aside.started(command("raise SystemExit(3)"), command(LASTS, str(begun), ""))
    with steps as run, pytest.raises(aside.PrerequisiteError, match=r"failed, see above"):
        run.results()
    assert not begun.exists()


def test_a_step_whose_result_nobody_needs_is_interrupted_and_cleans_up(tmp_path: Path) -> None:
    begun, cleaned = tmp_path / "begun", tmp_path / "cleaned"
    with pytest.raises(RuntimeError), aside.started(command(LASTS, str(begun), str(cleaned))):
        while not begun.exists():
            time.sleep(0.01)
        raise RuntimeError("the other step failed")
    assert cleaned.exists()
