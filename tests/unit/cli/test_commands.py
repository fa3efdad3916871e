"""The commands beside running the operator: how they are found, and what their help says."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from controller.cli.commands import COMMANDS
from controller.main import main

ROOT = Path(__file__).resolve().parents[3]


def stopped(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[object, str]:
    """The exit code of a command line that ends in the parser, and all it printed."""
    with pytest.raises(SystemExit) as end:
        main(arguments)
    return end.value.code, "".join(capsys.readouterr())


def test_the_operators_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    code, said = stopped(capsys, "--help")
    assert code == 0
    for name, does in COMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(does)}$", said, re.MULTILINE)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_commands_help_has_an_example_and_the_exit_codes(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = stopped(capsys, name, "--help")
    assert code == 0
    assert f"usage: ray-operator {name}" in said
    assert f"ray-operator {name} " in said.partition("examples:")[2]
    assert "exit codes: 0 fine, 1 the input is wrong, 2 wrong usage" in said


def test_what_is_no_command_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    code, said = stopped(capsys, "valdate", "x.yaml")
    assert code == 2
    assert "there is no command 'valdate'; did you mean validate?" in said and "Traceback" not in said
    assert "without a command the operator runs" in stopped(capsys, "begin")[1]


@pytest.mark.parametrize("name", COMMANDS)
def test_wrong_usage_of_a_command_is_told_apart_from_wrong_input(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = stopped(capsys, name, "--no-such-flag")
    assert code == 2
    assert f"usage: ray-operator {name}" in said


def command_line(*arguments: str) -> list[str]:
    """The program as it is started from a shell."""
    return [sys.executable, "-m", "controller.main", *arguments]


def test_a_reader_that_has_seen_enough_ends_a_command_without_a_word(tmp_path: Path) -> None:
    """As in ``ray-operator render FILE | head -1``."""
    example = (ROOT / "manifests/example_cluster.yaml").read_text()
    # More than a pipe holds.
    (tmp_path / "many.yaml").write_text("\n---\n".join([example] * 40))
    # Unbuffered, Python does not notice that the rest of a write was not taken.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    words = command_line("render", str(tmp_path / "many.yaml"))
    pipe = subprocess.PIPE
    process = subprocess.Popen(words, env=environment, stdout=pipe, stderr=pipe, cwd=ROOT)
    assert process.stdout and process.stderr
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == 128 + signal.SIGPIPE


def test_a_command_that_is_interrupted_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C, while it waits for its input."""

    def interrupted(*_: object, **__: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("controller.main.run_command", interrupted)
    assert main(["validate", "-"]) == 128 + signal.SIGINT


def test_output_for_programs_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    """Each command whose answer a program may want."""
    example = str(ROOT / "manifests/example_cluster.yaml")
    demand = str(ROOT / "manifests/example_demand.yaml")
    for arguments in (["validate", example], ["render", example], ["simulate", example, demand]):
        assert main([*arguments, "-o", "json"]) == 0
        assert isinstance(json.loads(capsys.readouterr().out), dict)
