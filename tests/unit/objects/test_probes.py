"""When a head counts as up: the look is run for real, at files and ports like those of Ray."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from controller.objects.probes import head_is_up, missing
from tests.support.container import LIMIT, Container, spec_of


@pytest.fixture
def ports() -> tuple[int, int]:
    """Of Ray Client and dashboard, both free."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        return int(one.getsockname()[1]), int(other.getsockname()[1])


@pytest.fixture
def session(container: Container, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Of a raylet that is up."""
    made = container.directory / "tmp/ray/session_latest"
    for folder in ("sockets", "logs"):
        (made / folder).mkdir(parents=True)
    (made / "logs/runtime_env_agent.log").write_text("up\n")
    with socket.socket(socket.AF_UNIX) as raylet, monkeypatch.context() as there:
        there.chdir(made / "sockets")
        raylet.bind("raylet")
        yield made


def succeeds(look: str, container: Container) -> bool:
    command = ["/bin/bash", "-c", look]
    return not subprocess.run(command, env=container.environment(), check=False, timeout=LIMIT).returncode


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_a_head_is_up_when_what_it_starts_answers(
    container: Container, session: Path, ports: tuple[int, int], address: str
) -> None:
    """On either loopback: a head of IPv6 listens on nothing else."""
    options = f"--ray-client-server-port={ports[0]} --include-dashboard=true --dashboard-port={ports[1]}"
    look = head_is_up(spec_of([f"ray start --head {options}"]))
    assert not succeeds(look, container)
    with ExitStack() as stack:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        for port in ports:
            stack.enter_context(socket.create_server((address, port), family=family))
        assert succeeds(look, container)
        (session / "sockets/raylet").unlink()
        assert not succeeds(look, container)


@pytest.mark.usefixtures("session")
def test_a_ray_client_that_was_asked_for_is_waited_for(container: Container, ports: tuple[int, int]) -> None:
    options = f"--include-dashboard=false --ray-client-server-port={ports[0]}"
    assert not succeeds(head_is_up(spec_of([f"ray start --head {options}"])), container)


def test_a_head_whose_ray_client_was_started_waits_for_it_and_calls_nothing_missing(
    container: Container, session: Path
) -> None:
    """Though its process has died, as on a machine that is too busy."""
    (session / "logs/ray_client_server.err").write_text("")
    spec = spec_of(["ray start --head --include-dashboard=false"])
    assert [words for test, words in missing(spec) if succeeds(test, container)] == []


@pytest.mark.parametrize("option", ["--temp-dir=/a/b", "--temp-dir '/a/b'"])
def test_a_directory_of_its_own_is_looked_into(option: str) -> None:
    assert "/a/b/session_latest/sockets/raylet" in head_is_up(spec_of([f"ray start --head {option}"]))


@pytest.mark.parametrize("option", ["--temp-dir=$HOME/x", "--temp-dir=~/x"])
def test_without_a_directory_to_be_known_the_gcs_is_what_answers(option: str) -> None:
    look = head_is_up(spec_of([f"ray start --head --port=6380 {option}"]))
    assert "sockets" not in look
    assert "/dev/tcp/127.0.0.1/6380" in look
