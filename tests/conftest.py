from __future__ import annotations

import os
from typing import Any

import pytest

from tests.support import control_plane
from tests.support.prerequisites import reasons


def run_of(config: pytest.Config) -> str:
    """The name of the test run, the same in all of its processes."""
    worker: dict[str, str] | None = getattr(config, "workerinput", None)
    return worker["run"] if worker else f"test-{os.getpid()}"


@pytest.fixture(scope="session")
def run_name(pytestconfig: pytest.Config) -> str:
    """The name of the test run, the same in all of its processes."""
    return run_of(pytestconfig)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a process that runs tests which run it belongs to."""
    node.workerinput["run"] = run_of(node.config)


def pytest_configure(config: pytest.Config) -> None:
    """Refuse a pytest with which tests of one group would run beside each other (setup.cfg says why)."""
    if config.getoption("dist", "no") == "loadgroup" and pytest.version_tuple[:2] >= (9, 2):
        raise pytest.UsageError(f"pytest {pytest.__version__} does not keep groups of tests together: run `make venv`")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand the main process what could not be tested on this machine."""
    if output := getattr(session.config, "workeroutput", None):
        output["reasons"] = sorted(reasons)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Collect what the processes could not test."""
    reasons.update(getattr(node, "workeroutput", {}).get("reasons", ()))


def pytest_unconfigure(config: pytest.Config) -> None:
    """The main process ends what all of them shared."""
    if not hasattr(config, "workerinput"):
        control_plane.end(run_of(config))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name what could not be tested on this machine in the last lines of the run."""
    for reason in sorted(reasons):
        terminalreporter.write_line(f"not run here: {reason}", yellow=True)
