"""Commands that end or replace the shell that they run in, change its options, or leave Ray behind."""

from __future__ import annotations

import subprocess

import pytest

from controller.objects.entrypoint import head_script
from tests.support.container import LIMIT, Container, spec_of, wait_for_line, wait_for_lines
from tests.support.kube import eventually

STARTED = "ray start --block --no-monitor --head []"


@pytest.mark.parametrize(
    "command",
    [
        "exec true",
        "trap 'echo bye' EXIT; exit 0",
        "trap 'exit 0' EXIT; exit 1",
        "trap : EXIT; trap - EXIT; exit",
        "leave() { exec true; }; leave",
        "if true; then exec sh -c 'exit 0'; fi",
    ],
)
def test_a_command_that_ends_its_shell_well_is_followed_by_the_next(container: Container, command: str) -> None:
    """As it was where each command had a shell of its own."""
    code, said = container.run(head_script(spec_of(["echo last >> $RAY_LOG", "ray start --head"], setup=[command])))
    assert (code, container.asked()) == (0, ["last", STARTED])
    assert "failed" not in said


@pytest.mark.parametrize(
    "command", ["exec sh -c 'exit 3'", "exec false || exit 3; exec sh -c 'exit 3'", "trap 'exit 3' EXIT; exit 1"]
)
def test_one_that_ends_its_shell_with_a_failure_ends_the_container(container: Container, command: str) -> None:
    code, said = container.run(head_script(spec_of(setup=["true", command])))
    assert code in (1, 3)
    assert f"ray-operator: setup command 2 failed with exit code {code}: {command}" in said
    assert container.asked() == []


def test_so_does_a_program_that_is_not_there(container: Container) -> None:
    code, said = container.run(head_script(spec_of(setup=["exec nowhere"])))
    assert code == 127
    assert "ray-operator: setup command 1 failed with exit code 127: exec nowhere" in said


def test_exec_before_ray_start_is_ray(container: Container) -> None:
    code, _ = container.run(head_script(spec_of(["exec ray start --head"], setup=["exec true"])), "3")
    assert (code, container.asked()) == (3, [STARTED])


def test_after_exec_a_signal_reaches_ray(container: Container) -> None:
    process = container.start(head_script(spec_of(setup=["exec true"])), "stay")
    wait_for_line(process, "up")
    process.terminate()
    assert process.wait(LIMIT) == 7


@pytest.mark.parametrize("options", ["set -u", "set -e", "set -euo pipefail"])
def test_a_shells_options_are_those_of_one_command(container: Container, options: str) -> None:
    script = head_script(spec_of(["echo $NOBODY; false | true; ray start --head"], setup=[f"{options}; true"]))
    code, _ = container.run(script)
    assert (code, container.asked()) == (0, [STARTED])


@pytest.mark.parametrize(
    "command", ["ray start --head &", "ray start --head & sleep 0.1", "sleep 0 & ray start --head &"]
)
def test_a_ray_that_fails_in_the_background_fails_the_container(container: Container, command: str) -> None:
    code, _ = container.run(head_script(spec_of([command])), "42")
    assert code == 42


@pytest.mark.parametrize(
    "command",
    [
        "(ray start --head; echo deployed)",
        "bash -c 'ray start --head && echo deployed'",
        "printf 'ray start --head\\necho deployed\\n' > start.sh; bash start.sh",
    ],
)
def test_what_follows_ray_start_in_brackets_or_programs_finds_ray_up(container: Container, command: str) -> None:
    """Ray stays, and is told to end before the container does."""
    process = container.start(head_script(spec_of([command])), "leave")
    wait_for_line(process, "deployed")
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.3)
    process.terminate()
    assert process.wait(LIMIT) == 143
    assert container.asked()[-1] == "raylet ended"


def test_its_failure_is_said_and_ray_goes_on(container: Container) -> None:
    process = container.start(head_script(spec_of(["(ray start --head; sleep 0.2; exit 3)", "echo next"])), "leave")
    wait_for_line(process, "start command 1 failed with exit code 3, Ray goes on: (ray start", "stderr")
    wait_for_line(process, "next")
    assert process.poll() is None


def test_a_ray_that_was_left_behind_and_ends_ends_the_container(container: Container) -> None:
    process = container.start(head_script(spec_of(["(ray start --head; echo deployed)"])), "leave")
    wait_for_lines(process, "deployed", "up")
    eventually(lambda: container.looks("seconds") > 2)
    container.end_work()
    assert process.wait(LIMIT) == 1
    assert process.stderr and "ray-operator: Ray has ended" in process.stderr.read()
