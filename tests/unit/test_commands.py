"""The commands beside running the operator: how they are found, and what their help says."""

from __future__ import annotations

import re

import pytest

from controller.commands import COMMANDS
from controller.main import main


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
    assert "'valdate'" in said and "Traceback" not in said


@pytest.mark.parametrize("name", COMMANDS)
def test_wrong_usage_of_a_command_is_told_apart_from_wrong_input(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = stopped(capsys, name, "--no-such-flag")
    assert code == 2
    assert f"usage: ray-operator {name}" in said
