"""Start commands that follow ray start: they run beside Ray, once it is up."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from controller.objects.entrypoint import head_script, worker_script
from tests.support.container import LIMIT, Container, spec_of, wait_for_line, wait_for_lines


@pytest.fixture
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


@pytest.fixture
def client(port: int) -> Iterator[socket.socket]:
    """Ray Client's port."""
    with socket.create_server(("127.0.0.1", port)) as made:
        yield made


@pytest.fixture
def raylet(container: Container, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A raylet that is up: its socket, and its agent's log."""
    session = container.directory / "tmp/ray/session_latest"
    for folder in ("sockets", "logs"):
        (session / folder).mkdir(parents=True)
    (session / "logs/runtime_env_agent.log").write_text("up\n")
    with socket.socket(socket.AF_UNIX) as made:
        # The path of a socket has an end, and tests may run deep down.
        with monkeypatch.context() as there:
            there.chdir(session / "sockets")
            made.bind("raylet")
        yield session


def head(port: int, *after: str, tail: str = "") -> str:
    ray = f"ray start --head --ray-client-server-port={port} --include-dashboard=false{tail}"
    return head_script(spec_of(["ray stop", ray, *after]))


def test_they_wait_for_ray_to_be_up(container: Container, port: int, raylet: Path) -> None:
    """On the head until its ports answer. Ray goes on."""
    process = container.start(head(port, "echo deployed"), "stay")
    wait_for_line(process, "up")
    assert process.stdout
    with socket.create_server(("127.0.0.1", port)):
        wait_for_line(process, "deployed")
    assert process.poll() is None
    process.terminate()
    assert process.wait(LIMIT) == 7


@pytest.mark.usefixtures("client", "raylet")
@pytest.mark.parametrize(
    "tail", [" && echo deployed", "; echo deployed", "\necho deployed", " || exit 1; echo deployed"]
)
def test_so_does_what_follows_in_the_same_command(container: Container, port: int, tail: str) -> None:
    process = container.start(head(port, tail=tail), "stay")
    wait_for_line(process, "deployed")
    assert process.poll() is None


@pytest.mark.usefixtures("client", "raylet")
def test_they_have_what_was_set_before(container: Container, port: int) -> None:
    ray = f"ray start --head --ray-client-server-port={port} --include-dashboard=false"
    script = head_script(spec_of([f"export A=1; cd / && {ray}", 'echo "found $A $B $PWD"'], setup=["B=2"]))
    wait_for_line(container.start(script, "stay"), "found 1 2 /")


@pytest.mark.usefixtures("client", "raylet")
@pytest.mark.parametrize("failing", ["(exit 3)", "exit 3"])
def test_a_failure_is_said_and_ends_neither_ray_nor_the_others(container: Container, port: int, failing: str) -> None:
    process = container.start(head(port, failing, "echo next"), "stay")
    wait_for_line(process, f"a command after ray start failed with exit code 3, Ray goes on: {failing}", "stderr")
    wait_for_line(process, "next")
    assert process.poll() is None


@pytest.mark.usefixtures("client", "raylet")
def test_ray_that_ends_ends_the_container_whatever_they_do(container: Container, port: int) -> None:
    """A command that stays, as serve run does."""
    process = container.start(head(port, "echo serving; sleep 600 > /dev/null 2>&1"), "linger")
    wait_for_lines(process, "serving", "up")
    (container.directory / "gate").write_text("")
    process.terminate()
    assert process.wait(LIMIT) == 7


def test_ray_that_never_comes_up_runs_none_of_them(container: Container, port: int) -> None:
    code, _ = container.run(head(port, 'echo deployed >> "$RAY_LOG"'), "4")
    assert code == 4
    assert len(container.asked()) == 1


@pytest.mark.usefixtures("raylet")
def test_on_a_worker_they_wait_for_its_raylet(container: Container, client: socket.socket, port: int) -> None:
    (container.directory / "head-ip").write_text("127.0.0.1")
    spec = spec_of([f"ray start --head --port={port}"], ["ray start --address=$RAY_HEAD_IP", "echo joined"])
    script = worker_script(spec, spec.worker_types[0], head_file=str(container.directory / "head-ip"))
    wait_for_line(container.start(script, "stay"), "joined")
