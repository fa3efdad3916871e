"""Commands run as in the legacy operator's shells: login, interactive; and exit ends a command, not the container."""

from __future__ import annotations

import signal
import subprocess

import pytest

from controller.objects.entrypoint import head_script
from tests.support.container import LIMIT, Container, spec_of, wait_for_line

START = "ray start --block --no-monitor --head"
# What Debian and conda put there: nothing for shells that are not interactive.
BASHRC = """\
case $- in *i*) ;; *) return ;; esac
export FROM_LOGIN=exported
conda() { echo "conda $*" >> "$RAY_LOG"; PATH="$HOME/env/bin:$PATH"; }
alias greet='echo greetings >> "$RAY_LOG"'
echo welcome
"""


def test_functions_exports_and_aliases_of_bashrc_are_there(container: Container) -> None:
    """In set-up and start commands, as after conda init."""
    (container.directory / ".bashrc").write_text(BASHRC)
    setup = ["conda activate base", 'echo "$FROM_LOGIN" >> "$RAY_LOG"', "greet"]
    code, said = container.run(head_script(spec_of(["ray stop", "conda activate x && ray start --head"], setup=setup)))
    assert code == 0
    assert container.asked() == ["conda activate base", "exported", "greetings", "conda activate x", f"{START} []"]
    assert said == ""


@pytest.mark.parametrize("file", [".bash_profile", ".bash_login", ".profile"])
def test_login_files_are_read(container: Container, file: str) -> None:
    (container.directory / file).write_text("declare -x FROM_LOGIN=1\n")
    container.run(head_script(spec_of(setup=['echo "$FROM_LOGIN" >> "$RAY_LOG"'])))
    assert container.asked()[0] == "1"


def test_what_the_image_has_on_its_path_stays_there(container: Container) -> None:
    """/etc/profile of many systems sets PATH anew."""
    (container.directory / ".profile").write_text("PATH=/opt/login/bin:/usr/bin:/bin\n")
    container.run(head_script(spec_of(setup=['echo "$PATH" >> "$RAY_LOG"'])))
    path = container.asked()[0]
    assert path.startswith("/opt/login/bin:")
    assert f":{container.directory}:" in path


@pytest.mark.parametrize("line", ["exit 0", "exit 5", "set -e; false", "set -eu"])
def test_a_login_file_that_ends_its_shell_ends_nothing_else(container: Container, line: str) -> None:
    (container.directory / ".bashrc").write_text(line + "\n")
    assert container.run(head_script(spec_of(setup=["false || true"])))[0] == 0
    assert container.asked() == [f"{START} []"]


def test_the_logs_have_nothing_of_an_interactive_shells_own(container: Container) -> None:
    """No word about terminals, jobs or logout; and what login files complain of is shown."""
    (container.directory / ".bashrc").write_text("echo complaint >&2\n")
    (container.directory / ".bash_logout").write_text("echo bye\n")
    process = container.start(head_script(spec_of(["ray start --head & echo started"], setup=["sleep 0 & wait"])))
    out, said = process.communicate(timeout=LIMIT)
    assert (out, said) == ("started\n", "complaint\n")


def test_exit_ends_a_set_up_command_and_nothing_else(container: Container) -> None:
    """What was set before it stays: variables, exported or not, functions, the directory."""
    setup = [
        "export A=1; B=2; c() { echo 3; }; cd /; [ -e /no/such/file ] || exit 0; echo never",
        'echo "$A $B $(c) $PWD" >> "$RAY_LOG"; exit',
        'echo again >> "$RAY_LOG"',
    ]
    assert container.run(head_script(spec_of(setup=setup))) == (0, "")
    assert container.asked() == ["1 2 3 /", "again", f"{START} []"]


@pytest.mark.parametrize("command", ["exit 3", "set -e; (exit 3); echo never"])
def test_an_exit_that_says_failure_ends_the_container_and_names_the_command(container: Container, command: str) -> None:
    code, said = container.run(head_script(spec_of(setup=["exit 0", command, "true"])))
    assert code == 3
    assert said == f"ray-operator: setup command 2 failed with exit code 3: {command}\n"
    assert container.asked() == []


def test_exit_in_a_start_command_before_ray_goes_on_to_ray(container: Container) -> None:
    code, _ = container.run(head_script(spec_of(["[ -e /no/such/file ] || exit 0", "ray start --head"])), "5")
    assert (code, container.asked()) == (5, [f"{START} []"])


@pytest.mark.parametrize("setup", [["true"], ["exit 0"], ["exit 0", "exit 0"]])
@pytest.mark.parametrize("command", ["ray start --head", "(ulimit -n 64; ray start --head)"])
def test_termination_reaches_ray_in_whatever_copy_of_the_shell(
    container: Container, setup: list[str], command: str
) -> None:
    process = container.start(head_script(spec_of([command], setup=setup)), "stay")
    wait_for_line(process, "up")
    process.send_signal(signal.SIGTERM)
    assert process.wait(LIMIT) == 7
    assert container.asked()[-1] == "terminated"


def test_another_program_in_the_background_does_not_keep_the_container(container: Container) -> None:
    """Ray has ended; a daemon that a set-up command has started has not."""
    process = container.start(head_script(spec_of(setup=["sleep 600 > /dev/null 2>&1 & echo up"])), "4")
    assert process.wait(LIMIT) == 4


def test_termination_before_ray_starts_says_nothing(container: Container) -> None:
    process = container.start(head_script(spec_of(setup=["{ sleep 3; echo busy; } & sleep 600"])))
    wait_for_line(process, "busy")
    process.terminate()
    _, said = process.communicate(timeout=LIMIT)
    assert (process.returncode, said) == (143, "")


def test_a_terminal_changes_nothing(container: Container) -> None:
    """``tty: true`` in the podConfig."""
    script = container.directory / "program"
    script.write_text(head_script(spec_of(setup=["sleep 0 & wait"])))
    command = f"script -qec 'bash -c \"$(cat {script})\"' /dev/null"
    environment = container.environment("6")
    done = subprocess.run(
        ["bash", "-c", command], check=False, env=environment, capture_output=True, text=True, timeout=LIMIT
    )
    assert done.returncode == 6
    assert [line for line in done.stdout.splitlines() if not line.startswith("ray-operator: start command 1")] == []
