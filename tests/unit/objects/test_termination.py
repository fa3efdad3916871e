"""A worker's container that is told to end: Ray finishes what runs, and waits for nothing else."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator

import pytest

from controller.objects.entrypoint import worker_script
from tests.support.container import LIMIT, Container, spec_of, wait_for_line
from tests.support.kube import eventually


@pytest.fixture
def head() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield made


def told_to_end(container: Container, head: socket.socket, runs: str) -> subprocess.Popen[str]:
    """A worker in which a process of a title runs, and that has been told to end."""
    file = container.directory / "head ip"
    file.write_text("127.0.0.1")
    spec = spec_of([f"ray start --head --port={head.getsockname()[1]}"])
    process = container.start(worker_script(spec, spec.worker_types[0], head_file=str(file)), runs)
    wait_for_line(process, "up")
    process.terminate()
    return process


@pytest.mark.parametrize("runs", ["ray::IDLE", "ray::RuntimeEnvAgent", "ray::SPILL_SpillWorker"])
def test_where_nothing_runs_ray_is_ended_in_good_order(container: Container, head: socket.socket, runs: str) -> None:
    """It holds a placement group, for which Ray would wait until the pod is killed."""
    process = told_to_end(container, head, runs)
    _, said = process.communicate(timeout=LIMIT)
    assert "nothing runs here any more, ending Ray" in said
    assert container.asked()[-2:] == ["terminated", "raylet ended"]


@pytest.mark.parametrize("runs", ["ray::work", "ray::Agent", "ray::Actor.method", "ray::renamed"])
def test_what_runs_is_waited_for(container: Container, head: socket.socket, runs: str) -> None:
    """Then Ray is ended, unless it has ended by itself."""
    process = told_to_end(container, head, runs)
    eventually(lambda: container.looks() > 30)
    assert (process.poll(), container.asked()[-1]) == (None, "terminated")
    container.end_work()
    process.communicate(timeout=LIMIT)
    assert container.asked()[-1] == "raylet ended"


def test_without_a_head_nothing_is_waited_for(container: Container, head: socket.socket) -> None:
    process = told_to_end(container, head, "ray::work")
    head.close()
    _, said = process.communicate(timeout=LIMIT)
    assert "the head does not answer, ending Ray" in said


def test_a_worker_that_ends_by_itself_is_not_hastened(container: Container, head: socket.socket) -> None:
    process = told_to_end(container, head, "stay")
    assert (process.wait(LIMIT), container.asked()[-1]) == (7, "terminated")
