"""The program of a Ray container, run for real by bash, with a ``ray`` that writes down what is asked of it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Iterator

import pytest

from controller.objects.entrypoint import blocking, head_script, output_files, worker_script
from tests.support.container import LIMIT, Container, spec_of, wait_for_line


@pytest.mark.parametrize("code", [0, 1, 42])
def test_the_container_ends_when_ray_ends_with_rays_exit_code(container: Container, code: int) -> None:
    found, said = container.run(head_script(spec_of()), str(code))
    assert found == code
    assert container.asked() == ["ray start --block --no-monitor --head []"]
    if code:
        assert (
            f"ray-operator: start command 1 failed with exit code {code}: ray start --block --no-monitor --head" in said
        )


def test_ray_stop_is_left_out_and_other_commands_run_in_order(container: Container) -> None:
    container.run(head_script(spec_of(["ray stop", "echo first >> $RAY_LOG", "ulimit -n 64; ray start --head"])))
    assert container.asked() == ["first", "ray start --block --no-monitor --head []"]


def test_output_that_goes_to_a_file_is_shown_too(container: Container) -> None:
    """While Ray runs, and to the last line when it ends; the file has it as well."""
    file = container.directory / "raylogs"
    script = head_script(spec_of([f"ray start --head --a=1 &> {file}"]))
    process = container.start(script, "stay")
    wait_for_line(process, "up")
    file.write_text(file.read_text() + "last\n")
    process.terminate()
    shown, _ = process.communicate(timeout=LIMIT)
    assert process.returncode == 7
    assert shown.splitlines()[-1] == "last"
    assert file.read_text() == "up\nlast\n"


def test_what_was_said_before_an_early_end_is_shown(container: Container) -> None:
    """Ray that fails at once says why, in the file."""
    file = container.directory / "raylogs"
    process = container.start(head_script(spec_of([f"echo why >> {file}; ray start --head >> {file} 2>&1"])), "3")
    shown, _ = process.communicate(timeout=LIMIT)
    assert (process.returncode, shown) == (3, "why\n")


@pytest.mark.parametrize(
    ("command", "files"),
    [
        ("ray start --head &> /tmp/raylogs", ["/tmp/raylogs"]),
        ("ulimit -n 65536; ray start --head > /tmp/a 2>/tmp/b", ["/tmp/a", "/tmp/b"]),
        ("ray start --head >>/tmp/a 2>&1", ["/tmp/a"]),
        ("ray start --head >& /tmp/a; echo 1>/tmp/a", ["/tmp/a"]),
        ("ray start --head > /dev/null 2> /proc/1/fd/2", []),
        ("ray start --head > $HOME/log", []),
        ("ray start --head | tee /tmp/a", []),
        ("echo > /tmp/a", []),
    ],
)
def test_output_files_are_those_of_ray_start_that_can_be_named(command: str, files: list[str]) -> None:
    assert output_files([command]) == files


def test_set_up_runs_before_ray_and_what_it_exports_stays(container: Container) -> None:
    container.run(head_script(spec_of(["ray start --head $EXTRA"], setup=["export EXTRA='--a b'", "cd /"])))
    assert container.asked() == ["ray start --block --no-monitor --head --a b []"]


def test_a_ray_that_only_login_shells_have_on_their_path_is_found(container: Container) -> None:
    """And what else is there, pip for one. The file may print what it likes."""
    lines = ("case $- in *i*) ;; *) return ;; esac", "echo welcome", f"PATH={container.directory}:$PATH")
    (container.directory / ".bashrc").write_text("\n".join(lines))
    (container.directory / ".bash_profile").write_text(". ~/.bashrc")
    process = container.start(head_script(spec_of(setup=["ray --version"])), path="/usr/bin:/bin")
    assert process.wait(LIMIT) == 0
    assert container.asked() == ["ray --version []", "ray start --block --no-monitor --head []"]


def test_a_failed_set_up_command_ends_the_container_and_names_itself(container: Container) -> None:
    code, said = container.run(head_script(spec_of(setup=["true", "echo \"it's\" 'broken' >&2; (exit 3)"])))
    assert code == 3
    assert "ray-operator: setup command 2 failed with exit code 3: echo \"it's\" 'broken' >&2; (exit 3)" in said
    assert container.asked() == []


@pytest.mark.parametrize(
    "command", ["ray start --head > out.log 2>&1", "ray start --head | cat", "sh -c 'ray start --head'"]
)
def test_redirections_pipes_and_quotes_keep_their_meaning(container: Container, command: str) -> None:
    code, _ = container.run(head_script(spec_of([command])))
    assert (code, container.asked()) == (0, ["ray start --block --no-monitor --head []"])


def test_commands_begin_without_parameters(container: Container) -> None:
    """As with bash -c."""
    container.run(head_script(spec_of(['ray start --head "$@" $1'], setup=["[ $# = 0 ] && set -- a b && [ $1 = a ]"])))
    assert container.asked() == ["ray start --block --no-monitor --head a b a []"]


@pytest.mark.parametrize(
    "commands",
    [
        ["if [ -e /nowhere ]; then ray start --address=x; else ray start --head; fi"],
        ["[ -e / ] && ray start --head || ray start --address=x"],
        ["case a in b) ray start --address=x ;; *) ray start --head ;; esac"],
        ["start() { ray start --head; }; start"],
        ["bash <<'EOF'\nray start --head\nEOF"],
        ["cat > start.sh <<'EOF'\nray start --head\nEOF\nbash start.sh"],
        ["until ray start --head; do sleep 0.1; done"],
    ],
)
def test_ray_stays_in_the_foreground_in_whatever_command(container: Container, commands: list[str]) -> None:
    code, said = container.run(head_script(spec_of(commands)))
    assert code == 0, said
    assert container.asked() == ["ray start --block --no-monitor --head []"]


def test_programs_called_like_words_of_the_script_are_still_the_users(container: Container) -> None:
    """Node.js is called node."""
    for name in ("node", "run", "say"):
        program = container.directory / name
        program.write_text(f'#!/bin/bash\necho "real {name}" >> "$RAY_LOG"\n')
        program.chmod(0o755)
    container.run(head_script(spec_of(setup=["node app.js", "run", "say hello"])))
    assert container.asked()[:3] == ["real node", "real run", "real say"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_termination_reaches_ray_and_the_container_ends_after_it(container: Container, number: int) -> None:
    process = container.start(head_script(spec_of()), "stay")
    wait_for_line(process, "up")
    process.send_signal(number)
    assert process.wait(LIMIT) == 7
    assert container.asked()[-1] == "terminated"


def test_termination_during_set_up_ends_the_container(container: Container) -> None:
    process = container.start(head_script(spec_of(setup=["echo busy; sleep 600"])))
    wait_for_line(process, "busy")
    process.terminate()
    assert process.wait(LIMIT) == 143
    assert container.asked() == []


def test_ray_started_in_the_background_by_the_user_is_still_waited_for(container: Container) -> None:
    process = container.start(head_script(spec_of(["ray start --head & echo started"])), "stay")
    wait_for_line(process, "up")
    process.terminate()
    process.wait(LIMIT)
    assert container.asked()[-1] == "terminated"


@pytest.mark.parametrize("command", ["ray start --head", "ray start --head & echo started"])
def test_a_ray_that_takes_its_time_to_end_is_given_it(container: Container, command: str) -> None:
    os.mkfifo(container.directory / "gate")
    process = container.start(head_script(spec_of([command])), "linger")
    wait_for_line(process, "up")
    process.terminate()
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.3)
    (container.directory / "gate").write_text("go\n")
    process.wait(LIMIT)
    assert container.asked()[-1] == "terminated"


def test_a_program_that_leaves_ray_behind_as_a_daemon_keeps_the_container_up(container: Container) -> None:
    process = container.start(head_script(spec_of(["echo daemon is up"])))
    wait_for_line(process, "daemon is up")
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.3)
    process.terminate()
    assert process.wait(LIMIT) == 143


def worker(container: Container, port: int, seconds: int = LIMIT, start: str = "ray start") -> str:
    spec = spec_of([f"ray start --head --port={port}"], [start])
    return worker_script(
        spec, spec.worker_types[0], head_file=str(container.directory / "head ip"), wait_seconds=seconds
    )


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield made


def test_a_worker_waits_for_the_heads_address_and_port_and_exports_it(
    container: Container, listener: socket.socket
) -> None:
    port = listener.getsockname()[1]
    process = container.start(worker(container, port, start=f"ray start --address=$RAY_HEAD_IP:{port}"))
    wait_for_line(process, "waiting for the head's address", "stderr")
    assert container.asked() == []
    (container.directory / "head ip").write_text("127.0.0.1")
    wait_for_line(process, "the head answers", "stderr")
    assert process.wait(LIMIT) == 0
    assert container.asked() == [f"ray start --block --address=127.0.0.1:{port} [127.0.0.1]"]


@pytest.mark.parametrize(("host", "shown"), [("127.0.0.1", "127.0.0.1"), ("::1", "[::1]")])
@pytest.mark.parametrize(
    "address",
    [
        "$RAY_HEAD_IP:{port}",
        "${{RAY_HEAD_IP}}:{port}",
        '"$RAY_HEAD_IP:{port}"',
        "[$RAY_HEAD_IP]:{port}",
        '"[${{RAY_HEAD_IP}}]:{port}"',
        "'['$RAY_HEAD_IP']':{port}",
        "\\[$RAY_HEAD_IP\\]:{port}",
        '["$RAY_HEAD_IP"]:{port}',
        "$RAY_HEAD_IP:$PORT",
        "[$RAY_HEAD_IP]:${{PORT:-1}}",
    ],
)
def test_an_address_of_ipv6_has_brackets_once_however_it_is_written(
    container: Container, address: str, host: str, shown: str
) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as head:
        port = head.getsockname()[1]
        (container.directory / "head ip").write_text(host)
        start = f"PORT={port}; ray start --address={address.format(port=port)}"
        code, said = container.run(worker(container, port, start=start))
    assert code == 0, said
    assert container.asked() == [f"ray start --block --address={shown}:{port} [{shown}]"]


def test_a_worker_that_knows_its_head_waits_for_its_port(container: Container) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    (container.directory / "head ip").write_text("127.0.0.1")
    process = container.start(worker(container, port))
    wait_for_line(process, f"the head is 127.0.0.1, waiting for its port {port}", "stderr")
    with socket.create_server(("127.0.0.1", port)):
        wait_for_line(process, "the head answers", "stderr")
    assert process.wait(LIMIT) == 0


def test_a_worker_without_a_head_gives_up_after_a_bound(container: Container) -> None:
    code, said = container.run(worker(container, 1, seconds=0))
    assert code == 1
    assert "no head address after 0 s, giving up" in said
    (container.directory / "head ip").write_text("127.0.0.1")
    code, said = container.run(worker(container, 1, seconds=0))
    assert code == 1
    assert "no answer after 0 s, giving up" in said
    assert container.asked() == []


def test_a_waiting_worker_can_be_terminated(container: Container) -> None:
    process = container.start(worker(container, 1))
    wait_for_line(process, "waiting for the head's address", "stderr")
    process.terminate()
    assert process.wait(LIMIT) == 143


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["ray stop", "ray start --head"], ["ray start --block --no-monitor --head"]),
        (["ray stop --force;", "  ray  stop -f ", "ray start"], ["ray start --block"]),
        (["ray stop; ray start"], ["ray stop; ray start --block"]),
        (
            ["ulimit -n 65536; ray  start --head >/x 2>&1"],
            ["ulimit -n 65536; ray  start --block --no-monitor --head >/x 2>&1"],
        ),
        (["ray start --head --block --no-monitor"], ["ray start --head --block --no-monitor"]),
        (["ray start --head --block"], ["ray start --no-monitor --head --block"]),
        (
            ["ray start --head", "ray start --address=x"],
            ["ray start --no-monitor --head", "ray start --block --address=x"],
        ),
        (["ray start --address=x"], ["ray start --block --address=x"]),
        (
            ["ray start --head --autoscaling-config=~/ray_bootstrap_config.yaml --port=6379"],
            ["ray start --block --no-monitor --head --port=6379"],
        ),
        (["ray start --head --autoscaling-config ~/x.yaml"], ["ray start --block --no-monitor --head"]),
        (["ray start --head --autoscaling-config='/a b' &"], ["ray start --block --no-monitor --head &"]),
        (["sh -c 'ray start --head --autoscaling-config=x'"], ["sh -c 'ray start --block --no-monitor --head'"]),
        # What a variable holds beside it stays; without a monitor Ray does not read the file.
        (
            ["O='--autoscaling-config=x --port=1'; ray start --head $O"],
            ["O='--autoscaling-config=x --port=1'; ray start --block --no-monitor --head $O"],
        ),
        (["echo '--block'; ray start --address=x"], ["echo '--block'; ray start --block --address=x"]),
        (["ray start", "echo after"], ["_ro_later && ray start --block", "echo after"]),
        (["a && ray start -v && b; c", "d"], ["a && _ro_later && ray start --block -v", "b; c", "d"]),
        (["ray start\nb"], ["_ro_later && ray start --block", "b"]),
        (["ray start | tee x; b"], ["_ro_later && ray start --block | tee x", "b"]),
        (["ray start || exit 1; b"], ["_ro_later && ray start --block || exit 1", "b"]),
        (["ray start & b"], ["ray start --block & b"]),
        (["ray start --block && b"], ["ray start --block && b"]),
        # What follows in brackets or in another program finds Ray left behind, as Ray's own command does that.
        (["(ray start; b)", "c"], ["(ray start; b)", "c"]),
        (["{ ray start --head && b; }"], ["{ ray start --no-monitor --head && b; }"]),
        (["if a; then ray start || exit 1; b; fi"], ["if a; then ray start || exit 1; b; fi"]),
        (["if a; then ray start; else b; fi"], ["if a; then ray start --block; else b; fi"]),
        (["(ray start --block; b)"], ["(ray start --block; b)"]),
        (["bash -c 'ray start --head; b'"], ["bash -c 'ray start --no-monitor --head; b'"]),
        (["cat > x <<EOF\nray start -v\nb\nEOF", "sh x"], ["cat > x <<EOF\nray start -v\nb\nEOF", "sh x"]),
        (["f() { ray start; b; }", "f"], ["f() { ray start; b; }", "f"]),
        (["while ! ray start; do b; done"], ["while ! ray start --block; do b; done"]),
        (["for i in 1 2; do ray start; b; done"], ["for i in 1 2; do ray start --block; b; done"]),
        (["ray start; # nothing"], ["ray start --block; # nothing"]),
        (["/start.sh"], ["/start.sh"]),
        ([], []),
        (["python -m ray.scripts.scripts start -v"], ["python -m ray.scripts.scripts start --block -v"]),
        (["ray --logging-level debug start -v"], ["ray --logging-level debug start --block -v"]),
        (["bash <<EOF\nray start -v\nEOF"], ["bash <<EOF\nray start --block -v\nEOF"]),
        (
            ["cat > x <<EOF\nray start -v\nEOF", "sh x"],
            ["cat > x <<EOF\nray start --block -v\nEOF", "sh x"],
        ),
        (["cat <<EOF\nray start\nEOF\nray start -v"], ["cat <<EOF\nray start\nEOF\nray start --block -v"]),
        (["f() { ray start -v; }; f"], ["f() { ray start --block -v; }; f"]),
        (["function f { ray start -v; }", "f"], ["function f { ray start --block -v; }", "f"]),
        (
            ['bash -c "ray start --labels=\\"a=b\\" -v"'],
            ['bash -c "ray start --block --labels=\\"a=b\\" -v"'],
        ),
        # Alternatives stay too, whichever it will be.
        (
            ["if a; then ray start --head; else ray start -v; fi"],
            ["if a; then ray start --block --no-monitor --head; else ray start --block -v; fi"],
        ),
        (["ray start -v || ray start"], ["ray start --block -v || ray start --block"]),
        (
            ["ray start -v || ray start; b"],
            ["_ro_later && ray start --block -v || ray start --block", "b"],
        ),
        (["a || ray start; b"], ["_ro_later && a || ray start --block", "b"]),
        (["ray start -v && ray start"], ["ray start -v && ray start --block"]),
        (
            ["bash -c 'if a; then ray start -v; else ray start; fi'", "b"],
            ["_ro_later && bash -c 'if a; then ray start --block -v; else ray start --block; fi'", "b"],
        ),
        # What follows a compound command.
        (["if a; then ray start; fi; b"], ["if a; then _ro_later && ray start --block; fi", "b"]),
        (["(a; ray start) && b"], ["(a; _ro_later && ray start --block)", "b"]),
        (["! ray start; b"], ["_ro_later && ! ray start --block", "b"]),
        (["(a; ray start) & b"], ["(a; ray start --block) & b"]),
        # Written by another program than cat, or for a shell.
        (["tee x <<'X'\nray start -v\nX", "sh x"], ["tee x <<'X'\nray start --block -v\nX", "sh x"]),
        (["cat <<X | tee x\nray start -v\nX\nsh x"], ["cat <<X | tee x\nray start --block -v\nX\nsh x"]),
        (["echo 'ray start -v' > x", "sh x"], ["echo 'ray start --block -v' > x", "sh x"]),
        (["printf 'ray start -v\\n' | bash"], ["printf 'ray start --block -v\\n' | bash"]),
        (["bash <<< 'ray start -v'"], ["bash <<< 'ray start --block -v'"]),
        (["bash <<< 'ray start -v'; b"], ["_ro_later && bash <<< 'ray start --block -v'", "b"]),
        (
            ["ray start -v; echo 'ray start' > x"],
            ["_ro_later && ray start --block -v", "echo 'ray start' > x"],
        ),
        # Functions that nothing calls.
        (
            ["ray start -v\nold() { ray start; }"],
            ["_ro_later && ray start --block -v", "old() { ray start; }"],
        ),
        (["old() { ray start; }; ray start -v"], ["old() { ray start; }; ray start --block -v"]),
        (["f() { ray start -v; }; f; f"], ["f() { ray start --block -v; }; f; f"]),
        (["f()\n{\n  ray start -v\n}\nf"], ["f()\n{\n  ray start --block -v\n}\nf"]),
        # What runs if Ray cannot be started stays where it is.
        (["! ray start && exit 1; b"], ["! ray start && exit 1; b"]),
        (["! ray start && { a; exit 1; }; b", "c"], ["! ray start && { a; exit 1; }; b", "c"]),
        (["! ray start || b"], ["! ray start || b"]),
        (["if ! ray start; then exit 1; fi; b"], ["if ! ray start; then exit 1; fi; b"]),
        (["a &&\n  ray start -v &&\n  b"], ["a &&\n  _ro_later && ray start --block -v", "b"]),
        # Options that only a running shell knows may start a head.
        (['a=(--head); ray start "${a[@]}"'], ['a=(--head); ray start --block --no-monitor "${a[@]}"']),
        (["ray start $(cat /options)"], ["ray start --block --no-monitor $(cat /options)"]),
        (['ray start --address=x "${a[@]}"'], ['ray start --block --address=x "${a[@]}"']),
        # Brackets of the user's own.
        (["ray start --address=[$RAY_HEAD_IP]:6379"], ["ray start --block --address=[$RAY_HEAD_IP]:6379"]),
    ],
)
def test_the_last_ray_start_stays_in_the_foreground(given: list[str], expected: list[str]) -> None:
    commands = tuple(given)
    assert blocking(commands) == expected
